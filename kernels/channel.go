package kernels

import "fmt"

// tile is the most channels that a block reduces side by side where the extent is 1. It is TILE in reduce.cuh.
const tile = 64

// reducers returns how many blocks share the channels of a tensor in a reduction by channel, if there is one part. With
// an extent of 1 a block has several channels, otherwise one.
func reducers(channels, extent uint32) uint64 {
	if extent == 1 {
		return (uint64(channels) + tile - 1) / tile
	}
	return uint64(channels)
}

// ReductionParts returns into how many parts a reduction by channel should be divided: [BiasGradient],
// [BatchnormMoments] and [BatchnormGradients], of a tensor (batch, channels, extent). There are enough parts to keep a
// GPU busy even with few channels. A larger batch never has fewer parts. The number is the same on every device, so
// the results are the same too. There are at most 65536 results for each number that is reduced, parts times channels,
// except where there is only one part.
func ReductionParts(batch, channels, extent uint32) uint32 {
	const perBlock, mostBlocks, mostTiles = 8192, 2048, 1024
	blocks, most := max(1, reducers(channels, extent)), uint64(mostBlocks)
	if extent == 1 {
		most = mostTiles
	}
	values := uint64(batch) * uint64(channels) * uint64(extent)
	return uint32(max(1, min(values/blocks/perBlock, most/blocks)))
}

// newReduction makes a launch for a reduction by channel.
func newReduction(k *Kernel, d Device, parameters any, batch, channels, extent, parts uint32) (Launch, error) {
	values, err := countPlaces(k, batch, channels, extent)
	if err != nil {
		return Launch{}, err
	}
	if _, err := countPlaces(k, channels, parts); err != nil {
		return Launch{}, err
	}
	if values < 1 || parts < 1 {
		return Launch{}, fmt.Errorf("kernels: %s: %d values in each of %d channels of %d samples, in %d parts: want 1 or more", k.Name,
			extent, channels, batch, parts)
	}
	blocks := reducers(channels, extent) * uint64(parts)
	return newRows(k, d, blocks, packs(k.Type, (values+blocks-1)/blocks), parameters)
}

// BiasGradient computes db[c] = sum over n and i of dy[n][c][i], in a fixed order. With several Parts, Db has Parts
// rows of Channels sums; [ColumnSums] adds up these rows. See [ReductionParts].
type BiasGradient struct {
	Db       Pointer[float32]
	Dy       Values
	Batch    uint32
	Channels uint32
	Extent   uint32
	Parts    uint32
}

var biasGradient = newForms("bias_gradient", 256, BiasGradient{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BiasGradient) Launch(d Device) (Launch, error) {
	return newReduction(biasGradient[k.Dy.Type], d, k, k.Batch, k.Channels, k.Extent, k.Parts)
}

// BiasReLUGradient computes the gradients of [BiasReLU] from its output Y: Dx = Dy where y > 0, and 0*dy elsewhere, which
// keeps a NaN; and the sums of Dx that [BiasGradient] computes, in Parts parts. Dx may be Dy.
type BiasReLUGradient struct {
	Db       Pointer[float32]
	Dx       Values
	Dy       Values
	Y        Values
	Batch    uint32
	Channels uint32
	Extent   uint32
	Parts    uint32
}

var biasReLUGradient = newForms("bias_relu_gradient", 256, BiasReLUGradient{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BiasReLUGradient) Launch(d Device) (Launch, error) {
	return newReduction(biasReLUGradient[k.Dy.Type], d, k, k.Batch, k.Channels, k.Extent, k.Parts)
}

// ColumnSums sums each column of Dy (Batch, Channels). It adds up the parts that other kernels have found. The sums of the
// first Split columns go to Db, and rounded to Brain; those of the others go to Rest. Sums without a place are not written.
type ColumnSums struct {
	Db       Optional[float32]
	Rest     Optional[float32]
	Brain    Optional[BFloat16]
	Dy       Values
	Batch    uint32
	Channels uint32
	Split    uint32
}

var columnSums = newForms("column_sums", 1024, ColumnSums{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k ColumnSums) Launch(d Device) (Launch, error) {
	if k.Split > k.Channels {
		return Launch{}, fmt.Errorf("kernels: column_sums: %d of %d columns", k.Split, k.Channels)
	}
	return newPartSums(columnSums[k.Dy.Type], d, k, k.Batch, k.Channels)
}

// newPartSums makes a launch for a kernel that puts together each column of a matrix. A block takes 32 bytes of each row.
func newPartSums(k *Kernel, d Device, parameters any, rows, columns uint32) (Launch, error) {
	if n, err := countPlaces(k, rows, columns); err != nil {
		return Launch{}, err
	} else if n < 1 {
		return Launch{}, fmt.Errorf("kernels: %s: %d rows of %d values: want 1 or more", k.Name, rows, columns)
	}
	each := 32 / uint64(k.Type.Bytes())
	return newRows(k, d, (uint64(columns)+each-1)/each, each*uint64(rows), parameters)
}
