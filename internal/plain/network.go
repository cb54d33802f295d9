package plain

import "math"

// A Network computes the class probabilities of one image after another, by loops in plain Go. Only one goroutine at a
// time may use it.
type Network struct {
	in      shape
	steps   []compiled
	outputs [][]float32 // of the steps; steps whose outputs aren't needed at the same time share memory
	padded  []float32   // one step's input with its padding
	patches []float32   // what some windows of a convolution see
}

// A shape is that of an image: channels, rows and columns. Values are stored channel by channel, row by row.
type shape struct{ C, H, W int }

func (s shape) size() int { return s.C * s.H * s.W }

// A step computes one or several layers of a network.
type step struct {
	Name string // the last of the layers
	Op   string // what it computes, one of the constants below
	From []int  // the steps whose outputs it takes; -1 is the image
	In   shape  // of the first of them
	Out  shape  // of its output
	// Kernel is that of a convolution or of pooling: position (y, x) of the output sees rows y*StrideH-Top+r*DilationH,
	// r < H, of the input, and columns likewise.
	Kernel kernel
	Groups int // of channels, for convolutions
	// Func is applied to the output, unless it is "". Parameter is its slope or alpha.
	Func      string
	Parameter float32
}

type kernel struct {
	H, W, StrideH, StrideW, DilationH, DilationW, Top, Left int
}

// What steps compute. Some have weights, which are stored one step after the other.
const (
	opConv     = "conv"     // weights (filters, channels of a group, KernelH, KernelW), then the filters' biases
	opDense    = "dense"    // weights (outputs, inputs), then the outputs' biases
	opMax      = "max"      // of each window
	opMean     = "mean"     // of each window, of what is inside the image
	opL2       = "l2"       // the root of the sum of squares of each window
	opAffine   = "affine"   // each channel times a factor, plus a constant: the channels' factors, then their constants
	opAdd      = "add"      // the sum of the inputs
	opConcat   = "concat"   // the inputs' channels one after the other
	opMultiply = "multiply" // the product of two inputs; the second may have one value a channel
	opCopy     = "copy"     // the input
)

// compiled is a step with its weights and with what else can be computed before there is an image.
type compiled struct {
	step
	output       int       // its buffer
	weights      []float32 // see packed; for opAffine, factors
	bias         []float32 // a value for each channel of the output
	offsets      []int     // from a window's first value to each of its values, in the padded input
	padH, padW   int       // size of the padded input
	perGroup, of int       // filters of a group; values that one of them sees
}

// block is how many filters and pair how many positions are computed at once: so many sums fit a processor's registers.
const block, pair = 4, 2

// patchValues is how many values of windows are collected at a time. They should stay in a processor's nearest memory.
const patchValues = 1 << 14

// newNetwork returns the network that steps describe for images of shape in. The last step computes the logits. weights
// are the steps' weights, float32 in little-endian order.
func newNetwork(in shape, steps []step, weights string) *Network {
	n := &Network{in: in, steps: make([]compiled, len(steps))}
	next := func(count int) []float32 {
		if len(weights) < 4*count {
			panic("the weights are not those of this network: too few")
		}
		values := make([]float32, count)
		for i := range values {
			b := weights[4*i : 4*i+4]
			values[i] = math.Float32frombits(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)
		}
		weights = weights[4*count:]
		return values
	}
	padded, patches := 0, 0
	for i, s := range steps {
		c := &n.steps[i]
		c.step = s
		switch s.Op {
		case opDense:
			c.of, c.perGroup = s.In.size(), s.Out.C
			c.weights, c.bias = packed(next(c.perGroup*c.of), 1, c.perGroup, c.of, true), next(s.Out.C)
		case opConv:
			c.of, c.perGroup = s.In.C/s.Groups*s.Kernel.H*s.Kernel.W, s.Out.C/s.Groups
			c.weights, c.bias = packed(next(s.Out.C*c.of), s.Groups, c.perGroup, c.of, false), next(s.Out.C)
			c.setOffsets(s.In.C / s.Groups)
			patches = max(patches, c.pairs()*pair*even(c.of))
		case opMax, opMean, opL2:
			c.setOffsets(1)
		case opAffine:
			c.weights, c.bias = next(s.Out.C), next(s.Out.C)
		}
		padded = max(padded, s.In.C*c.padH*c.padW)
	}
	if len(weights) > 0 {
		panic("the weights are not those of this network: too many")
	}
	n.padded, n.patches = make([]float32, padded), make([]float32, patches)
	n.allocate()
	return n
}

// even rounds up to an even number.
func even(n int) int { return n + n&1 }

// packed returns weights (groups, filters, of) in the order in which they are used. Of each four filters of a group, the
// first weights stand side by side, then the second ones. Filters that are left stand one after the other or, with fill,
// beside zeros. Each filter gets a zero at the end if that makes its weights an even number.
func packed(weights []float32, groups, filters, of int, fill bool) []float32 {
	whole := filters / block * block // filters that stand side by side
	if fill {
		whole = (filters + block - 1) / block * block
	}
	all := max(whole, filters)
	out := make([]float32, 0, groups*all*even(of))
	for g := 0; g < groups; g++ {
		for k := 0; k < all; {
			beside := 1
			if k < whole {
				beside = block
			}
			for i := 0; i < even(of); i++ {
				for j := k; j < k+beside; j++ {
					v := float32(0)
					if i < of && j < filters {
						v = weights[(g*filters+j)*of+i]
					}
					out = append(out, v)
				}
			}
			k += beside
		}
	}
	return out
}

// setOffsets computes the size of the padded input, and the offsets in it, for windows over some channels.
func (c *compiled) setOffsets(channels int) {
	w := c.Kernel
	// Rows and columns that no window sees are left out.
	c.padH = max(c.In.H+w.Top, (c.Out.H-1)*w.StrideH+(w.H-1)*w.DilationH+1)
	c.padW = max(c.In.W+w.Left, (c.Out.W-1)*w.StrideW+(w.W-1)*w.DilationW+1)
	for k := 0; k < channels; k++ {
		for r := 0; r < w.H; r++ {
			for s := 0; s < w.W; s++ {
				c.offsets = append(c.offsets, (k*c.padH+r*w.DilationH)*c.padW+s*w.DilationW)
			}
		}
	}
}

// first returns the place of a window's first value in a channel of the padded input.
func (c *compiled) first(position int) int {
	y, x := position/c.Out.W, position%c.Out.W
	return y*c.Kernel.StrideH*c.padW + x*c.Kernel.StrideW
}

// pairs returns how many pairs of positions are computed at a time.
func (c *compiled) pairs() int {
	all := (c.Out.H*c.Out.W + pair - 1) / pair
	return min(all, max(1, patchValues/(pair*even(c.of))))
}

// allocate gives each step memory for its output. It may be that of an earlier step's output that no later step takes.
func (n *Network) allocate() {
	last := make([]int, len(n.steps)) // the last step that takes each output
	for i, s := range n.steps {
		last[i] = i
		for _, from := range s.From {
			if from >= 0 {
				last[from] = i
			}
		}
	}
	last[len(last)-1] = len(last)
	var sizes []int
	var free []int // buffers
	for i := range n.steps {
		s, size := &n.steps[i], n.steps[i].Out.size()
		s.output = -1
		from := s.From[0]
		switch s.Op {
		case opAffine, opAdd, opMultiply, opCopy: // they may replace their first input, value by value
			again := false // a sum takes it once more
			for _, other := range s.From[1:] {
				again = again || other == from
			}
			if from >= 0 && last[from] == i && !again {
				s.output, last[from] = n.steps[from].output, -1
			}
		}
		if s.output < 0 {
			best := -1 // the smallest that is large enough, else the largest
			for k, b := range free {
				switch {
				case best < 0, sizes[b] >= size && (sizes[free[best]] < size || sizes[b] < sizes[free[best]]),
					sizes[b] < size && sizes[b] > sizes[free[best]]:
					best = k
				}
			}
			if best < 0 {
				sizes = append(sizes, 0)
				s.output = len(sizes) - 1
			} else {
				s.output = free[best]
				free = append(free[:best], free[best+1:]...)
			}
			sizes[s.output] = max(sizes[s.output], size)
		}
		for j := 0; j <= i; j++ {
			if last[j] == i {
				free = append(free, n.steps[j].output)
				last[j] = -1
			}
		}
	}
	buffers := make([][]float32, len(sizes))
	for k, size := range sizes {
		buffers[k] = make([]float32, size)
	}
	n.outputs = make([][]float32, len(n.steps))
	for i, s := range n.steps {
		n.outputs[i] = buffers[s.output][:s.Out.size()]
	}
}

// Classify returns the probability of each class for an image. pixels are the image's values, scaled as in training:
// channel by channel, row by row. It panics if there are more or fewer than the network takes.
func (n *Network) Classify(pixels []float32) []float32 {
	n.run(pixels, nil)
	return softmax(n.outputs[len(n.outputs)-1])
}

// run computes all steps. It calls done, unless it is nil, with the output of each, which only lasts until the next step.
func (n *Network) run(pixels []float32, done func(step int, output []float32)) {
	if len(pixels) != n.in.size() {
		panic("the image has another size than the network takes")
	}
	for i := range n.steps {
		s, y := &n.steps[i], n.outputs[i]
		in := func(k int) []float32 {
			if s.From[k] < 0 {
				return pixels
			}
			return n.outputs[s.From[k]]
		}
		x := in(0)
		switch s.Op {
		case opDense:
			s.dense(y, x)
		case opConv:
			s.conv(y, n.pad(s, x, 0), n.patches)
		case opMax:
			s.pool(y, n.pad(s, x, float32(math.Inf(-1))))
		case opMean, opL2:
			s.pool(y, n.pad(s, x, 0))
		case opAffine:
			area := len(y) / s.Out.C
			for k := range y {
				y[k] = x[k]*s.weights[k/area] + s.bias[k/area]
			}
		case opAdd:
			copy(y, x)
			for k := 1; k < len(s.From); k++ {
				for j, v := range in(k) {
					y[j] += v
				}
			}
		case opConcat:
			at := 0
			for k := range s.From {
				at += copy(y[at:], in(k))
			}
		case opMultiply:
			gate := in(1)
			area := len(x) / len(gate)
			for k := range y {
				y[k] = x[k] * gate[k/area]
			}
		case opCopy:
			copy(y, x)
		default:
			panic("there is no operation " + s.Op)
		}
		apply(s.Func, s.Parameter, y)
		if done != nil {
			done(i, y)
		}
	}
}

// pad returns a step's input with its padding.
func (n *Network) pad(c *compiled, x []float32, with float32) []float32 {
	in, top, left := c.In, c.Kernel.Top, c.Kernel.Left
	if c.padH == in.H && c.padW == in.W {
		return x
	}
	out := n.padded[:in.C*c.padH*c.padW]
	for i := range out {
		out[i] = with
	}
	for k := 0; k < in.C; k++ {
		for r := 0; r < in.H; r++ {
			copy(out[(k*c.padH+r+top)*c.padW+left:], x[(k*in.H+r)*in.W:][:in.W])
		}
	}
	return out
}

// conv computes a convolution of the padded input x.
func (c *compiled) conv(y, x, patches []float32) {
	length, positions := even(c.of), c.Out.H*c.Out.W
	channels := c.In.C / c.Groups * c.padH * c.padW // of a group's input
	for from := 0; from < positions; from += c.pairs() * pair {
		to := min(positions, from+c.pairs()*pair)
		for g := 0; g < c.Groups; g++ {
			group := x[g*channels:][:channels]
			// What the windows see: of two positions the first values, then their second ones.
			for p := from; p < to; p += pair {
				a, b := group[c.first(p):], group[c.first(min(p+1, to-1)):]
				patch := patches[(p-from)*length:][:pair*length]
				for i, o := range c.offsets {
					patch[2*i], patch[2*i+1] = a[o], b[o]
				}
				if length > c.of {
					patch[2*c.of], patch[2*c.of+1] = 0, 0
				}
			}
			weights := c.weights[g*c.perGroup*length:][:c.perGroup*length]
			for k := g * c.perGroup; k < (g+1)*c.perGroup; {
				if (g+1)*c.perGroup-k < block {
					row := y[k*positions:][:positions]
					for p := from; p < to; p += pair {
						v0, v1 := one(weights[:length], patches[(p-from)*length:][:pair*length])
						row[p] = v0 + c.bias[k]
						if p+1 < to {
							row[p+1] = v1 + c.bias[k]
						}
					}
					weights = weights[length:]
					k++
					continue
				}
				rows, bias := y[k*positions:][:block*positions], c.bias[k:][:block]
				for p := from; p < to; p += pair {
					v := four(weights[:block*length], patches[(p-from)*length:][:pair*length])
					for j, b := range bias {
						at := j*positions + p
						rows[at] = v[2*j] + b
						if p+1 < to {
							rows[at+1] = v[2*j+1] + b
						}
					}
				}
				weights = weights[block*length:]
				k += block
			}
		}
	}
}

// four returns the sums of products of four filters' weights with the values of two windows.
func four(weights, values []float32) [block * pair]float32 {
	var a0, a1, b0, b1, c0, c1, d0, d1 float32
	for i, n := 0, len(weights)/8; i < n; i++ { // two values of each window at once
		w, x := (*[8]float32)(weights[8*i:]), (*[4]float32)(values[4*i:])
		x0, x1 := x[0], x[1]
		v := w[0]
		a0, a1 = a0+v*x0, a1+v*x1
		v = w[1]
		b0, b1 = b0+v*x0, b1+v*x1
		v = w[2]
		c0, c1 = c0+v*x0, c1+v*x1
		v = w[3]
		d0, d1 = d0+v*x0, d1+v*x1
		x0, x1 = x[2], x[3]
		v = w[4]
		a0, a1 = a0+v*x0, a1+v*x1
		v = w[5]
		b0, b1 = b0+v*x0, b1+v*x1
		v = w[6]
		c0, c1 = c0+v*x0, c1+v*x1
		v = w[7]
		d0, d1 = d0+v*x0, d1+v*x1
	}
	return [block * pair]float32{a0, a1, b0, b1, c0, c1, d0, d1}
}

// one returns the sums of products of one filter's weights with the values of two windows.
func one(weights, values []float32) (v0, v1 float32) {
	for i, n := 0, len(weights)/2; i < n; i++ {
		w, x := (*[2]float32)(weights[2*i:]), (*[4]float32)(values[4*i:])
		v0, v1 = v0+w[0]*x[0], v1+w[0]*x[1]
		v0, v1 = v0+w[1]*x[2], v1+w[1]*x[3]
	}
	return v0, v1
}

// dense computes a fully connected layer.
func (c *compiled) dense(y, x []float32) {
	length := even(c.of)
	for k := 0; k < len(y); k += block {
		weights := c.weights[k*length:][:block*length]
		var a, b, c0, d float32
		for i, v := range x {
			w := (*[4]float32)(weights[4*i:])
			a, b, c0, d = a+v*w[0], b+v*w[1], c0+v*w[2], d+v*w[3]
		}
		for j, v := range [block]float32{a, b, c0, d} {
			if k+j < len(y) {
				y[k+j] = v + c.bias[k+j]
			}
		}
	}
}

// pool computes pooling of the padded input x.
func (c *compiled) pool(y, x []float32) {
	positions := c.Out.H * c.Out.W
	// inside returns how many of a window's rows or columns are inside the image.
	inside := func(at, stride, before, kernel, size int) int {
		from := at*stride - before
		return min(from+kernel, size) - max(from, 0)
	}
	w := c.Kernel
	for i := range y {
		channel, p := i/positions, i%positions
		seen := x[channel*c.padH*c.padW+c.first(p):]
		v := seen[0]
		switch c.Op {
		case opMax:
			for _, o := range c.offsets[1:] {
				v = max(v, seen[o])
			}
		case opMean:
			for _, o := range c.offsets[1:] {
				v += seen[o]
			}
			v /= float32(inside(p/c.Out.W, w.StrideH, w.Top, w.H, c.In.H) * inside(p%c.Out.W, w.StrideW, w.Left, w.W, c.In.W))
		case opL2:
			v *= v
			for _, o := range c.offsets[1:] {
				v += seen[o] * seen[o]
			}
			v = float32(math.Sqrt(float64(v)))
		}
		y[i] = v
	}
}

// softmax returns the probabilities of logits.
func softmax(logits []float32) []float32 {
	most := logits[0]
	for _, v := range logits[1:] {
		most = max(most, v)
	}
	out, sum := make([]float32, len(logits)), 0.0
	for i, v := range logits {
		e := math.Exp(float64(v - most))
		out[i] = float32(e)
		sum += e
	}
	for i := range out {
		out[i] = float32(float64(out[i]) / sum)
	}
	return out
}

// apply applies an activation function with a parameter p to values.
func apply(name string, p float32, values []float32) {
	if name == "relu" { // it is in most networks
		for i, v := range values {
			values[i] = max(v, 0)
		}
		return
	}
	f := function(name)
	if f == nil {
		return
	}
	for i, v := range values {
		values[i] = float32(f(float64(v), float64(p)))
	}
}

// function returns an activation function, or nil if there is none.
func function(name string) func(x, p float64) float64 {
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	switch name {
	case "":
		return nil
	case "leaky_relu":
		return func(x, p float64) float64 {
			if x < 0 {
				return p * x
			}
			return x
		}
	case "tanh":
		return func(x, _ float64) float64 { return math.Tanh(x) }
	case "sigmoid":
		return func(x, _ float64) float64 { return sigmoid(x) }
	case "gelu":
		return func(x, _ float64) float64 { return x * math.Erfc(-x/math.Sqrt2) / 2 }
	case "gelu_tanh":
		return func(x, _ float64) float64 {
			return x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) / 2
		}
	case "silu":
		return func(x, _ float64) float64 { return x * sigmoid(x) }
	case "relu6":
		return func(x, _ float64) float64 { return min(max(x, 0), 6) }
	case "hard_swish":
		return func(x, _ float64) float64 { return x * min(max(x+3, 0), 6) / 6 }
	case "hard_sigmoid":
		return func(x, _ float64) float64 { return min(max(x+3, 0), 6) / 6 }
	case "elu":
		return func(x, p float64) float64 {
			if x > 0 {
				return x
			}
			return p * math.Expm1(x)
		}
	case "mish":
		return func(x, _ float64) float64 {
			return x * math.Tanh(max(x, 0)+math.Log1p(math.Exp(-math.Abs(x))))
		}
	}
	panic("there is no activation function " + name)
}
