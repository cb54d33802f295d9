package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/gputrain/gputrain/net"
)

// operator says how nodes of an operator are read.
type operator struct {
	inputs int // the least number of inputs
	read   func(*reader, *nodeProto) error
}

// operators are ONNX's operators that are read, besides those that only activation functions are made of.
var operators map[string]operator

func init() { // not at its declaration, because the functions use the table
	operators = map[string]operator{
		"Conv":               {2, (*reader).conv},
		"MaxPool":            {1, (*reader).pool},
		"AveragePool":        {1, (*reader).pool},
		"LpPool":             {1, (*reader).pool},
		"GlobalMaxPool":      {1, (*reader).globalPool},
		"GlobalAveragePool":  {1, (*reader).globalPool},
		"GlobalLpPool":       {1, (*reader).globalPool},
		"ReduceMean":         {1, (*reader).reduce},
		"ReduceMax":          {1, (*reader).reduce},
		"ReduceProd":         {1, (*reader).reduce},
		"BatchNormalization": {5, (*reader).batchNorm},
		"Gemm":               {2, (*reader).gemm},
		"MatMul":             {2, (*reader).matMul},
		"Add":                {2, (*reader).arithmetic},
		"Sub":                {2, (*reader).arithmetic},
		"Mul":                {2, (*reader).arithmetic},
		"Div":                {2, (*reader).arithmetic},
		"Pow":                {2, (*reader).arithmetic},
		"Sum":                {1, (*reader).sum},
		"Concat":             {1, (*reader).concat},
		"Flatten":            {1, (*reader).flatten},
		"Reshape":            {2, (*reader).reshape},
		"Squeeze":            {1, (*reader).squeeze},
		"Unsqueeze":          {1, (*reader).squeeze},
		"Transpose":          {1, (*reader).transpose},
		"Pad":                {1, (*reader).padding},
		"Identity":           {1, (*reader).identity},
		"Dropout":            {1, (*reader).dropout},
		"Cast":               {1, (*reader).cast},
		"Softmax":            {1, (*reader).softmax},
		"LogSoftmax":         {1, (*reader).softmax},
		"Gelu":               {1, (*reader).gelu},
		"Clip":               {1, (*reader).clip},
		"Celu":               {1, (*reader).celu},
		"Shape":              {1, (*reader).shape},
		"Size":               {1, (*reader).shape},
		"Gather":             {2, (*reader).pick},
		"Slice":              {1, (*reader).slice},
		"Split":              {1, (*reader).split},
		"Constant":           {0, (*reader).constantNode},
		"ConstantOfShape":    {1, (*reader).constantOfShape},
		"Sqrt":               {1, (*reader).ofConstant},
		"Exp":                {1, (*reader).ofConstant},
		"Neg":                {1, (*reader).ofConstant},
		"Reciprocal":         {1, (*reader).ofConstant},
	}
}

// refusals say why other operators are not read, where the reason is known.
var refusals = map[string]string{
	"LRN":                       "gputrain has no local response normalisation",
	"LayerNormalization":        "gputrain has no layer normalisation",
	"InstanceNormalization":     "gputrain has no instance normalisation",
	"GroupNormalization":        "gputrain has no group normalisation",
	"RMSNormalization":          "gputrain has no normalisation of that kind",
	"MeanVarianceNormalization": "gputrain has no normalisation of that kind",
	"LpNormalization":           "gputrain has no normalisation of that kind",
	"ConvTranspose":             "gputrain has no transposed convolution",
	"Attention":                 "gputrain has no attention",
	"If":                        "a graph with branches is not read",
	"Loop":                      "a graph with loops is not read",
	"Scan":                      "a graph with loops is not read",
	"QuantizeLinear":            "quantised networks are not read",
	"DequantizeLinear":          "quantised networks are not read",
	"DynamicQuantizeLinear":     "quantised networks are not read",
	"QLinearConv":               "quantised networks are not read",
	"QLinearMatMul":             "quantised networks are not read",
	"ConvInteger":               "quantised networks are not read",
	"MatMulInteger":             "quantised networks are not read",
	"Resize":                    "gputrain has no layer that resizes images",
	"Upsample":                  "gputrain has no layer that resizes images",
	"LSTM":                      "gputrain has no recurrent layers",
	"GRU":                       "gputrain has no recurrent layers",
	"RNN":                       "gputrain has no recurrent layers",
	"Relu":                      "", "Erf": "gputrain has no such activation function by itself",
	"Softplus": "gputrain has no such activation function by itself",
	"Selu":     "gputrain has no such activation function", "Softsign": "gputrain has no such activation function",
	"ThresholdedRelu": "gputrain has no such activation function", "Hardmax": "gputrain has no such activation function",
	"PRelu":  "gputrain's leaky ReLU has one slope from 0 to 1, which is not trained",
	"Shrink": "gputrain has no such activation function",
}

// integer returns an attribute's integer.
func (n *nodeProto) integer(name string, or int64) int64 {
	if a := n.attributes[name]; a != nil {
		return a.number
	}
	return or
}

// float returns an attribute's float.
func (n *nodeProto) float(name string, or float64) float64 {
	if a := n.attributes[name]; a != nil {
		return float64(a.float)
	}
	return or
}

// integers returns an attribute's list, or one input's. ok is false if the node has neither.
func (r *reader) integers(n *nodeProto, attribute string, input int) (list []int, ok bool, err error) {
	if a := n.attributes[attribute]; a != nil {
		list, err := (&array{ints: a.ints, dims: []int{len(a.ints)}}).list()
		return list, true, err
	}
	if input < 0 || input >= len(n.inputs) || n.inputs[input] == "" {
		return nil, false, nil
	}
	c := r.constants[n.inputs[input]]
	if c == nil {
		return nil, false, fmt.Errorf("its %s are computed from the images", attribute)
	}
	list, err = c.list()
	return list, true, err
}

// operand returns a node's input that is computed, and fails for constants and for values that only some operators can take.
func (r *reader) operand(n *nodeProto, input int) (*view, error) {
	v := r.values[n.inputs[input]]
	if v == nil {
		return nil, fmt.Errorf("its input %d is a constant", input)
	}
	return v, v.plain()
}

// weights returns a node's input that is a constant of floats.
func (r *reader) weights(n *nodeProto, input int, what string, rank int) (*array, error) {
	c := r.constants[n.inputs[input]]
	switch {
	case c == nil:
		return nil, fmt.Errorf("its %s are computed from the images", what)
	case c.floats == nil:
		return nil, fmt.Errorf("its %s are integers", what)
	case rank >= 0 && len(c.dims) != rank:
		return nil, fmt.Errorf("its %s have dimensions %v, want %d of them", what, c.dims, rank)
	}
	return c, nil
}

// has reports whether a node has an input.
func (n *nodeProto) has(input int) bool { return input < len(n.inputs) && n.inputs[input] != "" }

// pair returns two sizes of at least 1.
func pair(list []int, ok bool) (net.Pair, error) {
	switch {
	case !ok:
		return net.Pair{}, nil
	case len(list) != 2 || list[0] < 1 || list[1] < 1:
		return net.Pair{}, fmt.Errorf("%v where two sizes are wanted", list)
	}
	if list[0] == 1 && list[1] == 1 {
		return net.Pair{}, nil // the default
	}
	return net.Pair{H: list[0], W: list[1]}, nil
}

func or1(p net.Pair) net.Pair {
	if p == (net.Pair{}) {
		return net.Square(1)
	}
	return p
}

// window reads the attributes of a sliding window over v.
func (r *reader) window(n *nodeProto, v *view, kernel net.Pair) (stride, dilation net.Pair, padding net.Padding, err error) {
	list, ok, err := r.integers(n, "strides", -1)
	if err == nil {
		stride, err = pair(list, ok)
	}
	if err == nil {
		if list, ok, err = r.integers(n, "dilations", -1); err == nil {
			dilation, err = pair(list, ok)
		}
	}
	if err != nil {
		return
	}
	pads, ok, err := r.integers(n, "pads", -1) // top, left, bottom, right
	if err != nil {
		return
	}
	if !ok {
		pads = make([]int, 4)
	}
	if len(pads) != 4 || slices.Min(pads) < 0 {
		err = fmt.Errorf("pads %v: want four numbers of rows and columns", pads)
		return
	}
	mode := "NOTSET"
	if a := n.attributes["auto_pad"]; a != nil && a.text != "" {
		mode = a.text
	}
	switch mode {
	case "NOTSET":
	case "VALID":
		pads = make([]int, 4)
	case "SAME_UPPER", "SAME_LOWER":
		if v.pad != [4]int{} {
			err = errors.New("auto_pad behind a Pad is not read")
			return
		}
		if mode == "SAME_UPPER" {
			return stride, dilation, net.PadSame, nil
		}
		for axis, in := range []int{v.base.H, v.base.W} {
			k, s, d := []int{kernel.H, kernel.W}[axis], []int{or1(stride).H, or1(stride).W}[axis], []int{or1(dilation).H, or1(dilation).W}[axis]
			total := max(((in+s-1)/s-1)*s+(k-1)*d+1-in, 0)
			pads[axis], pads[axis+2] = total-total/2, total/2
		}
	default:
		err = fmt.Errorf("auto_pad %q", mode)
		return
	}
	if n.integer("ceil_mode", 0) != 0 { // windows that begin inside, but end outside
		for axis, in := range []int{v.base.H, v.base.W} {
			k, s, d := []int{kernel.H, kernel.W}[axis], []int{or1(stride).H, or1(stride).W}[axis], []int{or1(dilation).H, or1(dilation).W}[axis]
			whole, extent := in+pads[axis]+pads[axis+2], (k-1)*d+1
			if whole < extent {
				continue // the layer's plan tells
			}
			out := (whole-extent+s-1)/s + 1
			if (out-1)*s >= in+pads[axis] {
				out--
			}
			pads[axis+2] += max((out-1)*s+extent-whole, 0)
		}
	}
	top, left, bottom, right := pads[0]+v.pad[0], pads[1]+v.pad[2], pads[2]+v.pad[1], pads[3]+v.pad[3]
	if top|left|bottom|right != 0 {
		padding = net.Pad(top, bottom, left, right)
	}
	return stride, dilation, padding, nil
}

func (r *reader) conv(n *nodeProto) error {
	v := r.values[n.inputs[0]]
	if v == nil || v.soft {
		return errors.New("its input is a constant, or comes after a softmax")
	}
	perm, err := v.image()
	if err != nil {
		return err
	}
	w, err := r.weights(n, 1, "weights", 4)
	if err != nil {
		return err
	}
	groups := n.integer("group", 1)
	filters, channels, kernel := w.dims[0], w.dims[1], net.Pair{H: w.dims[2], W: w.dims[3]}
	if groups < 1 || groups > mostValues || filters < 1 || kernel.H < 1 || kernel.W < 1 || channels*int(groups) != v.base.C {
		return fmt.Errorf("weights of %v in %d groups for an image of %d channels", w.dims, groups, v.base.C)
	}
	if shape, ok, err := r.integers(n, "kernel_shape", -1); err != nil || ok && !slices.Equal(shape, w.dims[2:]) {
		return fmt.Errorf("kernel_shape %v with weights of %v", shape, w.dims)
	}
	l := &net.Conv{Filters: filters, Kernel: kernel}
	if groups > 1 {
		l.Groups = int(groups)
	}
	if l.Stride, l.Dilation, l.Padding, err = r.window(n, v, kernel); err != nil {
		return err
	}
	params := map[net.Role][]float32{net.Weight: w.floats}
	if perm != nil && groups > 1 {
		if v, err = r.ordered(n, v, perm); err != nil {
			return err
		}
		perm = nil
	}
	if perm != nil {
		area := kernel.H * kernel.W
		moved := make([]float32, len(w.floats))
		for k := range filters {
			for c, p := range perm {
				copy(moved[(k*channels+p)*area:], w.floats[(k*channels+c)*area:][:area])
			}
		}
		params[net.Weight] = moved
	}
	if l.NoBias = !n.has(2); !l.NoBias {
		b, err := r.weights(n, 2, "biases", 1)
		if err != nil {
			return err
		}
		params[net.Bias] = b.floats
	}
	made, err := r.add(n, "", l, params, v)
	if err != nil {
		return err
	}
	r.give(n, laidOut(made, []int{0, made.plan.Out.H, made.plan.Out.W}, 0, nil))
	return nil
}

// ordered adds a layer that puts an image's channels into the order of perm, which may leave some of them out. It is a
// convolution of single pixels with a fixed weight of 1 for each channel.
func (r *reader) ordered(n *nodeProto, v *view, perm []int) (*view, error) {
	weights := make([]float32, len(perm)*v.base.C)
	for i, p := range perm {
		weights[i*v.base.C+p] = 1
	}
	l := &net.Conv{Filters: len(perm), Kernel: net.Square(1), NoBias: true, Frozen: net.Frozen{All: true}}
	made, err := r.add(n, "channels", l, map[net.Role][]float32{net.Weight: weights}, v)
	if err != nil {
		return nil, err
	}
	made.fixed = true
	r.moved++
	return &view{of: made, base: made.plan.Out, dims: []int{made.plan.Out.C, v.base.H, v.base.W}, pad: v.pad}, nil
}

// split reads a node that takes neighbouring channels apart.
func (r *reader) split(n *nodeProto) error {
	v, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	axis := int(n.integer("axis", 0))
	if axis < 0 {
		axis += len(v.dims) + 1
	}
	perm, ok := v.channels(axis - 1)
	if !ok || axis != 1 {
		return fmt.Errorf("along axis %d of a value of dimensions %v is not read: channels are, as the first axis behind the samples'", axis, v.dims)
	}
	sizes, given, err := r.integers(n, "split", 1)
	if err != nil {
		return err
	}
	if !given {
		each := (v.base.C + len(n.outputs) - 1) / len(n.outputs) // the last one has what is left
		for left := v.base.C; left > 0; left -= each {
			sizes = append(sizes, min(each, left))
		}
	}
	sum := 0
	for _, size := range sizes {
		if size < 1 || size > v.base.C {
			return fmt.Errorf("%d channels in parts of %v", v.base.C, sizes)
		}
		sum += size
	}
	if len(sizes) != len(n.outputs) || sum != v.base.C {
		return fmt.Errorf("%d channels in %d parts of %v", v.base.C, len(n.outputs), sizes)
	}
	first := 0
	for i, size := range sizes {
		part, err := r.channelsFrom(n, v, perm, first, first+size)
		if err != nil {
			return err
		}
		first += size
		if n.outputs[i] != "" {
			r.values[n.outputs[i]] = part
		}
	}
	return nil
}

// channelsFrom takes the channels from first up to end, in the order of perm.
func (r *reader) channelsFrom(n *nodeProto, v *view, perm []int, first, end int) (*view, error) {
	var list []int
	for c := first; c < end; c++ {
		if perm != nil {
			list = append(list, perm[c])
		} else {
			list = append(list, c)
		}
	}
	part, err := r.ordered(n, v, list)
	if err == nil {
		part.dims = append([]int{len(list)}, v.dims[1:]...)
	}
	return part, err
}

func (r *reader) pool(n *nodeProto) error {
	v := r.values[n.inputs[0]]
	if v == nil || v.soft {
		return errors.New("its input is a constant, or comes after a softmax")
	}
	perm, err := v.image()
	if err != nil {
		return err
	}
	list, ok, err := r.integers(n, "kernel_shape", -1)
	if err != nil || !ok || len(list) != 2 || slices.Min(list) < 1 {
		return fmt.Errorf("kernel_shape %v: want two sizes", list)
	}
	if len(n.outputs) > 1 && n.outputs[1] != "" && r.uses[n.outputs[1]] > 0 {
		return errors.New("the places of the greatest values are used")
	}
	l := &net.Pool{Kernel: net.Pair{H: list[0], W: list[1]}}
	stride, dilation, padding, err := r.window(n, v, l.Kernel)
	if err != nil {
		return err
	}
	if dilation != (net.Pair{}) {
		return errors.New("pooling with dilation is not read")
	}
	l.Stride, l.Padding = or1(stride), padding
	if l.Stride == l.Kernel {
		l.Stride = net.Pair{}
	}
	var params map[net.Role][]float32
	var made net.Layer = l
	switch n.op {
	case "MaxPool":
		if n.integer("storage_order", 0) != 0 {
			return errors.New("storage_order is not read")
		}
		if v.pad != [4]int{} && !v.positive() {
			return errors.New("zeros are padded where values may be negative, so they may be the greatest")
		}
	case "AveragePool":
		l.Mode = net.MeanPool
		counted := n.integer("count_include_pad", 0) != 0
		switch {
		case padding == (net.Padding{}):
		case counted && n.integer("ceil_mode", 0) != 0:
			return errors.New("ceil_mode with padding that counts is not read")
		case counted && (v.pad == [4]int{} || n.attributes["pads"] == nil || slices.Max(n.attributes["pads"].ints) == 0), v.pad != [4]int{} && !r.padded(n):
			// A mean over padding, too, is a convolution of each channel by itself.
			made = &net.Conv{Filters: v.base.C, Kernel: l.Kernel, Stride: stride, Padding: padding, Groups: v.base.C, NoBias: true, Frozen: net.Frozen{All: true}}
			values := make([]float32, v.base.C*l.Kernel.H*l.Kernel.W)
			for i := range values {
				values[i] = 1 / float32(l.Kernel.H*l.Kernel.W)
			}
			params = map[net.Role][]float32{net.Weight: values}
		case v.pad != [4]int{}:
			return errors.New("pooling with padding behind a Pad is not read")
		}
	case "LpPool":
		if l.Mode = net.L2Pool; n.integer("p", 2) != 2 {
			return errors.New("gputrain has no pooling by other norms than L2")
		}
	}
	added, err := r.add(n, "", made, params, v)
	if err != nil {
		return err
	}
	added.fixed = params != nil
	r.give(n, laidOut(added, []int{0, added.plan.Out.H, added.plan.Out.W}, 0, perm))
	return nil
}

// padded reports whether a node pads by itself.
func (r *reader) padded(n *nodeProto) bool {
	a, auto := n.attributes["pads"], n.attributes["auto_pad"]
	return a != nil && len(a.ints) > 0 && slices.Max(a.ints) > 0 || auto != nil && auto.text != "" && auto.text != "NOTSET" && auto.text != "VALID"
}

// positive reports whether no value is below 0.
func (v *view) positive() bool {
	if v.of == nil {
		return false
	}
	a, ok := v.of.layer.(*net.Activation)
	return ok && slices.Contains([]net.ActivationFunc{net.ReLU, net.ReLU6, net.Sigmoid, net.HardSigmoid}, a.Func)
}

func (r *reader) globalPool(n *nodeProto) error {
	v, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	perm, err := v.image()
	if err != nil {
		return err
	}
	l := &net.Pool{Mode: net.MeanPool, Global: true}
	switch n.op {
	case "GlobalMaxPool":
		l.Mode = net.MaxPool
	case "GlobalLpPool":
		if l.Mode = net.L2Pool; n.integer("p", 2) != 2 {
			return errors.New("gputrain has no pooling by other norms than L2")
		}
	}
	made, err := r.add(n, "", l, nil, v)
	if err != nil {
		return err
	}
	r.give(n, laidOut(made, []int{0, 1, 1}, 0, perm))
	return nil
}

func (r *reader) reduce(n *nodeProto) error {
	axes, given, err := r.integers(n, "axes", 1)
	if err != nil {
		return err
	}
	if c := r.constants[n.inputs[0]]; c != nil {
		if n.op != "ReduceProd" || len(c.dims) != 1 || given && !slices.Equal(axes, []int{0}) {
			return errors.New("of a constant is not read")
		}
		list, err := c.list()
		if err != nil {
			return err
		}
		product := int64(1)
		for _, v := range list {
			if product *= int64(v); product > mostValues || product < -mostValues {
				return errors.New("a product of sizes is too large")
			}
		}
		out := &array{ints: []int64{product}}
		if n.integer("keepdims", 1) != 0 {
			out.dims = []int{1}
		}
		r.giveConstant(n, out)
		return nil
	}
	v, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	if n.op == "ReduceProd" || !given {
		return errors.New("over all axes, or of a product, is not read")
	}
	over := map[int]bool{}
	for _, a := range axes {
		if a < 0 {
			a += len(v.dims) + 1
		}
		over[a-1] = true
	}
	axis := 0
	for over[axis] {
		axis++
	}
	perm, ok := v.channels(axis)
	if !ok || over[-1] || len(over) != len(v.dims)-1 || axis >= len(v.dims) {
		return fmt.Errorf("over the axes %v of a value of dimensions %v is not read: rows and columns are", axes, v.dims)
	}
	if len(v.dims) == 1 {
		r.give(n, v) // the mean of nothing but itself
		return nil
	}
	l := &net.Pool{Mode: net.MeanPool, Global: true}
	if n.op == "ReduceMax" {
		l.Mode = net.MaxPool
	}
	made, err := r.add(n, "", l, nil, v)
	if err != nil {
		return err
	}
	dims := []int{0}
	if n.integer("keepdims", 1) != 0 {
		dims = slices.Repeat([]int{1}, len(v.dims))
	} else {
		axis = 0
	}
	r.give(n, laidOut(made, dims, axis, perm))
	return nil
}

func (r *reader) batchNorm(n *nodeProto) error {
	v, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	perm, ok := v.channels(0)
	if !ok {
		return fmt.Errorf("its input of dimensions %v doesn't have the channels first", v.dims)
	}
	if n.integer("spatial", 1) != 1 {
		return errors.New("statistics for each pixel (spatial=0) are not read")
	}
	params := map[net.Role][]float32{}
	for i, role := range []net.Role{net.Weight, net.Bias, net.RunningMean, net.RunningVar} {
		c, err := r.weights(n, i+1, "values", 1)
		if err != nil {
			return err
		}
		if len(c.floats) != v.base.C {
			return fmt.Errorf("%d values for %d channels", len(c.floats), v.base.C)
		}
		params[role] = slices.Clone(unpermuted(c.floats, perm)) // a node behind may become part of it
	}
	l := &net.BatchNorm{}
	if e := rounded(n.float("epsilon", 1e-5)); e != 1e-5 {
		l.Epsilon = e
	}
	// ONNX's momentum is the share of the old statistics, ours that of the new ones.
	if m := rounded(1 - n.float("momentum", 0.9)); m != 0.1 && m >= 0 && m <= 1 {
		l.Momentum = &m
	}
	made, err := r.add(n, "", l, params, v)
	if err != nil {
		return err
	}
	r.give(n, v.like(made))
	return nil
}

// rounded returns a number that a float32 stands for, in few digits.
func rounded(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, 6-math.Ceil(math.Log10(math.Abs(v))))
	if short := math.Round(v*scale) / scale; math.Abs(short-v) < 1e-7*math.Abs(v)+1e-9 {
		return short
	}
	return v
}

func (r *reader) gemm(n *nodeProto) error {
	w, err := r.weights(n, 1, "weights", 2)
	if err != nil {
		return err
	}
	if n.integer("transA", 0) != 0 {
		return errors.New("transA is not read")
	}
	if n.integer("transB", 0) == 0 {
		w = w.permuted([]int{1, 0})
	}
	if alpha := n.float("alpha", 1); alpha != 1 {
		w = &array{dims: w.dims, floats: w.mapped(func(v float64) float64 { return v * alpha }).floats}
	}
	var bias []float32
	if n.has(2) {
		c, err := r.weights(n, 2, "biases", -1)
		if err != nil {
			return err
		}
		to, err := broadcast(c.dims, []int{1, w.dims[0]})
		if err != nil || !slices.Equal(to, []int{1, w.dims[0]}) {
			return fmt.Errorf("biases of dimensions %v for %d outputs", c.dims, w.dims[0])
		}
		beta := n.float("beta", 1)
		for _, i := range spread(c.dims, to) {
			bias = append(bias, float32(float64(c.floats[i])*beta))
		}
	}
	return r.dense(n, w, bias)
}

func (r *reader) matMul(n *nodeProto) error {
	w, err := r.weights(n, 1, "weights", 2)
	if err != nil {
		return err
	}
	return r.dense(n, w.permuted([]int{1, 0}), nil)
}

// dense reads a product of the last axis with weights (units, inputs). For an image with the channels last, that is a
// convolution of single pixels. bias may be nil.
func (r *reader) dense(n *nodeProto, w *array, bias []float32) error {
	v, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	last := len(v.dims) - 1
	if v.dims[last] != w.dims[1] || w.dims[0] < 1 {
		return fmt.Errorf("weights of %v (units, inputs) for an input of dimensions %v", w.dims, v.dims)
	}
	perm, ok := v.channels(last)
	if !ok {
		return fmt.Errorf("its input of dimensions %v doesn't have the channels last", v.dims)
	}
	units, inputs := w.dims[0], w.dims[1]
	params := map[net.Role][]float32{net.Weight: w.floats, net.Bias: bias}
	if perm != nil {
		moved := make([]float32, len(w.floats))
		for u := range units {
			for i, p := range perm {
				moved[u*inputs+p] = w.floats[u*inputs+i]
			}
		}
		params[net.Weight] = moved
	}
	var l net.Layer = &net.Dense{Units: units, NoBias: bias == nil}
	if v.base.H > 1 || v.base.W > 1 {
		l = &net.Conv{Filters: units, Kernel: net.Square(1), NoBias: bias == nil}
	}
	made, err := r.add(n, "", l, params, v)
	if err != nil {
		return err
	}
	r.give(n, laidOut(made, v.dims, last, nil))
	return nil
}

func (r *reader) arithmetic(n *nodeProto) error {
	a, b := r.constants[n.inputs[0]], r.constants[n.inputs[1]]
	switch {
	case n.attributes["axis"] != nil:
		return errors.New("the way in which opset 6 repeats a smaller tensor is not read")
	case a != nil && b != nil:
		c, err := combine(n.op, a, b)
		if err == nil {
			r.giveConstant(n, c)
		}
		return err
	case n.op == "Pow":
		return errors.New("gputrain has no layer for powers")
	case a != nil:
		return r.withConstant(n, 1, a, true)
	case b != nil:
		return r.withConstant(n, 0, b, false)
	}
	x, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	y, err := r.operand(n, 1)
	if err != nil {
		return err
	}
	switch n.op {
	case "Div":
		return errors.New("gputrain has no layer that divides by computed values")
	case "Sub":
		minus, err := r.add(n, r.layerName(n, &net.Scale{})+"_minus", &net.Scale{Factor: -1}, nil, y)
		if err != nil {
			return err
		}
		y = y.like(minus)
		fallthrough
	case "Add":
		if !slices.Equal(x.dims, y.dims) || x.base != y.base || !slices.Equal(x.order, y.order) {
			return fmt.Errorf("values of dimensions %v and %v are not added", x.dims, y.dims)
		}
		return r.join(n, &net.Add{}, x, y)
	}
	if y.base.Size() > x.base.Size() {
		x, y = y, x
	}
	if x.base != y.base || !slices.Equal(x.order, y.order) || !slices.Equal(x.dims, y.dims) {
		axis, p, ok := x.channelAxis()
		q, ok2 := y.channels(axis)
		if !ok || !ok2 || len(x.dims) != len(y.dims) || y.base.H != 1 || y.base.W != 1 || !slices.Equal(p, q) {
			return fmt.Errorf("values of dimensions %v and %v are not multiplied", x.dims, y.dims)
		}
	}
	return r.join(n, &net.Multiply{}, x, y)
}

// join adds a layer with several inputs, whose output is like the first one's.
func (r *reader) join(n *nodeProto, l net.Layer, ins ...*view) error {
	made, err := r.add(n, "", l, nil, ins...)
	if err == nil {
		r.give(n, ins[0].like(made))
	}
	return err
}

// withConstant reads an operator on a computed value and a constant. first says that the constant comes first.
func (r *reader) withConstant(n *nodeProto, input int, c *array, first bool) error {
	v, err := r.operand(n, input)
	if err != nil {
		return err
	}
	if c.floats == nil {
		return errors.New("of integers is not read")
	}
	if n.op == "Div" && first {
		return errors.New("gputrain has no layer that divides by computed values")
	}
	// y = factor*x + shift
	var apply func(k float32) (factor, shift float32)
	switch n.op {
	case "Add":
		apply = func(k float32) (float32, float32) { return 1, k }
	case "Sub":
		apply = func(k float32) (float32, float32) { return 1, -k }
		if first {
			apply = func(k float32) (float32, float32) { return -1, k }
		}
	case "Mul":
		apply = func(k float32) (float32, float32) { return k, 0 }
	case "Div":
		apply = func(k float32) (float32, float32) { return 1 / k, 0 }
	}
	if k, ok := c.scalar(); ok && len(c.dims) <= len(v.dims)+1 {
		factor, shift := apply(float32(k))
		switch {
		case shift == 0 && factor == 1:
			out := *v
			out.shared = v.shared || r.uses[n.inputs[input]] > 1
			r.give(n, &out)
			return nil
		case shift == 0 && (n.op == "Mul" || n.op == "Div"):
			f := float64(factor)
			if n.op == "Mul" {
				f = rounded(k)
			}
			made, err := r.add(n, "", &net.Scale{Factor: f}, nil, v)
			if err == nil {
				r.give(n, v.like(made))
			}
			return err
		}
	}
	dims := append([]int{1}, v.dims...)
	if to, err := broadcast(c.dims, dims); err != nil || !slices.Equal(to, dims) {
		return fmt.Errorf("a constant of dimensions %v on values of %v", c.dims, v.dims)
	}
	pixels := v.base.H * v.base.W
	factors, shifts := make([]float32, v.base.C), make([]float32, v.base.C)
	set := make([]bool, v.base.C)
	for at, from := range spread(c.dims, dims) {
		if v.order != nil {
			at = int(v.order[at])
		}
		channel := at / pixels
		factor, shift := apply(c.floats[from])
		if set[channel] && (factors[channel] != factor || shifts[channel] != shift) {
			return errors.New("a constant that differs from pixel to pixel is not read")
		}
		factors[channel], shifts[channel], set[channel] = factor, shift, true
	}
	return r.affine(n, v, n.inputs[input], factors, shifts)
}

// affine reads y = factor*x + shift of each channel. It becomes part of the layer before, where that has such values and nothing
// else takes its output; otherwise a convolution of each channel by itself.
func (r *reader) affine(n *nodeProto, v *view, name string, factors, shifts []float32) error {
	plain := !slices.ContainsFunc(factors, func(f float32) bool { return f != 1 })
	if l := v.of; l != nil && !l.fixed && !v.shared && r.uses[name] == 1 {
		if l.affine || l.layer.Kind() == "batchnorm" {
			weight, bias := slices.Clone(l.params[net.Weight]), slices.Clone(l.params[net.Bias])
			for c, f := range factors {
				weight[c] *= f
				bias[c] = bias[c]*f + shifts[c]
			}
			l.params[net.Weight], l.params[net.Bias] = weight, bias
			r.give(n, v)
			return nil
		}
		var missing *bool
		switch layer := l.layer.(type) {
		case *net.Dense:
			missing = &layer.NoBias
		case *net.Conv:
			missing = &layer.NoBias
		}
		if missing != nil && *missing && plain {
			*missing = false
			l.params[net.Bias] = shifts
			var err error
			if l.plan, err = net.PlanLayer(l.layer, l.plan.Ins...); err == nil {
				r.give(n, v)
			}
			return err
		}
	}
	l := &net.Conv{Filters: v.base.C, Kernel: net.Square(1), Groups: v.base.C}
	if v.base.C == 1 {
		l.Groups = 0
	}
	if v.of == nil {
		l.Frozen = net.Frozen{All: true} // it prepares images
	}
	made, err := r.add(n, "", l, map[net.Role][]float32{net.Weight: factors, net.Bias: shifts}, v)
	if err != nil {
		return err
	}
	made.affine = true
	r.give(n, v.like(made))
	return nil
}

func (r *reader) sum(n *nodeProto) error {
	var ins []*view
	for i := range n.inputs {
		v, err := r.operand(n, i)
		if err != nil {
			return err
		}
		if i > 0 && (!slices.Equal(v.dims, ins[0].dims) || v.base != ins[0].base || !slices.Equal(v.order, ins[0].order)) {
			return fmt.Errorf("values of dimensions %v and %v are not added", ins[0].dims, v.dims)
		}
		ins = append(ins, v)
	}
	if len(ins) == 1 {
		r.give(n, ins[0])
		return nil
	}
	return r.join(n, &net.Add{}, ins...)
}

func (r *reader) concat(n *nodeProto) error {
	axis := int(n.integer("axis", 1))
	known := true
	for _, name := range n.inputs {
		known = known && r.constants[name] != nil
	}
	if known {
		return r.concatConstants(n, axis)
	}
	var ins []*view
	var perm []int
	moved := false
	at := 0
	for i := range n.inputs {
		v, err := r.operand(n, i)
		if err != nil {
			return err
		}
		if i == 0 && axis < 0 {
			axis += len(v.dims) + 1
		}
		p, ok := v.channels(axis - 1)
		if !ok || len(v.dims) != len(n.firstDims(r)) {
			return fmt.Errorf("along axis %d of values of dimensions %v is not read: channels are", axis, v.dims)
		}
		for c := range v.base.C {
			to := c
			if p != nil {
				to, moved = p[c], true
			}
			perm = append(perm, at+to)
		}
		at += v.base.C
		ins = append(ins, v)
	}
	if len(ins) == 1 {
		r.give(n, ins[0])
		return nil
	}
	if !moved {
		perm = nil
	}
	made, err := r.add(n, "", &net.Concat{}, nil, ins...)
	if err != nil {
		return err
	}
	r.give(n, laidOut(made, ins[0].dims, axis-1, perm))
	return nil
}

// firstDims returns the dimensions of a node's first input.
func (n *nodeProto) firstDims(r *reader) []int { return r.values[n.inputs[0]].dims }

// concatConstants joins constants along an axis.
func (r *reader) concatConstants(n *nodeProto, axis int) error {
	first := r.constants[n.inputs[0]]
	if axis < 0 {
		axis += len(first.dims)
	}
	if axis != 0 || len(first.dims) != 1 || first.ints == nil {
		return errors.New("of constants is read for lists of integers only")
	}
	out := &array{ints: []int64{}}
	for _, name := range n.inputs {
		c := r.constants[name]
		if c.ints == nil || len(c.dims) != 1 {
			return errors.New("of constants is read for lists of integers only")
		}
		out.ints = append(out.ints, c.ints...)
	}
	out.dims = []int{len(out.ints)}
	r.giveConstant(n, out)
	return nil
}

func (r *reader) flatten(n *nodeProto) error {
	v, err := r.shaped(n)
	if err != nil {
		return err
	}
	axis := n.integer("axis", 1)
	if axis < 0 {
		axis += int64(len(v.dims)) + 1
	}
	if axis != 1 {
		return fmt.Errorf("axis %d is not read: 1 is, which keeps the samples apart", axis)
	}
	return r.asDims(n, v, []int{v.base.Size()})
}

// shaped returns the input of a node that changes nothing but a tensor's dimensions. Such may follow a softmax.
func (r *reader) shaped(n *nodeProto) (*view, error) {
	v := r.values[n.inputs[0]]
	if v == nil {
		return nil, errors.New("of a constant is not read")
	}
	if v.pad != [4]int{} {
		return nil, v.plain()
	}
	return v, nil
}

// asDims gives v other dimensions, whose product is the same.
func (r *reader) asDims(n *nodeProto, v *view, dims []int) error {
	soft := v.soft
	if len(dims) == 1 && len(v.dims) > 1 {
		var err error
		if v, err = r.vector(n, v); err != nil {
			return err
		}
	}
	r.pass(n, view{of: v.of, base: v.base, dims: dims, order: v.order, soft: soft, shared: v.shared})
	return nil
}

func (r *reader) reshape(n *nodeProto) error {
	to := r.constants[n.inputs[1]]
	if to == nil || to.ints == nil || len(to.dims) > 1 {
		return errors.New("its dimensions are computed from the images")
	}
	zeroIsZero := n.integer("allowzero", 0) != 0
	if c := r.constants[n.inputs[0]]; c != nil {
		out, err := c.reshaped(to.ints, zeroIsZero)
		if err == nil {
			r.giveConstant(n, out)
		}
		return err
	}
	v, err := r.shaped(n)
	if err != nil {
		return err
	}
	list := slices.Clone(to.ints)
	why := fmt.Errorf("values of dimensions %v as %v: only the first dimension may be of the samples", v.dims, list)
	if len(list) < 2 {
		return why
	}
	size, free := v.base.Size(), -1
	rest := 1
	var dims []int
	for i, d := range list[1:] {
		if d == 0 && !zeroIsZero && i < len(v.dims) {
			d = int64(v.dims[i])
		}
		switch {
		case d == -1 && free < 0 && list[0] != -1:
			free, d = i, 1
		case d < 1 || d > int64(size):
			return why
		}
		if rest *= int(d); rest > size {
			return why
		}
		dims = append(dims, int(d))
	}
	if free >= 0 {
		dims[free] = size / rest
		rest *= dims[free]
	}
	samples := list[0]
	if rest != size || samples != anyBatch && samples != -1 && (samples != 0 || zeroIsZero) && (samples != r.batch || samples == 0) {
		return why
	}
	return r.asDims(n, v, dims)
}

func (r *reader) squeeze(n *nodeProto) error {
	axes, given, err := r.integers(n, "axes", 1)
	if err != nil {
		return err
	}
	c, v := r.constants[n.inputs[0]], r.values[n.inputs[0]]
	var dims []int
	if c != nil {
		dims = c.dims
	} else {
		if v, err = r.shaped(n); err != nil {
			return err
		}
		dims = append([]int{-1}, v.dims...)
	}
	out, err := squeezed(dims, axes, given, n.op == "Unsqueeze")
	switch {
	case err != nil:
		return err
	case c != nil:
		copied := *c
		copied.dims = out
		r.giveConstant(n, &copied)
		return nil
	case len(out) < 2 || out[0] != -1:
		return fmt.Errorf("axes %v of a value of dimensions %v: the samples must stay the first dimension", axes, v.dims)
	}
	return r.asDims(n, v, out[1:])
}

// squeezed removes axes of size 1, or inserts them.
func squeezed(dims, axes []int, given, insert bool) ([]int, error) {
	rank := len(dims)
	if insert {
		rank += len(axes)
	}
	at := map[int]bool{}
	for _, a := range axes {
		if a < 0 {
			a += rank
		}
		if a < 0 || a >= rank || at[a] {
			return nil, fmt.Errorf("axes %v of %d", axes, rank)
		}
		at[a] = true
	}
	var out []int
	if insert {
		if !given || rank > 16 {
			return nil, errors.New("it has no axes, or too many")
		}
		for i, k := 0, 0; i < rank; i++ {
			if at[i] {
				out = append(out, 1)
				continue
			}
			out = append(out, dims[k])
			k++
		}
		return out, nil
	}
	for i, d := range dims {
		switch {
		case given && !at[i], !given && d != 1:
			out = append(out, d)
		case d != 1:
			return nil, fmt.Errorf("axis %d has %d values, not 1", i, d)
		}
	}
	return out, nil
}

func (r *reader) transpose(n *nodeProto) error {
	axes, given, err := r.integers(n, "perm", -1)
	if err != nil {
		return err
	}
	c, v := r.constants[n.inputs[0]], r.values[n.inputs[0]]
	rank := 0
	if c != nil {
		rank = len(c.dims)
	} else {
		if v, err = r.shaped(n); err != nil {
			return err
		}
		rank = len(v.dims) + 1
	}
	if !given {
		for a := rank - 1; a >= 0; a-- {
			axes = append(axes, a)
		}
	}
	sorted := slices.Clone(axes)
	slices.Sort(sorted)
	for i, a := range sorted {
		if len(axes) != rank || a != i {
			return fmt.Errorf("perm %v of %d axes", axes, rank)
		}
	}
	if c != nil {
		r.giveConstant(n, c.permuted(axes))
		return nil
	}
	if axes[0] != 0 {
		return errors.New("the samples must stay the first dimension")
	}
	out := view{of: v.of, base: v.base, soft: v.soft, shared: v.shared}
	var of []int
	for _, a := range axes[1:] {
		of, out.dims = append(of, a-1), append(out.dims, v.dims[a-1])
	}
	out.order = permutation(v.dims, of)
	same := true
	for i, from := range out.order {
		if v.order != nil {
			out.order[i] = v.order[from]
		}
		same = same && int(out.order[i]) == i
	}
	if same {
		out.order = nil
	}
	if out.order != nil && out.soft {
		return errors.New("it comes after a softmax, which may only be the last operator")
	}
	r.pass(n, out)
	return nil
}

func (r *reader) padding(n *nodeProto) error {
	v, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	fill := n.float("value", 0)
	if n.has(2) {
		var ok bool
		if fill, ok = r.scalar(n.inputs[2]); !ok {
			return errors.New("its value is computed from the images")
		}
	}
	pads, given, err := r.integers(n, "pads", 1)
	if err != nil {
		return err
	}
	if n.has(3) {
		return errors.New("a list of axes is not read")
	}
	rank := len(v.dims) + 1
	if !given || len(pads) != 2*rank {
		return fmt.Errorf("pads %v for %d axes", pads, rank)
	}
	if slices.Max(pads) == 0 && slices.Min(pads) == 0 {
		r.pass(n, *v)
		return nil
	}
	if a := n.attributes["mode"]; a != nil && a.text != "constant" {
		return fmt.Errorf("padding by %q is not read: zeros are", a.text)
	}
	out := *v
	axis, _, ok := v.channelAxis()
	if !ok || len(v.dims) != 3 || fill != 0 || slices.Min(pads) < 0 {
		return fmt.Errorf("pads %v with %v of a value of dimensions %v are not read: zeros around an image are", pads, fill, v.dims)
	}
	rows := 1 // the first axis of pixels, behind the samples'
	if axis == 0 {
		rows = 2
	}
	for i, p := range pads {
		switch i % rank {
		case rows:
			out.pad[i/rank] = p
		case rows + 1:
			out.pad[2+i/rank] = p
		default:
			if p != 0 {
				return fmt.Errorf("pads %v are not read: zeros around an image are", pads)
			}
		}
	}
	r.pass(n, out)
	return nil
}

func (r *reader) identity(n *nodeProto) error {
	if c := r.constants[n.inputs[0]]; c != nil {
		r.giveConstant(n, c)
		return nil
	}
	r.pass(n, *r.values[n.inputs[0]])
	return nil
}

func (r *reader) dropout(n *nodeProto) error {
	v, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	if len(n.outputs) > 1 && r.uses[n.outputs[1]] > 0 {
		return errors.New("its mask is used")
	}
	rate := n.float("ratio", 0.5)
	if n.has(1) {
		var ok bool
		if rate, ok = r.scalar(n.inputs[1]); !ok {
			return errors.New("its ratio is computed from the images")
		}
	}
	if rate == 0 {
		r.pass(n, *v)
		return nil
	}
	made, err := r.add(n, "", &net.Dropout{Rate: rounded(rate)}, nil, v)
	if err != nil {
		return err
	}
	r.give(n, v.like(made))
	return nil
}

func (r *reader) cast(n *nodeProto) error {
	to := elements[n.integer("to", 0)]
	c := r.constants[n.inputs[0]]
	switch {
	case c == nil && to.float:
		return r.identity(n)
	case c == nil:
		return errors.New("computed values as integers are not read")
	case to.width == 0 || c.floats != nil && !to.float:
		return errors.New("of a constant to that type is not read")
	case c.ints != nil && to.float:
		list, err := c.list()
		if err != nil {
			return err
		}
		out := &array{dims: c.dims, floats: make([]float32, len(list))}
		for i, v := range list {
			out.floats[i] = float32(v)
		}
		c = out
	}
	r.giveConstant(n, c)
	return nil
}

func (r *reader) softmax(n *nodeProto) error {
	v, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	or := int64(-1)
	if r.model.opset < 13 {
		or = 1
	}
	axis := n.integer("axis", or)
	if axis < 0 {
		axis += int64(len(v.dims)) + 1
	}
	_, ok := v.channels(int(axis) - 1)
	if !ok || v.base.H != 1 || v.base.W != 1 {
		return fmt.Errorf("over axis %d of a value of dimensions %v is not read: a softmax over classes at the end is left out", axis, v.dims)
	}
	out := *v
	out.soft = true
	r.pass(n, out)
	return nil
}

// unary reads an operator that is an activation function.
func (r *reader) unary(n *nodeProto, a *net.Activation) error {
	v, err := r.operand(n, 0)
	if err != nil {
		return err
	}
	made, err := r.add(n, "", a, nil, v)
	if err != nil {
		return err
	}
	r.give(n, v.like(made))
	return nil
}

func (r *reader) gelu(n *nodeProto) error {
	if a := n.attributes["approximate"]; a != nil && a.text == "tanh" {
		return r.unary(n, &net.Activation{Func: net.GELUTanh})
	}
	return r.unary(n, &net.Activation{Func: net.GELU})
}

func (r *reader) celu(n *nodeProto) error {
	if n.float("alpha", 1) != 1 { // with 1 it is ELU
		return errors.New("gputrain has no such activation function, except with alpha 1")
	}
	return r.unary(n, &net.Activation{Func: net.ELU})
}

func (r *reader) clip(n *nodeProto) error {
	least, ok := r.scalar(n.inputs[1])
	most, ok2 := r.scalar(n.inputs[2])
	if ok && ok2 && math.IsInf(least, -1) && math.IsInf(most, 1) {
		return r.identity(n)
	}
	return fmt.Errorf("gputrain has no activation function that keeps values between %v and %v", least, most)
}

func (r *reader) shape(n *nodeProto) error {
	var dims []int64
	if c := r.constants[n.inputs[0]]; c != nil {
		dims = wide(c.dims)
	} else {
		v, err := r.shaped(n)
		if err != nil {
			return err
		}
		dims = append([]int64{anyBatch}, wide(v.dims)...)
	}
	if n.op == "Size" {
		return errors.New("is not read")
	}
	clamp := func(i int64) int64 {
		if i < 0 {
			i += int64(len(dims))
		}
		return min(max(i, 0), int64(len(dims)))
	}
	from, to := clamp(n.integer("start", 0)), clamp(n.integer("end", int64(len(dims))))
	out := &array{ints: append([]int64{}, dims[from:max(from, to)]...)}
	out.dims = []int{len(out.ints)}
	r.giveConstant(n, out)
	return nil
}

// pick reads Gather of constants.
func (r *reader) pick(n *nodeProto) error {
	c, index := r.constants[n.inputs[0]], r.constants[n.inputs[1]]
	if c == nil || index == nil {
		return errors.New("gputrain has no layer that takes some of the values")
	}
	axis := int(n.integer("axis", 0))
	if axis < 0 {
		axis += len(c.dims)
	}
	list, err := index.list()
	if err != nil {
		return err
	}
	if axis != 0 || len(c.dims) != 1 {
		return errors.New("of constants is read for lists only")
	}
	size := c.dims[0]
	for i, at := range list {
		if at < 0 {
			list[i] += size
		}
		if list[i] < 0 || list[i] >= size {
			return fmt.Errorf("index %d of %d", at, size)
		}
	}
	out := c.picked(0, list)
	out.dims = index.dims
	r.giveConstant(n, out)
	return nil
}

// slice reads Slice of constants, and of channels.
func (r *reader) slice(n *nodeProto) error {
	c, v := r.constants[n.inputs[0]], r.values[n.inputs[0]]
	var dims []int
	if c != nil {
		dims = c.dims
	} else {
		var err error
		if v, err = r.operand(n, 0); err != nil {
			return err
		}
		dims = append([]int{-1}, v.dims...)
	}
	lists := map[string][]int{}
	for i, name := range []string{"starts", "ends", "axes", "steps"} {
		list := []int64(nil)
		switch a := n.attributes[name]; {
		case a != nil:
			list = a.ints
		case n.has(i+1) && r.constants[n.inputs[i+1]] == nil:
			return fmt.Errorf("its %s are computed from the images", name)
		case n.has(i + 1):
			list = r.constants[n.inputs[i+1]].ints
		}
		for _, l := range list { // the end of an axis may be a very large number
			if l == anyBatch {
				return fmt.Errorf("its %s depend on the number of samples", name)
			}
			lists[name] = append(lists[name], int(min(max(l, -mostValues), mostValues)))
		}
	}
	count := len(lists["starts"])
	for i := range count {
		if _, ok := lists["axes"]; !ok || len(lists["axes"]) < count {
			lists["axes"] = append(lists["axes"], i)
		}
		if len(lists["steps"]) < count {
			lists["steps"] = append(lists["steps"], 1)
		}
	}
	if count == 0 || len(lists["ends"]) != count || len(lists["axes"]) != count || len(lists["steps"]) != count {
		return errors.New("its starts, ends, axes and steps are not as many of each")
	}
	for i, axis := range lists["axes"] {
		if axis < 0 {
			axis += len(dims)
		}
		step := lists["steps"][i]
		if axis < 0 || axis >= len(dims) || step == 0 {
			return fmt.Errorf("axis %d of %d in steps of %d", lists["axes"][i], len(dims), step)
		}
		size := dims[axis]
		from, to := lists["starts"][i], lists["ends"][i]
		if from < 0 {
			from += size
		}
		if to < 0 && to > -mostValues { // the number before the first has no other form
			to += size
		}
		var list []int
		if step > 0 {
			for k := max(from, 0); k < min(to, size); k += step {
				list = append(list, k)
			}
		} else {
			for k := min(from, size-1); k > max(to, -1); k += step {
				list = append(list, k)
			}
		}
		if c != nil {
			c = c.picked(axis, list)
			continue
		}
		perm, ok := v.channels(0)
		switch {
		case axis > 0 && len(list) == v.dims[axis-1] && step == 1:
			continue // all of it
		case !ok || axis != 1 || len(list) == 0:
			return fmt.Errorf("of a value of dimensions %v is read for channels only", v.dims)
		}
		if perm != nil {
			for k := range list {
				list[k] = perm[list[k]]
			}
		}
		rest := v.dims[1:]
		made, err := r.ordered(n, v, list)
		if err != nil {
			return err
		}
		made.dims = append([]int{len(list)}, rest...)
		v = made
	}
	switch {
	case c != nil:
		r.giveConstant(n, c)
	case v == r.values[n.inputs[0]]:
		r.pass(n, *v)
	default:
		r.give(n, v)
	}
	return nil
}

func (r *reader) constantNode(n *nodeProto) error {
	for name, a := range n.attributes {
		switch name {
		case "value":
			if a.tensor == nil {
				return errors.New("it has no value")
			}
			c, err := a.tensor.load("")
			if err != nil {
				return err
			}
			c.name = ""
			r.giveConstant(n, c)
			return nil
		case "value_float":
			r.giveConstant(n, &array{floats: []float32{a.float}})
			return nil
		case "value_floats":
			r.giveConstant(n, &array{dims: []int{len(a.floats)}, floats: append([]float32{}, a.floats...)})
			return nil
		case "value_int":
			r.giveConstant(n, &array{ints: []int64{a.number}})
			return nil
		case "value_ints":
			r.giveConstant(n, &array{dims: []int{len(a.ints)}, ints: append([]int64{}, a.ints...)})
			return nil
		}
	}
	return errors.New("it holds no numbers")
}

// mostFilled is the most values that a model's ConstantOfShape nodes may make, all together: 2 GiB.
const mostFilled = 1 << 29

func (r *reader) constantOfShape(n *nodeProto) error {
	c := r.constants[n.inputs[0]]
	if c == nil {
		return errors.New("its dimensions are computed from the images")
	}
	list, err := c.list()
	if err != nil {
		return err
	}
	size, dims, err := sizeOf(wide(list))
	if err != nil {
		return err
	}
	if r.filled += size; r.filled > mostFilled {
		return fmt.Errorf("constants of more than %d values that the file doesn't hold", mostFilled)
	}
	out := &array{dims: dims}
	fill := &array{floats: []float32{0}}
	if a := n.attributes["value"]; a != nil && a.tensor != nil {
		if fill, err = a.tensor.load(""); err != nil || fill.size() != 1 {
			return errors.New("its value is not one number")
		}
	}
	if fill.floats != nil {
		out.floats = make([]float32, size)
		for i := range out.floats {
			out.floats[i] = fill.floats[0]
		}
	} else {
		out.ints = make([]int64, size)
		for i := range out.ints {
			out.ints[i] = fill.ints[0]
		}
	}
	r.giveConstant(n, out)
	return nil
}

// ofConstant reads functions of constants.
func (r *reader) ofConstant(n *nodeProto) error {
	c := r.constants[n.inputs[0]]
	if c == nil || c.floats == nil {
		return errors.New("gputrain has no such activation function")
	}
	r.giveConstant(n, c.mapped(map[string]func(float64) float64{
		"Sqrt": math.Sqrt, "Exp": math.Exp, "Neg": func(v float64) float64 { return -v }, "Reciprocal": func(v float64) float64 { return 1 / v },
	}[n.op]))
	return nil
}
