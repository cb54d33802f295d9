// Gorgonia is the tutorial's network in Gorgonia.
package main

import (
	"fmt"
	"math"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/bench/peers/serve"
)

func main() {
	serve.Main("gorgonia", "gorgonia.org/gorgonia", func(w *serve.Work) (serve.Framework, error) {
		setBLAS()
		return newNetwork(w)
	})
}

// dims holds the parameters' dimensions. They are gputrain's, except for the dense
// weights, which are (inputs, units), and the biases, which have dimensions for
// broadcasting.
var dims = map[string]tensor.Shape{
	"conv1.weight": {32, 1, 5, 5}, "conv1.bias": {1, 32, 1, 1},
	"conv2.weight": {64, 32, 5, 5}, "conv2.bias": {1, 64, 1, 1},
	"dense1.weight": {64 * 7 * 7, 1000}, "dense1.bias": {1, 1000},
	"dense2.weight": {1000, 10}, "dense2.bias": {1, 10},
}

// network is the tutorial's network as a graph, with its weights.
type network struct {
	work          *serve.Work
	x, y          *gorgonia.Node // images; labels one-hot
	params        gorgonia.Nodes
	xs, ys        []*tensor.Dense // x and y of each batch
	loss          gorgonia.Value
	probabilities gorgonia.Value
	vm            gorgonia.VM
	adam          gorgonia.Solver
	steps         int
}

func newNetwork(w *serve.Work) (*network, error) {
	n := &network{work: w}
	g := gorgonia.NewGraph()
	const classes = 10
	n.x = gorgonia.NewTensor(g, tensor.Float32, 4, gorgonia.WithShape(w.Batch, 1, 28, 28), gorgonia.WithName("x"))
	if w.Mode == peers.Train { // a graph must not have an input that nobody sets
		n.y = gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(w.Batch, classes), gorgonia.WithName("y"))
	}
	for i := range w.Images {
		oneHot := make([]float32, w.Batch*classes)
		for k, label := range w.Labels[i] {
			oneHot[k*classes+int(label)] = 1
		}
		n.xs = append(n.xs, tensor.New(tensor.WithShape(w.Batch, 1, 28, 28), tensor.WithBacking(w.Images[i])))
		n.ys = append(n.ys, tensor.New(tensor.WithShape(w.Batch, classes), tensor.WithBacking(oneHot)))
	}
	b := builder{n: n, g: g}
	h := b.convPool(b.convPool(n.x, "conv1"), "conv2")
	h = b.try(gorgonia.Reshape(h, tensor.Shape{w.Batch, 64 * 7 * 7}))
	h = b.try(gorgonia.Rectify(b.dense(h, "dense1")))
	logits := b.dense(h, "dense2")
	if b.err != nil {
		return nil, b.err
	}
	if w.Mode == peers.Infer {
		gorgonia.Read(b.try(gorgonia.SoftMax(logits)), &n.probabilities)
		n.vm = gorgonia.NewTapeMachine(g)
		return n, b.err
	}
	// The wanted mean, over the batch of sums over the classes, is the mean over both
	// times the number of classes.
	loss := b.try(gorgonia.HadamardProd(b.try(gorgonia.LogSoftMax(logits)), n.y))
	loss = b.try(gorgonia.Mul(b.try(gorgonia.Mean(loss)), gorgonia.NewConstant(float32(-classes))))
	if b.err != nil {
		return nil, b.err
	}
	gorgonia.Read(loss, &n.loss)
	if _, err := gorgonia.Grad(loss, n.params...); err != nil {
		return nil, err
	}
	o := w.Optimizer
	n.adam = gorgonia.NewAdamSolver(gorgonia.WithLearnRate(o.LearningRate), gorgonia.WithBeta1(o.Beta1), gorgonia.WithBeta2(o.Beta2))
	n.vm = gorgonia.NewTapeMachine(g, gorgonia.BindDualValues(n.params...))
	return n, nil
}

// builder builds a graph and keeps the first error.
type builder struct {
	n   *network
	g   *gorgonia.ExprGraph
	err error
}

func (b *builder) try(n *gorgonia.Node, err error) *gorgonia.Node {
	if b.err == nil {
		b.err = err
	}
	return n
}

// param adds a parameter of the work to the graph.
func (b *builder) param(name string) *gorgonia.Node {
	shape := dims[name]
	values := b.n.work.Weights[name]
	if shape.Dims() == 2 && shape[0] > 1 {
		values = transpose(values, shape[1], shape[0])
	}
	t := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(values))
	p := gorgonia.NewTensor(b.g, tensor.Float32, shape.Dims(), gorgonia.WithShape(shape...), gorgonia.WithName(name), gorgonia.WithValue(t))
	b.n.params = append(b.n.params, p)
	return p
}

// transpose returns the transpose of a matrix with the given rows and columns.
func transpose(m []float32, rows, cols int) []float32 {
	t := make([]float32, len(m))
	for r := range rows {
		for c := range cols {
			t[c*rows+r] = m[r*cols+c]
		}
	}
	return t
}

func (b *builder) convPool(x *gorgonia.Node, name string) *gorgonia.Node {
	weight, bias := b.param(name+".weight"), b.param(name+".bias")
	if b.err != nil {
		return nil
	}
	x = b.try(gorgonia.Conv2d(x, weight, tensor.Shape{5, 5}, []int{2, 2}, []int{1, 1}, []int{1, 1}))
	x = b.try(gorgonia.BroadcastAdd(x, bias, nil, []byte{0, 2, 3}))
	x = b.try(gorgonia.Rectify(x))
	return b.try(gorgonia.MaxPool2D(x, tensor.Shape{2, 2}, []int{0, 0}, []int{2, 2}))
}

func (b *builder) dense(x *gorgonia.Node, name string) *gorgonia.Node {
	weight, bias := b.param(name+".weight"), b.param(name+".bias")
	if b.err != nil {
		return nil
	}
	x = b.try(gorgonia.Mul(x, weight))
	return b.try(gorgonia.BroadcastAdd(x, bias, nil, []byte{0}))
}

func (n *network) Settings() string {
	return fmt.Sprintf("tape machine, Adam of its own; BLAS: %s; threads by GOMAXPROCS", blas)
}

func (n *network) run(i int) error {
	n.vm.Reset()
	if err := gorgonia.Let(n.x, n.xs[i]); err != nil {
		return err
	}
	if n.work.Mode == peers.Train {
		if err := gorgonia.Let(n.y, n.ys[i]); err != nil {
			return err
		}
	}
	return n.vm.RunAll()
}

func (n *network) Step(i int) (float64, error) {
	if err := n.run(i); err != nil {
		return 0, err
	}
	loss := n.loss.Data().(float32)
	n.steps++
	// Gorgonia adds epsilon to the root of the corrected second moment,
	// sqrt(v/(1-beta2^t)).
	o := n.work.Optimizer
	gorgonia.WithEps(o.Epsilon / math.Sqrt(1-math.Pow(o.Beta2, float64(n.steps))))(n.adam)
	return float64(loss), n.adam.Step(gorgonia.NodesToValueGrads(n.params))
}

func (n *network) Infer(i int) ([]float32, error) {
	if err := n.run(i); err != nil {
		return nil, err
	}
	return n.probabilities.Data().([]float32), nil
}
