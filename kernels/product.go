package kernels

import "fmt"

// Convolving describes a convolution of images with channels last in bfloat16. The images are (Batch, H, W, Channels),
// the filters are (Filters, KernelH, KernelW, Channels), and the results are (Batch, OutH, OutW, Filters). Value (i, j) of
// a filter's results sees the places StrideH*i+DilationH*r-Top and StrideW*j+DilationW*s-Left for each r below KernelH and
// each s below KernelW. Images are 0 outside, so padding at the bottom and the right needs no numbers.
type Convolving struct {
	Batch     uint32
	Channels  uint32
	H         int32
	W         int32
	Filters   uint32
	OutH      uint32
	OutW      uint32
	KernelH   uint32
	KernelW   uint32
	StrideH   int32
	StrideW   int32
	DilationH int32
	DilationW int32
	Top       int32
	Left      int32
}

// mostPlace is the most that a place in an image, or one beside it, may be. Sums of a few of these fit in 32 bits.
const mostPlace = 1 << 24

// Check returns an error for a convolution that the kernels here can't compute.
func (c Convolving) Check() error {
	for _, sizes := range [][]uint32{
		{c.Batch, uint32(max(c.H, 0)), uint32(max(c.W, 0)), c.Channels}, {c.Batch, c.OutH, c.OutW, c.Filters},
		{c.Filters, c.KernelH, c.KernelW, c.Channels},
	} {
		total := uint64(1)
		for _, n := range sizes {
			if total *= uint64(n); total < 1 || total > mostValues {
				return fmt.Errorf("%v are no values, or more than %d", sizes, mostValues)
			}
		}
	}
	if min(c.StrideH, c.StrideW, c.DilationH, c.DilationW) < 1 {
		return fmt.Errorf("strides %d and %d, dilations %d and %d: want 1 or more", c.StrideH, c.StrideW, c.DilationH, c.DilationW)
	}
	for _, product := range [][2]int64{
		{int64(c.H), 1}, {int64(c.W), 1}, {int64(c.StrideH), int64(c.OutH)}, {int64(c.StrideW), int64(c.OutW)},
		{int64(c.DilationH), int64(c.KernelH)}, {int64(c.DilationW), int64(c.KernelW)}, {max(int64(c.Top), -int64(c.Top)), 1},
		{max(int64(c.Left), -int64(c.Left)), 1},
	} {
		if product[0]*product[1] > mostPlace {
			return fmt.Errorf("%+v reaches to places beyond %d", c, mostPlace)
		}
	}
	return nil
}

// taps returns how many values a filter has.
func (c Convolving) taps() uint64 { return uint64(c.KernelH) * uint64(c.KernelW) * uint64(c.Channels) }

// wide reports whether eight channels and eight filters can move at once in all of these operands.
func (c Convolving) wide(operands ...Pointer[BFloat16]) bool {
	for _, p := range operands {
		if p%16 != 0 {
			return false
		}
	}
	return c.Channels%8 == 0
}

// productThreads is the number of threads of every kernel that computes products by tensor cores.
const productThreads = 128

// tiling is a kernel that makes a product in tiles of rows by columns. Unless it is odd, 16 bytes move at once: it
// is only for multiples of eight values.
type tiling struct {
	rows, columns uint32
	odd           bool
	kernel        *Kernel
}

// tilings are kernels that compute the same, with other tiles. The larger ones come first.
type tilings []tiling

func (t tilings) kernels() (all []*Kernel) {
	for _, each := range t {
		all = append(all, each.kernel)
	}
	return all
}

// newTilings makes the signatures of kernels from a struct whose fields are the parameters.
func newTilings(name string, parameters any, all ...tiling) tilings {
	for i, t := range all {
		odd := ""
		if t.odd {
			odd = "odd_"
		}
		all[i].kernel = newKernel(fmt.Sprintf("%s_%s%dx%d", name, odd, t.rows, t.columns), productThreads, parameters)
		all[i].kernel.Type = BF16
	}
	return all
}

func tilesOf(n uint64, each uint32) uint64 { return (n + uint64(each) - 1) / uint64(each) }

// choose returns the kernel for a product of rows by columns, `times` as often, and how many tiles that has. A tile should
// have no more columns than there are, otherwise as many as possible. Of these the largest is best, as long as there is one
// for each multiprocessor and it is not half empty.
func (t tilings) choose(d Device, odd bool, times, rows, columns uint64) (best tiling, tiles uint64) {
	for _, each := range t {
		n := times * tilesOf(rows, each.rows) * tilesOf(columns, each.columns)
		switch {
		case each.odd != odd:
			continue
		case best.kernel == nil:
		case tilesOf(columns, each.columns) > tilesOf(columns, best.columns):
			continue // reads the rows more often
		case each.columns == best.columns && tiles >= uint64(d.Multiprocessors) && tilesOf(rows, each.rows) > tilesOf(rows, best.rows):
			continue
		}
		best, tiles = each, n
	}
	return best, tiles
}

// newProduct makes a launch for one of several kernels, with a block for each tile.
func newProduct(t tilings, d Device, odd bool, times, rows, columns uint64, parameters any) (Launch, error) {
	best, tiles := t.choose(d, odd, times, rows, columns)
	if tiles > 1<<31-1 {
		return Launch{}, fmt.Errorf("kernels: %s: %d tiles", best.kernel.Name, tiles)
	}
	slots, err := pack(best.kernel, parameters)
	if err != nil {
		return Launch{}, fmt.Errorf("kernels: %s: %w", best.kernel.Name, err)
	}
	return Launch{Kernel: best.kernel, Blocks: int(tiles), Threads: productThreads, Slots: slots}, nil
}

// What [Convolution] does to its sums before it rounds them.
const (
	ConvolutionOnly     int32 = 0
	ConvolutionBias     int32 = 1 // adds the bias
	ConvolutionBiasReLU int32 = 2 // adds the bias, and then applies ReLU
	// ConvolutionBiasReLUPool also takes the maximum of 2x2 windows with stride 2, as [BiasReLUPool] does.
	ConvolutionBiasReLUPool int32 = 3
)

// Convolution computes a convolution by tensor cores, and what comes after it: Y is what [Convolving] describes. With
// pooling, Y and Mask are (Batch, PooledH, PooledW, Filters) instead, and the convolution's own results are never in memory.
// Sums are float32. Their order depends only on the filters' size, so results repeat.
type Convolution struct {
	Y      Pointer[BFloat16]
	Mask   Optional[uint8] // null without pooling
	X      Pointer[BFloat16]
	Weight Pointer[BFloat16]
	Bias   Optional[float32] // null for ConvolutionOnly
	Convolving
	PooledH uint32
	PooledW uint32
	Tail    int32
}

var convolutions = newTilings("conv", Convolution{}, tiling{rows: 128, columns: 64}, tiling{rows: 64, columns: 64},
	tiling{rows: 128, columns: 32}, tiling{rows: 64, columns: 32}, tiling{rows: 128, columns: 64, odd: true},
	tiling{rows: 64, columns: 32, odd: true})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k Convolution) Launch(d Device) (Launch, error) {
	if err := k.Check(); err != nil {
		return Launch{}, fmt.Errorf("kernels: conv: %w", err)
	}
	if pools := k.Tail == ConvolutionBiasReLUPool; k.Tail < ConvolutionOnly || k.Tail > ConvolutionBiasReLUPool ||
		(k.Bias == 0) != (k.Tail == ConvolutionOnly) || (k.Mask == 0) == pools {
		return Launch{}, fmt.Errorf("kernels: conv: a tail of %d with the bias at %#x and the mask at %#x", k.Tail, k.Bias, k.Mask)
	}
	rows := uint64(k.Batch) * uint64(k.OutH) * uint64(k.OutW)
	if k.Tail == ConvolutionBiasReLUPool {
		if k.PooledH < 1 || k.PooledW < 1 || k.PooledH > (k.OutH+1)/2 || k.PooledW > (k.OutW+1)/2 {
			return Launch{}, fmt.Errorf("kernels: conv: %d x %d windows on %d x %d values: want each to see one or more", k.PooledH, k.PooledW, k.OutH, k.OutW)
		}
		rows = 4 * uint64(k.Batch) * uint64(k.PooledH) * uint64(k.PooledW)
		if rows*uint64(k.Filters) > 4*mostValues || rows > mostValues {
			return Launch{}, fmt.Errorf("kernels: conv: %d windows", rows/4)
		}
	}
	return newProduct(convolutions, d, !k.wide(k.X, k.Weight), 1, rows, uint64(k.Filters), k)
}

// ConvolutionData computes the input gradient of a convolution by tensor cores: Dx from the output's gradient Dy. Where Add
// is not 0, it adds to Dx; the sum is rounded once. Sums are float32, in a fixed order.
type ConvolutionData struct {
	Dx     Pointer[BFloat16]
	Dy     Pointer[BFloat16]
	Weight Pointer[BFloat16]
	Convolving
	Add int32
}

var convolutionsData = newTilings("conv_data", ConvolutionData{}, tiling{rows: 128, columns: 64}, tiling{rows: 64, columns: 64},
	tiling{rows: 128, columns: 32}, tiling{rows: 64, columns: 32}, tiling{rows: 128, columns: 64, odd: true},
	tiling{rows: 64, columns: 32, odd: true})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k ConvolutionData) Launch(d Device) (Launch, error) {
	if err := k.Check(); err != nil {
		return Launch{}, fmt.Errorf("kernels: conv_data: %w", err)
	}
	rows := uint64(k.Batch) * tilesOf(uint64(k.H), uint32(k.StrideH)) * tilesOf(uint64(k.W), uint32(k.StrideW))
	return newProduct(convolutionsData, d, !k.wide(k.Dy, k.Weight) || k.Filters%8 != 0, uint64(k.StrideH)*uint64(k.StrideW), rows, uint64(k.Channels), k)
}

// ConvolutionFilter computes the weight gradient of a convolution by tensor cores: Dw, in the order of the filters, from the
// output's gradient Dy. Sums are float32, in a fixed order. With several Parts, Dw has Parts rows of gradients; [ColumnSums]
// adds up these rows. See [Convolving.FilterParts].
type ConvolutionFilter struct {
	Dw Pointer[float32]
	X  Pointer[BFloat16]
	Dy Pointer[BFloat16]
	Convolving
	Parts uint32
}

var convolutionsFilter = newTilings("conv_filter", ConvolutionFilter{}, tiling{rows: 64, columns: 64}, tiling{rows: 32, columns: 64},
	tiling{rows: 64, columns: 32, odd: true})

// FilterParts returns into how many parts [ConvolutionFilter] should divide the outputs. There are enough parts to keep a
// GPU busy, but none with few outputs. A larger batch never has fewer parts. The number is the same on every device, so the
// sums are the same too.
func (c Convolving) FilterParts() uint32 {
	const blocks, fewest = 512, 512
	tiles := tilesOf(uint64(c.Filters), 64) * tilesOf(c.taps(), 64)
	outputs := uint64(c.Batch) * uint64(c.OutH) * uint64(c.OutW)
	return uint32(max(1, min(blocks/tiles, outputs/fewest)))
}

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k ConvolutionFilter) Launch(d Device) (Launch, error) {
	if err := k.Check(); err != nil {
		return Launch{}, fmt.Errorf("kernels: conv_filter: %w", err)
	}
	if sums := uint64(k.Parts) * uint64(k.Filters) * k.taps(); k.Parts < 1 || sums > mostValues {
		return Launch{}, fmt.Errorf("kernels: conv_filter: %d parts, %d sums: want 1 or more, and at most %d", k.Parts, sums, mostValues)
	}
	return newProduct(convolutionsFilter, d, !k.wide(k.X, k.Dy) || k.Filters%8 != 0, uint64(k.Parts), uint64(k.Filters), k.taps(), k)
}
