package kernels

import "fmt"

// BiasGradientParts returns into how many parts [BiasGradient] should divide its sums. There are enough parts to keep
// a GPU busy even with few channels, and more for larger batches. The number is the same on every device, so the sums
// are the same too.
func BiasGradientParts(batch, channels, extent uint32) uint32 {
	const perPart, mostSums = 8192, 2048
	values := uint64(batch) * uint64(extent)
	return uint32(max(1, min(values/perPart, mostSums/uint64(max(channels, 1)))))
}

// BiasGradient computes db[c] = sum over n and i of dy[n][c][i], in a fixed order. With several Parts, Db has Parts
// rows of Channels sums; [ColumnSums] adds up these rows.
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
	values, err := countPlaces(biasGradient[k.Dy.Type], k.Batch, k.Channels, k.Extent)
	if err != nil {
		return Launch{}, err
	}
	sums, err := countPlaces(biasGradient[k.Dy.Type], k.Channels, k.Parts)
	if err != nil {
		return Launch{}, err
	}
	if sums < 1 {
		return Launch{}, fmt.Errorf("kernels: bias_gradient: %d channels in %d parts: want 1 or more", k.Channels, k.Parts)
	}
	return newRows(biasGradient[k.Dy.Type], d, sums, packs(k.Dy.Type, values/sums), k)
}

// ColumnSums does the same as [BiasGradient] for an Extent of 1: it sums each column of Dy (Batch, Channels).
type ColumnSums struct {
	Db       Pointer[float32]
	Dy       Values
	Batch    uint32
	Channels uint32
}

var columnSums = newForms("column_sums", 256, ColumnSums{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k ColumnSums) Launch(d Device) (Launch, error) {
	if _, err := countPlaces(columnSums[k.Dy.Type], k.Batch, k.Channels); err != nil {
		return Launch{}, err
	}
	const columns = 8 // columns that one block sums
	return newRows(columnSums[k.Dy.Type], d, (uint64(k.Channels)+columns-1)/columns, columns*uint64(k.Batch), k)
}

// BatchnormStatistics computes each channel's mean and 1/sqrt(variance + Epsilon) over the mini-batch. It also moves
// the running statistics, unless they are null. For the formulas see net.BatchNorm.
type BatchnormStatistics struct {
	Mean        Pointer[float32]
	Inverse     Pointer[float32]
	RunningMean Optional[float32]
	RunningVar  Optional[float32]
	X           Values
	Batch       uint32
	Channels    uint32
	Extent      uint32
	Momentum    float64
	Epsilon     float64
}

var batchnormStatistics = newForms("batchnorm_statistics", 1024, BatchnormStatistics{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BatchnormStatistics) Launch(d Device) (Launch, error) {
	return newChannels(batchnormStatistics[k.X.Type], d, k, k.Batch, k.Channels, k.Extent)
}

// BatchnormRunning computes Mean and Inverse from the running statistics: Inverse is 1/sqrt(RunningVar + Epsilon).
type BatchnormRunning struct {
	Mean        Pointer[float32]
	Inverse     Pointer[float32]
	RunningMean Pointer[float32]
	RunningVar  Pointer[float32]
	Channels    uint32
	Epsilon     float64
}

var batchnormRunning = newKernel("batchnorm_running", 256, BatchnormRunning{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BatchnormRunning) Launch(d Device) (Launch, error) {
	return newLaunch(batchnormRunning, d, uint64(k.Channels), k)
}

// Batchnorm computes y = weight*(x - mean)*inverse + bias for each channel.
type Batchnorm struct {
	Y        Values
	X        Values
	Mean     Pointer[float32]
	Inverse  Pointer[float32]
	Weight   Pointer[float32]
	Bias     Pointer[float32]
	Count    uint32
	Channels uint32
	Extent   uint32
}

var batchnorm = newForms("batchnorm", 256, Batchnorm{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k Batchnorm) Launch(d Device) (Launch, error) {
	return newChannelwise(batchnorm[k.Y.Type], d, k, k.Count, k.Channels, k.Extent)
}

// BatchnormGradients computes the gradients of weight and bias for each channel. The order of the sums is fixed.
type BatchnormGradients struct {
	Dweight  Pointer[float32]
	Dbias    Pointer[float32]
	Dy       Values
	X        Values
	Mean     Pointer[float32]
	Inverse  Pointer[float32]
	Batch    uint32
	Channels uint32
	Extent   uint32
}

var batchnormGradients = newForms("batchnorm_gradients", 1024, BatchnormGradients{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BatchnormGradients) Launch(d Device) (Launch, error) {
	return newChannels(batchnormGradients[k.Dy.Type], d, k, k.Batch, k.Channels, k.Extent)
}

// BatchnormBackward computes the input gradient from the output gradient and the sums of [BatchnormGradients]. Where
// Add is not 0, it adds the result to Dx.
type BatchnormBackward struct {
	Dx       Values
	Dy       Values
	X        Values
	Mean     Pointer[float32]
	Inverse  Pointer[float32]
	Weight   Pointer[float32]
	Dweight  Pointer[float32]
	Dbias    Pointer[float32]
	Count    uint32
	Channels uint32
	Extent   uint32
	Add      int32
}

var batchnormBackward = newForms("batchnorm_backward", 256, BatchnormBackward{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BatchnormBackward) Launch(d Device) (Launch, error) {
	return newChannelwise(batchnormBackward[k.Dx.Type], d, k, k.Count, k.Channels, k.Extent)
}
