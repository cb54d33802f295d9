// GoMLX is the tutorial's network in GoMLX, on its backend in pure Go.
package main

import (
	"fmt"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/backends/simplego"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/tensors"
	"github.com/gomlx/gomlx/pkg/core/tensors/images"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/bench/peers/serve"
)

func main() {
	serve.Main("gomlx", "github.com/gomlx/gomlx", func(w *serve.Work) (serve.Framework, error) {
		return newNetwork(w)
	})
}

// params lists the parameters and their dimensions, which are the same as gputrain's.
var params = []struct {
	name string
	dims []int
}{
	{"conv1.weight", []int{32, 1, 5, 5}}, {"conv1.bias", []int{32}},
	{"conv2.weight", []int{64, 32, 5, 5}}, {"conv2.bias", []int{64}},
	{"dense1.weight", []int{1000, 64 * 7 * 7}}, {"dense1.bias", []int{1000}},
	{"dense2.weight", []int{10, 1000}}, {"dense2.bias", []int{10}},
}

// errNoTraining tells why there is no training. The gradient of a convolution needs the operation Reverse, that of
// pooling needs SelectAndScatterMax, and that of a slice needs Pad. The backend in pure Go has none of them.
const errNoTraining serve.Unable = "GoMLX's backend in pure Go can't train convolutions: it lacks the operation Reverse"

// network is the tutorial's network as a graph, with its weights.
type network struct {
	work    *serve.Work
	backend backends.Backend
	xs      []*tensors.Tensor // images, by batch
	weights []*tensors.Tensor
	exec    *graph.Exec
	out     []float32
}

func newNetwork(w *serve.Work) (*network, error) {
	if w.Mode == peers.Train {
		return nil, errNoTraining
	}
	backend, err := simplego.New(fmt.Sprintf("parallelism=%d", w.Threads))
	if err != nil {
		return nil, err
	}
	n := &network{work: w, backend: backend}
	for i := range w.Images {
		n.xs = append(n.xs, tensors.FromFlatDataAndDimensions(w.Images[i], w.Batch, 1, 28, 28))
	}
	for _, p := range params {
		n.weights = append(n.weights, tensors.FromFlatDataAndDimensions(w.Weights[p.name], p.dims...))
	}
	n.exec, err = graph.NewExec(backend, func(in []*graph.Node) []*graph.Node {
		return []*graph.Node{graph.Softmax(logits(in[0], in[1:]))}
	})
	return n, err
}

// logits builds the network from images (N, 1, 28, 28) and parameters.
func logits(x *graph.Node, p []*graph.Node) *graph.Node {
	x = convPool(convPool(x, p[0], p[1]), p[2], p[3])
	x = graph.Reshape(x, x.Shape().Dim(0), -1)
	return dense(relu(dense(x, p[4], p[5])), p[6], p[7])
}

// convPool computes a convolution, adds the bias, applies ReLU, and takes the greatest value of each 2x2 block. The
// blocks don't overlap, so they can be axes of their own.
func convPool(x, weight, bias *graph.Node) *graph.Node {
	x = graph.Convolve(x, weight).ChannelsAxis(images.ChannelsFirst).Strides(1).PadSame().Done()
	x = relu(graph.Add(x, graph.Reshape(bias, 1, -1, 1, 1)))
	d := x.Shape().Dimensions
	return graph.ReduceMax(graph.Reshape(x, d[0], d[1], d[2]/2, 2, d[3]/2, 2), 3, 5)
}

func relu(x *graph.Node) *graph.Node { return graph.Max(x, graph.ZerosLike(x)) }

func dense(x, weight, bias *graph.Node) *graph.Node {
	return graph.Add(graph.Einsum("ni,ui->nu", x, weight), graph.Reshape(bias, 1, -1))
}

func (n *network) Settings() string {
	return "backend in pure Go, channels first"
}

// Step is never called, because newNetwork refuses to train.
func (n *network) Step(int) (float64, error) { return 0, errNoTraining }

func (n *network) Infer(i int) ([]float32, error) {
	in := []any{n.xs[i]}
	for _, s := range n.weights {
		in = append(in, s)
	}
	out, err := n.exec.Exec(in...)
	if err != nil {
		return nil, err
	}
	n.out, err = tensors.CopyFlatData[float32](out[0])
	if err != nil {
		return nil, err
	}
	return n.out, out[0].FinalizeAll()
}
