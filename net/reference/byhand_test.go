package reference_test

import (
	"fmt"
	"log"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// A network of one filter follows a 5x5 picture of a seven to three
// probabilities and a loss. docs/tutorial.md does the same with a pencil.
func Example_byHand() {
	seven := []float64{
		1, 1, 1, 1, 1,
		0, 0, 0, 0, 1,
		0, 0, 0, 1, 0,
		0, 0, 1, 0, 0,
		0, 1, 0, 0, 0,
	}
	// The filter answers where it is light above and dark below.
	filter := map[net.Role][]float64{
		net.Weight: {
			1, 1, 1,
			0, 0, 0,
			-1, -1, -1,
		},
		net.Bias: {-1},
	}

	valid := layer(5, 5, &net.Conv{Filters: 1, Kernel: net.Square(3)}, filter)
	show("convolution, VALID", valid, seven)
	same := layer(5, 5, &net.Conv{Filters: 1, Kernel: net.Square(3), Padding: net.PadSame}, filter)
	sums := show("convolution, SAME", same, seven)
	stride := layer(5, 5, &net.Conv{Filters: 1, Kernel: net.Square(3), Stride: net.Square(2), Padding: net.PadSame}, filter)
	show("convolution, SAME, stride 2", stride, seven)

	relu := layer(5, 5, &net.Activation{Func: net.ReLU}, nil)
	rectified := show("ReLU", relu, sums)

	pool := layer(5, 5, &net.Pool{Kernel: net.Square(2), Padding: net.PadSame}, nil)
	pooled := show("max pooling, SAME", pool, rectified)
	pool = layer(5, 5, &net.Pool{Kernel: net.Square(2)}, nil)
	show("max pooling, VALID", pool, rectified)
	pool = layer(5, 5, &net.Pool{Kernel: net.Square(2), Mode: net.MeanPool}, nil)
	show("mean pooling, VALID", pool, rectified)
	pool = layer(5, 5, &net.Pool{Kernel: net.Square(2), Mode: net.L2Pool}, nil)
	show("L2 pooling, VALID", pool, rectified)

	// Three classes: a seven, a one, a two.
	dense := layer(9, 0, &net.Dense{Units: 3}, map[net.Role][]float64{
		net.Weight: {
			0.5, 0.5, 0.5, 0, 0, 0, -1, -1, -1, // a stroke at the top, none at the bottom
			-0.5, -0.5, -0.5, 0, 0, 0, 0, 0, 0, // no stroke at the top
			0, 0.5, 0, 0, 0, 0, 0.5, 0.5, 0.5, // strokes at both
		},
		net.Bias: {0, 1, 0},
	})
	logits := show("dense", dense, pooled)

	for class, name := range []string{"seven", "one", "two"} {
		loss := reference.SoftmaxCrossEntropy(logits, []int32{int32(class)}, 3)
		fmt.Printf("probability of a %-5s %.4f, loss if it is one %.4f\n", name, loss.Probabilities[class], loss.Sum)
	}

	// A step of gradient descent at rate 1, of the dense layer's biases alone.
	loss := reference.SoftmaxCrossEntropy(logits, []int32{0}, 3)
	fmt.Printf("gradient of the logits %.4f\n", loss.Gradient)
	for i, g := range loss.Gradient {
		dense.Params[net.Bias][i] -= g
	}
	logits = show("dense, a step later", dense, pooled)
	loss = reference.SoftmaxCrossEntropy(logits, []int32{0}, 3)
	fmt.Printf("probability of a seven %.4f, loss %.4f\n", loss.Probabilities[0], loss.Sum)
	// Output:
	// convolution, VALID: 1 x 3 x 3
	//   2.00  1.00  1.00
	//  -2.00 -2.00 -1.00
	//  -2.00 -1.00  0.00
	// convolution, SAME: 1 x 5 x 5
	//  -1.00 -1.00 -1.00 -2.00 -2.00
	//   1.00  2.00  1.00  1.00  0.00
	//  -1.00 -2.00 -2.00 -1.00  0.00
	//  -2.00 -2.00 -1.00  0.00  0.00
	//  -1.00  0.00  0.00  0.00 -1.00
	// convolution, SAME, stride 2: 1 x 3 x 3
	//  -1.00 -1.00 -2.00
	//  -1.00 -2.00  0.00
	//  -1.00  0.00 -1.00
	// ReLU: 1 x 5 x 5
	//   0.00  0.00  0.00  0.00  0.00
	//   1.00  2.00  1.00  1.00  0.00
	//   0.00  0.00  0.00  0.00  0.00
	//   0.00  0.00  0.00  0.00  0.00
	//   0.00  0.00  0.00  0.00  0.00
	// max pooling, SAME: 1 x 3 x 3
	//   2.00  1.00  0.00
	//   0.00  0.00  0.00
	//   0.00  0.00  0.00
	// max pooling, VALID: 1 x 2 x 2
	//   2.00  1.00
	//   0.00  0.00
	// mean pooling, VALID: 1 x 2 x 2
	//   0.75  0.50
	//   0.00  0.00
	// L2 pooling, VALID: 1 x 2 x 2
	//   2.24  1.41
	//   0.00  0.00
	// dense: 3
	//   1.50 -0.50  0.50
	// probability of a seven 0.6652, loss if it is one 0.4076
	// probability of a one   0.0900, loss if it is one 2.4076
	// probability of a two   0.2447, loss if it is one 1.4076
	// gradient of the logits [-0.3348 0.0900 0.2447]
	// dense, a step later: 3
	//   1.83 -0.59  0.26
	// probability of a seven 0.7725, loss 0.2582
}

// layer returns a layer of that input: rows and columns, or a number of values
// where there are no columns.
func layer(rows, columns int, l net.Layer, params map[net.Role][]float64) *reference.Layer {
	input := net.Shape{C: 1, H: rows, W: columns}
	if columns == 0 {
		input = net.Shape{C: rows, H: 1, W: 1}
	}
	plan, err := (&net.Network{Input: input, Layers: []net.Layer{l, &net.Flatten{}}}).Plan()
	if err != nil {
		log.Fatal(err)
	}
	return &reference.Layer{Node: plan.Nodes[0], Params: params}
}

// show prints what a layer makes of one sample, row by row.
func show(title string, l *reference.Layer, x []float64) []float64 {
	y := l.Forward([][]float64{x}, 1, net.Evaluation, reference.Place{})
	fmt.Printf("%s: %v\n", title, l.Out)
	width := l.Out.W
	if l.Out.H == 1 {
		width = len(y)
	}
	for i, v := range y {
		fmt.Printf("%6.2f", v)
		if i%width == width-1 {
			fmt.Println()
		}
	}
	return y
}
