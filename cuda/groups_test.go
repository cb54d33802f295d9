//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"testing"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/gputrain/gputrain/cuda/sim"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
)

// grouped is a convolution in groups, with its operands.
type grouped struct {
	in, out  net.Shape
	window   net.Window
	groups   int
	n        int
	x, w, dy []float32
}

// each visits every product that the convolution adds up: the indices of its y, x and w.
func (g grouped) each(visit func(y, x, w int)) {
	win, inC, outC := g.window, g.in.C/g.groups, g.out.C/g.groups
	for n := range g.n {
		for k := range g.out.C {
			for c := range inC {
				channel := k/outC*inC + c
				for p := range g.out.H {
					for q := range g.out.W {
						for r := range win.KernelH {
							for s := range win.KernelW {
								h, v := p*win.StrideH-win.Top+r*win.DilationH, q*win.StrideW-win.Left+s*win.DilationW
								if h < 0 || h >= g.in.H || v < 0 || v >= g.in.W {
									continue
								}
								visit(((n*g.out.C+k)*g.out.H+p)*g.out.W+q, ((n*g.in.C+channel)*g.in.H+h)*g.in.W+v,
									((k*inC+c)*win.KernelH+r)*win.KernelW+s)
							}
						}
					}
				}
			}
		}
	}
}

// products are the three products in float64, by direction.
func (g grouped) products() (all [directions][]float64) {
	all[forward], all[backwardData], all[backwardFilter] = make([]float64, len(g.dy)), make([]float64, len(g.x)), make([]float64, len(g.w))
	g.each(func(y, x, w int) {
		all[forward][y] += float64(g.x[x]) * float64(g.w[w])
		all[backwardData][x] += float64(g.dy[y]) * float64(g.w[w])
		all[backwardFilter][w] += float64(g.dy[y]) * float64(g.x[x])
	})
	return all
}

// TestGroupedConvolutions computes all three products of convolutions in groups with every algorithm that cuDNN offers for
// them.
func TestGroupedConvolutions(t *testing.T) {
	sim.Start(t)
	square := func(kernel, stride, padding int) net.Window {
		return net.Window{KernelH: kernel, KernelW: kernel, StrideH: stride, StrideW: stride, DilationH: 1, DilationW: 1,
			Top: padding, Bottom: padding, Left: padding, Right: padding}
	}
	d, err := Open(Options{Precision: FP32})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	random := testenv.Rand(t)
	for _, c := range []struct {
		name        string
		in, filters int
		groups      int
		window      net.Window
	}{
		{"one group", 4, 6, 1, square(3, 1, 1)},
		{"two groups", 4, 6, 2, square(3, 1, 1)},
		{"two groups of 1x1", 6, 4, 2, square(1, 1, 0)},
		{"depthwise", 5, 5, 5, square(3, 2, 1)},
		{"depthwise with two filters each", 3, 6, 3, square(5, 1, 2)},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := grouped{in: net.Shape{C: c.in, H: 7, W: 8}, window: c.window, groups: c.groups, n: 3}
			outs := func(size int) int { return (size+2*c.window.Top-c.window.KernelH)/c.window.StrideH + 1 }
			g.out = net.Shape{C: c.filters, H: outs(g.in.H), W: outs(g.in.W)}
			draw := func(n int) []float32 { return drawn(n, func() float32 { return 2*random.Float32() - 1 }) }
			g.x, g.dy = draw(g.n*g.in.Size()), draw(g.n*g.out.Size())
			g.w = draw(g.out.C * g.in.C / g.groups * c.window.KernelH * c.window.KernelW)
			if err := d.thread.do(func() error { return g.check(t, d) }); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// check compares what cuDNN computes. It runs on the device's thread.
func (g grouped) check(t *testing.T, d *Device) (err error) {
	p := &program{device: d}
	c, err := newDNNConvolution(p, "grouped", g.in, g.out, g.window, g.groups, g.n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close(), d.pool.give(p.workspaces[mainLane])) }()
	c.needs = [directions]bool{true, true, true}
	if err := c.choose(Heuristic, c.candidates(nil)); err != nil {
		return err
	}
	want := g.products()
	// Each product is a sum of values below 1, rounded in some order; transforms have larger factors on their way.
	tolerance := approx.Tolerance{Abs: 64 * u * float64(g.n*g.out.H*g.out.W)}
	for dir := range direction(directions) {
		for algorithms := len(c.ways[dir]); algorithms > 0; algorithms-- {
			if err := c.reserve(dir); err != nil {
				return err
			}
			var of [3]Buffer // x, w, y
			for i, values := range [][]float32{g.x, g.w, g.dy} {
				if of[i], err = d.pool.take(4*int64(len(values)), "an operand"); err != nil {
					return err
				}
				if err := cu.MemcpyHtoDAsync(of[i].Address, unsafe.Pointer(unsafe.SliceData(values)), 4*int64(len(values)), d.stream); err != nil {
					return err
				}
			}
			id := c.ways[dir][0].id
			if err := c.compute(dir, operands{x: of[0], w: of[1], y: of[2]}, false); err != nil {
				return err
			}
			got := make([]float32, len(want[dir]))
			written := map[direction]Buffer{forward: of[2], backwardData: of[0], backwardFilter: of[1]}[dir]
			if err := cu.MemcpyDtoHAsync(unsafe.Pointer(unsafe.SliceData(got)), written.Address, 4*int64(len(got)), d.stream); err != nil {
				return err
			}
			if err := d.synchronize(); err != nil {
				return err
			}
			approx.Check(t, fmt.Sprintf("%v, algorithm %d", dir, id), got, want[dir], tolerance)
			for _, b := range of {
				if err := d.pool.give(b); err != nil {
					return err
				}
			}
			if algorithms > 1 {
				c.drop(dir)
			}
		}
	}
	return nil
}
