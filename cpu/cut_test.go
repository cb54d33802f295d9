package cpu

import (
	"slices"
	"testing"

	"github.com/gputrain/gputrain/net"
)

// TestSharedSamples evaluates fewer samples than there are threads, so that threads share out each one's output: the bytes must be
// those of one thread, and of a larger mini-batch.
func TestSharedSamples(t *testing.T) {
	relu := &net.Activation{Func: net.ReLU}
	conv := func(filters, kernel, stride, groups int) *net.Conv {
		return &net.Conv{Filters: filters, Kernel: net.Square(kernel), Stride: net.Square(stride), Padding: net.PadSame, Groups: groups}
	}
	n := &net.Network{Name: "shared", Input: net.Shape{C: 3, H: 33, W: 30}, Layers: []net.Layer{
		conv(32, 5, 1, 1), relu, &net.Pool{Kernel: net.Square(2)}, // pooled with the convolution, which few channels make direct
		conv(70, 3, 1, 1), relu, &net.Pool{Kernel: net.Square(2)}, // the same by minimal filtering
		conv(70, 3, 1, 1), &net.BatchNorm{}, relu, // minimal filtering by rows, with tiles that lie over others
		conv(70, 3, 1, 70), &net.BatchNorm{}, &net.Activation{Func: net.ReLU6}, // a filter for each channel
		conv(100, 1, 1, 1), &net.Pool{Kernel: net.Square(3), Stride: net.Square(1)}, conv(50, 3, 2, 2), relu, // tiles, pooling, groups
		&net.Flatten{}, &net.Dense{Units: 40}, relu, &net.Dense{Units: 3},
	}}
	data := randomImages(n.Input, 3, 12)
	for _, tier := range tiers() {
		var want []float32
		for _, c := range []struct{ threads, batch int }{{1, 12}, {1, 1}, {2, 1}, {5, 1}, {5, 3}} {
			d := open(tier, c.threads)(t).(*device)
			p := compile(t, d, n, c.batch)
			var got []float32
			for i := 0; i < 12; i += c.batch {
				b := net.Batch{Data: data}
				for k := range c.batch {
					b.Indices = append(b.Indices, int32(i+k))
				}
				out, err := p.Infer(b)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, out.Float32s()...)
			}
			if want == nil {
				want = got
			}
			if !slices.Equal(got, want) {
				t.Errorf("%v: %d threads and batches of %d compute something else", tier, c.threads, c.batch)
			}
			cut := 0
			for _, op := range p.evaluation.operations {
				if op, ok := op.sample.(cutOp); ok && op.parts() > 1 {
					cut++
				}
			}
			if cut < 4 {
				t.Errorf("%v: only %d operations can be cut", tier, cut)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
