package kernels_test

import (
	"testing"

	"github.com/gputrain/gputrain/kernels"
)

// The second convolution of the tutorial's network, for a batch.
func convolving(batch uint32) kernels.Convolving {
	return kernels.Convolving{Batch: batch, Channels: 32, H: 14, W: 14, Filters: 64, OutH: 14, OutW: 14, KernelH: 5, KernelW: 5, StrideH: 1, StrideW: 1,
		DilationH: 1, DilationW: 1, Top: 2, Left: 2}
}

// A tile has a block. Tiles are large, but for few of them, and for operands where 16 bytes can't move at once.
func TestTilesOfConvolutions(t *testing.T) {
	narrow := convolving(128)
	narrow.Channels = 31
	strided := convolving(50)
	strided.StrideH, strided.StrideW, strided.OutH, strided.OutW = 2, 2, 7, 7
	for _, c := range []struct {
		launcher kernels.Launcher
		kernel   string
		blocks   int
	}{
		{kernels.Convolution{Y: 16, X: 16, Weight: 16, Convolving: convolving(128)}, "conv_128x64", 196},
		{kernels.Convolution{Y: 16, X: 16, Weight: 16, Convolving: convolving(50)}, "conv_64x64", 154},
		{kernels.Convolution{Y: 16, X: 16, Weight: 18, Convolving: convolving(128)}, "conv_odd_128x64", 196},
		{kernels.Convolution{Y: 16, X: 16, Weight: 16, Convolving: narrow}, "conv_odd_128x64", 196},
		{kernels.Convolution{Y: 16, Mask: 16, X: 16, Weight: 16, Bias: 16, Convolving: convolving(128), PooledH: 7, PooledW: 7,
			Tail: kernels.ConvolutionBiasReLUPool}, "conv_128x64", 196},
		{kernels.ConvolutionData{Dx: 16, Dy: 16, Weight: 16, Convolving: convolving(128)}, "conv_data_128x32", 196},
		{kernels.ConvolutionData{Dx: 16, Dy: 16, Weight: 16, Convolving: convolving(50)}, "conv_data_64x32", 154},
		{kernels.ConvolutionData{Dx: 16, Dy: 16, Weight: 16, Convolving: strided}, "conv_data_64x32", 4 * 39},
		{kernels.ConvolutionFilter{Dw: 16, X: 16, Dy: 16, Convolving: convolving(50), Parts: 19}, "conv_filter_64x64", 19 * 13},
		{kernels.ConvolutionFilter{Dw: 16, X: 18, Dy: 16, Convolving: convolving(50), Parts: 19}, "conv_filter_odd_64x32", 19 * 25},
	} {
		l, err := c.launcher.Launch(h100)
		if err != nil {
			t.Errorf("%+v: %v", c.launcher, err)
		} else if l.Kernel.Name != c.kernel || l.Blocks != c.blocks || l.Threads != 128 {
			t.Errorf("%+v: %d blocks of %d threads of %s, want %d of %s", c.launcher, l.Blocks, l.Threads, l.Kernel.Name, c.blocks, c.kernel)
		}
	}
}

func TestPartsOfConvolutions(t *testing.T) {
	before := uint32(0)
	for batch := uint32(1); batch < 3000; batch += 7 {
		parts := convolving(batch).FilterParts()
		if parts < max(1, before) || parts > 512 {
			t.Errorf("%d parts for a batch of %d, %d for a smaller one", parts, batch, before)
		}
		before = parts
	}
	if parts := convolving(50).FilterParts(); parts != 19 {
		t.Errorf("%d parts for a batch of 50", parts)
	}
}

func TestConvolutionsThatCannotBe(t *testing.T) {
	for name, change := range map[string]func(*kernels.Convolving){
		"no images":       func(c *kernels.Convolving) { c.Batch = 0 },
		"many images":     func(c *kernels.Convolving) { c.Batch = 1 << 31 },
		"a negative side": func(c *kernels.Convolving) { c.H = -14 },
		"no filters":      func(c *kernels.Convolving) { c.Filters = 0 },
		"no output":       func(c *kernels.Convolving) { c.OutW = 0 },
		"many weights":    func(c *kernels.Convolving) { c.KernelH = 1 << 22 },
		"no stride":       func(c *kernels.Convolving) { c.StrideH = 0 },
		"no dilation":     func(c *kernels.Convolving) { c.DilationW = 0 },
		"far places":      func(c *kernels.Convolving) { c.StrideH = 1 << 30 },
		"far taps":        func(c *kernels.Convolving) { c.DilationH = 1 << 30 },
		"much padding":    func(c *kernels.Convolving) { c.Left = 1 << 25 },
		"less than none":  func(c *kernels.Convolving) { c.Top = -1 << 31 },
	} {
		c := convolving(2)
		change(&c)
		for _, k := range []kernels.Launcher{
			kernels.Convolution{Y: 16, X: 16, Weight: 16, Convolving: c}, kernels.ConvolutionData{Dx: 16, Dy: 16, Weight: 16, Convolving: c},
			kernels.ConvolutionFilter{Dw: 16, X: 16, Dy: 16, Convolving: c, Parts: 1},
		} {
			if _, err := k.Launch(h100); err == nil {
				t.Errorf("%s: launched %+v", name, k)
			}
		}
	}
	for name, k := range map[string]kernels.Launcher{
		"no bias":      kernels.Convolution{Y: 16, X: 16, Weight: 16, Convolving: convolving(2), Tail: kernels.ConvolutionBias},
		"a bias":       kernels.Convolution{Y: 16, X: 16, Weight: 16, Bias: 16, Convolving: convolving(2)},
		"another tail": kernels.Convolution{Y: 16, X: 16, Weight: 16, Bias: 16, Convolving: convolving(2), Tail: 7},
		"a mask":       kernels.Convolution{Y: 16, Mask: 16, X: 16, Weight: 16, Bias: 16, Convolving: convolving(2), Tail: kernels.ConvolutionBiasReLU},
		"no mask": kernels.Convolution{Y: 16, X: 16, Weight: 16, Bias: 16, Convolving: convolving(2), PooledH: 7, PooledW: 7,
			Tail: kernels.ConvolutionBiasReLUPool},
		"no windows": kernels.Convolution{Y: 16, Mask: 16, X: 16, Weight: 16, Bias: 16, Convolving: convolving(2), PooledH: 7,
			Tail: kernels.ConvolutionBiasReLUPool},
		"many windows": kernels.Convolution{Y: 16, Mask: 16, X: 16, Weight: 16, Bias: 16, Convolving: convolving(2), PooledH: 7, PooledW: 8,
			Tail: kernels.ConvolutionBiasReLUPool},
		"no parts":   kernels.ConvolutionFilter{Dw: 16, X: 16, Dy: 16, Convolving: convolving(2)},
		"many parts": kernels.ConvolutionFilter{Dw: 16, X: 16, Dy: 16, Convolving: convolving(2), Parts: 1 << 20},
	} {
		if _, err := k.Launch(h100); err == nil {
			t.Errorf("%s: launched %+v", name, k)
		}
	}
}
