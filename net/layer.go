package net

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
)

// Layer is one layer of a network, as data: a pointer to one of the structs that
// [Kinds] lists, such as *Conv.
//
// All layers have three fields in common:
//
//   - Name is the layer's name. If it is empty, the layer gets a name from its kind and
//     its number among such layers, "conv1".
//   - From names the layers whose outputs this layer takes. If it is empty, that is the
//     layer before.
//   - Frozen says which of the layer's parameters are not trained.
type Layer interface {
	// Kind is the layer's type as it stands in JSON, such as "conv".
	Kind() string
	// common returns the fields that all layers have.
	common() common
	// plan infers the output shape, window and parameters from the shapes of its inputs.
	plan(in []Shape) (Node, error)
}

// common are the fields that all layers have.
type common struct {
	name   string
	from   From
	frozen *Frozen // the layer's own
}

// From names the layers whose outputs a layer takes, in order. They stand before it in
// the network. "input" is the network's input, unless a layer has that name. An empty
// From means the layer before or, for the first layer, the network's input. In JSON it is
// a name or a list of names.
type From []string

// MarshalJSON writes a single name as a string, and several as a list.
func (f From) MarshalJSON() ([]byte, error) {
	if len(f) == 1 {
		return json.Marshal(f[0])
	}
	return json.Marshal([]string(f))
}

// UnmarshalJSON reads a name or a list of names. An empty list is an error.
func (f *From) UnmarshalJSON(b []byte) error {
	var one string
	if string(b) != "null" && json.Unmarshal(b, &one) == nil {
		*f = From{one}
		return nil
	}
	var list []string
	if err := json.Unmarshal(b, &list); err != nil || len(list) == 0 {
		return fmt.Errorf(`want a layer's name or a list of names, got %s`, b)
	}
	*f = list
	return nil
}

// Frozen says which of a layer's parameters keep their values in training: all, or those
// of some roles. The zero Frozen means none. A frozen parameter has no gradient. All also
// freezes the running statistics of batch normalisation; see [BatchNorm]. In JSON, Frozen
// is true, false, a list of roles, ["weight"], or "always".
type Frozen struct {
	All   bool
	Roles []Role
	// Always says that all are frozen because the layer is a fixed computation, such as one
	// that normalises images. [Network.Freeze] never frees it.
	Always bool
}

// whole reports whether all parameters are frozen.
func (f Frozen) whole() bool { return f.All || f.Always }

// has reports whether parameters of a role are frozen.
func (f Frozen) has(r Role) bool { return f.whole() || slices.Contains(f.Roles, r) }

// IsZero reports whether no parameter is frozen. Then the field is left out of JSON.
func (f Frozen) IsZero() bool { return !f.whole() && len(f.Roles) == 0 }

// alwaysFrozen stands for Frozen.Always in JSON.
const alwaysFrozen = "always"

// MarshalJSON writes true, false, a list of roles or "always".
func (f Frozen) MarshalJSON() ([]byte, error) {
	switch {
	case f.Always:
		return json.Marshal(alwaysFrozen)
	case f.All || len(f.Roles) == 0:
		return json.Marshal(f.All)
	}
	return json.Marshal(f.Roles)
}

// UnmarshalJSON reads true, false, a list of roles or "always".
func (f *Frozen) UnmarshalJSON(b []byte) error {
	var in Frozen
	if string(b) == `"`+alwaysFrozen+`"` {
		in.Always = true
	} else if json.Unmarshal(b, &in.All) != nil && json.Unmarshal(b, &in.Roles) != nil {
		return fmt.Errorf(`want true, false, a list of roles such as ["weight"], or "always", got %s`, b)
	}
	*f = in
	return nil
}

// Conv is a two-dimensional convolution (cross-correlation, as in cuDNN and
// TensorFlow):
//
//	y[n,k,oh,ow] = bias[k] + sum over c,r,s of weight[k,c,r,s] * x[n,c0+c,ih,iw]
//
// [Window] defines ih and iw. With one group, c0 is 0 and c runs over all input channels.
// With more groups, filters and input channels are divided into groups of neighbours. A
// filter sees only the channels of its own group: c0 is the group's first channel. With as
// many groups as channels it is a depthwise convolution.
//
// Parameters: weight (Filters, C/Groups, KernelH, KernelW), bias (Filters).
type Conv struct {
	Name       string      `json:"name,omitempty"`
	From       From        `json:"from,omitempty"`
	Filters    int         `json:"filters"`
	Kernel     Pair        `json:"kernel"`
	Stride     Pair        `json:"stride,omitzero"`   // default 1
	Dilation   Pair        `json:"dilation,omitzero"` // default 1
	Padding    Padding     `json:"padding,omitzero"`  // default Valid
	Groups     int         `json:"groups,omitempty"`  // default 1; must divide the numbers of channels and of filters
	NoBias     bool        `json:"no_bias,omitempty"`
	WeightInit Initializer `json:"weight_init,omitzero"` // default He
	BiasInit   Initializer `json:"bias_init,omitzero"`   // default zeros
	Frozen     Frozen      `json:"frozen,omitzero"`
}

// PoolMode says how pooling computes one value from a window.
type PoolMode string

// The pooling modes. None counts padding.
const (
	MaxPool  PoolMode = "max"  // the greatest value; the gradient goes to the first one of equals, in row-major order
	MeanPool PoolMode = "mean" // the mean of the values inside the input
	L2Pool   PoolMode = "l2"   // the square root of the sum of squares; its gradient is 0 where the output is 0
)

// Pool is two-dimensional pooling of each channel.
type Pool struct {
	Name    string   `json:"name,omitempty"`
	From    From     `json:"from,omitempty"`
	Mode    PoolMode `json:"mode,omitempty"`   // default MaxPool
	Global  bool     `json:"global,omitempty"` // one window over the whole input; then Kernel, Stride and Padding must be zero
	Kernel  Pair     `json:"kernel,omitzero"`
	Stride  Pair     `json:"stride,omitzero"`  // default: the kernel
	Padding Padding  `json:"padding,omitzero"` // default Valid
	Frozen  Frozen   `json:"frozen,omitzero"`
}

// Activation applies a function of [Functions] to each value.
type Activation struct {
	Name   string         `json:"name,omitempty"`
	From   From           `json:"from,omitempty"`
	Func   ActivationFunc `json:"func"`
	Slope  *float64       `json:"slope,omitempty"` // for LeakyReLU only: the slope for values below 0, from 0 to 1; nil means 0.01
	Alpha  *float64       `json:"alpha,omitempty"` // for ELU only, which falls to -Alpha: from 0 to 10; nil means 1
	Frozen Frozen         `json:"frozen,omitzero"`
}

// Dropout sets each value to 0 with probability Rate in training, and multiplies the
// others by 1/(1-Rate). In evaluation it changes nothing. [DropoutKeep] says which values
// stay.
type Dropout struct {
	Name   string  `json:"name,omitempty"`
	From   From    `json:"from,omitempty"`
	Rate   float64 `json:"rate"` // 0 <= Rate < 1
	Frozen Frozen  `json:"frozen,omitzero"`
}

// BatchNorm normalises each channel and then scales and shifts it (Ioffe and
// Szegedy, 2015):
//
//	y = weight[c] * (x - mean) / sqrt(var + Epsilon) + bias[c]
//
// In training, mean and var are the mean and the biased variance of the mini-batch, over
// N, H and W. The running statistics move:
//
//	running = (1-Momentum)*running + Momentum*batch
//
// For the running variance, the batch's variance is the unbiased one: it is multiplied by
// m/max(m-1,1), where m = N*H*W. In evaluation, mean and var are the running statistics.
//
// If all of the layer is frozen, it is settled: it computes in training what it computes
// in evaluation, and its running statistics keep their values. (As in Keras.) If only the
// weight or the bias is frozen, or both are by their roles, it is not settled.
//
// The mean of one value is that value. So if H and W are 1, [Train] and [FindRate] refuse
// mini-batches of one sample, also as the last one of an epoch.
//
// Parameters, all (C): weight, bias, running_mean, running_var. The optimiser does not
// train the last two.
type BatchNorm struct {
	Name     string   `json:"name,omitempty"`
	From     From     `json:"from,omitempty"`
	Momentum *float64 `json:"momentum,omitempty"` // from 0 to 1; nil means 0.1
	Epsilon  float64  `json:"epsilon,omitempty"`  // above 0; default 1e-5
	Frozen   Frozen   `json:"frozen,omitzero"`
}

// Flatten turns an image (C, H, W) into a flat vector (C*H*W, 1, 1). The values keep
// their order.
type Flatten struct {
	Name   string `json:"name,omitempty"`
	From   From   `json:"from,omitempty"`
	Frozen Frozen `json:"frozen,omitzero"`
}

// Dense is a fully connected layer. Its input is flat, (C, 1, 1):
//
//	y[n,u] = bias[u] + sum over i of weight[u,i] * x[n,i]
//
// Parameters: weight (Units, inputs), bias (Units).
type Dense struct {
	Name       string      `json:"name,omitempty"`
	From       From        `json:"from,omitempty"`
	Units      int         `json:"units"`
	NoBias     bool        `json:"no_bias,omitempty"`
	WeightInit Initializer `json:"weight_init,omitzero"` // default He
	BiasInit   Initializer `json:"bias_init,omitzero"`   // default zeros
	Frozen     Frozen      `json:"frozen,omitzero"`
}

// Add adds two or more inputs of the same shape, value by value.
type Add struct {
	Name   string `json:"name,omitempty"`
	From   From   `json:"from,omitempty"`
	Frozen Frozen `json:"frozen,omitzero"`
}

// Concat puts the channels of two or more inputs one after the other. All inputs have
// the same number of rows and of columns.
type Concat struct {
	Name   string `json:"name,omitempty"`
	From   From   `json:"from,omitempty"`
	Frozen Frozen `json:"frozen,omitzero"`
}

// Multiply multiplies two inputs value by value. The second input has the shape of the
// first, or (C, 1, 1). In that case it is a gate, with one value for each channel of a
// sample, as in squeeze-and-excitation (Hu et al., 2018).
type Multiply struct {
	Name   string `json:"name,omitempty"`
	From   From   `json:"from,omitempty"`
	Frozen Frozen `json:"frozen,omitzero"`
}

// Scale multiplies each value by a fixed factor, such as 1/9 for logits.
type Scale struct {
	Name   string  `json:"name,omitempty"`
	From   From    `json:"from,omitempty"`
	Factor float64 `json:"factor"` // not 0
	Frozen Frozen  `json:"frozen,omitzero"`
}

// Kind describes a kind of layer.
type Kind struct {
	Name    string // the type in JSON, which [Layer]'s Kind returns
	Title   string // for people
	Summary string // what it does, in a line
	New     func() Layer
	Form    Form // whether its output is an image or a vector
	// Keeps says that in evaluation the output has the values of the input, in the same
	// order. A display of such an output shows nothing new.
	Keeps bool
	// Inputs holds the least and the greatest number of inputs. 0 as the greatest means
	// no limit.
	Inputs [2]int
	// Examples are layers of this kind, for tests of all code that handles kinds of
	// layers.
	Examples []Example
}

// Form says whether a kind's outputs are vectors or images; see [Node].Flat.
type Form int

// The forms.
const (
	SameForm Form = iota // a vector if all inputs are vectors, else an image
	Image
	Vector
)

// Example is a layer and the shapes of its inputs.
type Example struct {
	Layer Layer
	In    []Shape
}

// Kinds returns all kinds of layers.
func Kinds() []Kind {
	image := Shape{4, 6, 6}
	on := func(l Layer, in ...Shape) Example { return Example{l, in} }
	one, two, many := [2]int{1, 1}, [2]int{2, 2}, [2]int{2, 0}
	return []Kind{
		{"conv", "convolution", "filters over an image, all channels or groups of them", func() Layer { return &Conv{} }, Image, false, one, []Example{
			on(&Conv{Filters: 6, Kernel: Square(3), Padding: PadSame}, image),
			on(&Conv{Filters: 6, Kernel: Square(3), Groups: 2, Stride: Square(2)}, image),
			on(&Conv{Filters: 8, Kernel: Pair{3, 2}, Groups: 4, NoBias: true}, image),
		}},
		{"pool", "pooling", "the maximum, the mean or the L2 norm of each window", func() Layer { return &Pool{} }, Image, false, one, []Example{
			on(&Pool{Kernel: Square(2)}, image),
			on(&Pool{Mode: MeanPool, Global: true}, image),
			on(&Pool{Mode: L2Pool, Kernel: Square(3), Stride: Square(2), Padding: PadSame}, image),
		}},
		{"activation", "activation", "a function of each value", func() Layer { return &Activation{} }, SameForm, false, one, functionExamples(image)},
		{"dropout", "dropout", "values set to 0 by chance, in training", func() Layer { return &Dropout{} }, SameForm, true, one, []Example{on(&Dropout{Rate: 0.3}, image)}},
		{"batchnorm", "batch normalisation", "each channel with mean 0 and variance 1, then scaled and shifted", func() Layer { return &BatchNorm{} }, SameForm, false, one, []Example{
			on(&BatchNorm{}, image),
			on(&BatchNorm{Frozen: Frozen{Roles: []Role{Weight}}}, image),
			on(&BatchNorm{Frozen: Frozen{All: true}}, image),
		}},
		{"flatten", "flatten", "an image as a vector", func() Layer { return &Flatten{} }, Vector, true, one, []Example{on(&Flatten{}, image)}},
		{"dense", "fully connected", "every output a weighted sum of all inputs", func() Layer { return &Dense{} }, Vector, false, one, []Example{on(&Dense{Units: 5}, Shape{7, 1, 1})}},
		{"add", "addition", "the sum of its inputs", func() Layer { return &Add{} }, SameForm, false, many, []Example{
			on(&Add{}, image, image),
			on(&Add{}, image, image, image),
		}},
		{"concat", "concatenation", "the channels of all its inputs", func() Layer { return &Concat{} }, SameForm, false, many, []Example{on(&Concat{}, image, Shape{3, 6, 6}, Shape{1, 6, 6})}},
		{"multiply", "multiplication", "the product of two inputs, or channels by a gate", func() Layer { return &Multiply{} }, SameForm, false, two, []Example{
			on(&Multiply{}, image, image),
			on(&Multiply{}, image, Shape{4, 1, 1}),
		}},
		{"scale", "scale", "each value times a fixed factor", func() Layer { return &Scale{} }, SameForm, false, one, []Example{on(&Scale{Factor: 0.125}, image)}},
	}
}

// KindNamed returns the kind of layer with this name, such as "conv", and whether there is one.
func KindNamed(name string) (Kind, bool) {
	k, ok := kindsByName()[name]
	return k, ok
}

var kindsByName = sync.OnceValue(func() map[string]Kind {
	m := map[string]Kind{}
	for _, k := range Kinds() {
		m[k.Name] = k
	}
	return m
})

// Kind returns "conv".
func (*Conv) Kind() string { return "conv" }

// Kind returns "pool".
func (*Pool) Kind() string { return "pool" }

// Kind returns "activation".
func (*Activation) Kind() string { return "activation" }

// Kind returns "dropout".
func (*Dropout) Kind() string { return "dropout" }

// Kind returns "batchnorm".
func (*BatchNorm) Kind() string { return "batchnorm" }

// Kind returns "flatten".
func (*Flatten) Kind() string { return "flatten" }

// Kind returns "dense".
func (*Dense) Kind() string { return "dense" }

// Kind returns "add".
func (*Add) Kind() string { return "add" }

// Kind returns "concat".
func (*Concat) Kind() string { return "concat" }

// Kind returns "multiply".
func (*Multiply) Kind() string { return "multiply" }

// Kind returns "scale".
func (*Scale) Kind() string { return "scale" }

func (l *Conv) common() common       { return common{l.Name, l.From, &l.Frozen} }
func (l *Pool) common() common       { return common{l.Name, l.From, &l.Frozen} }
func (l *Activation) common() common { return common{l.Name, l.From, &l.Frozen} }
func (l *Dropout) common() common    { return common{l.Name, l.From, &l.Frozen} }
func (l *BatchNorm) common() common  { return common{l.Name, l.From, &l.Frozen} }
func (l *Flatten) common() common    { return common{l.Name, l.From, &l.Frozen} }
func (l *Dense) common() common      { return common{l.Name, l.From, &l.Frozen} }
func (l *Add) common() common        { return common{l.Name, l.From, &l.Frozen} }
func (l *Concat) common() common     { return common{l.Name, l.From, &l.Frozen} }
func (l *Multiply) common() common   { return common{l.Name, l.From, &l.Frozen} }
func (l *Scale) common() common      { return common{l.Name, l.From, &l.Frozen} }

func (l *Conv) plan(in []Shape) (Node, error) {
	x := in[0]
	groups := l.GroupCount()
	if l.Filters < 1 {
		return Node{}, fmt.Errorf("filters must be at least 1, got %d", l.Filters)
	}
	if groups < 1 || x.C%groups != 0 || l.Filters%groups != 0 {
		return Node{}, fmt.Errorf("groups must divide the %d input channels and the %d filters, got %d", x.C, l.Filters, groups)
	}
	win, err := resolveWindow(x.H, x.W, l.Kernel, l.Stride.or(Square(1)), l.Dilation.or(Square(1)), l.Padding)
	if err != nil {
		return Node{}, err
	}
	area, err := product(l.Kernel.H, l.Kernel.W)
	if err != nil {
		return Node{}, err
	}
	fanIn, err := product(x.C/groups, area)
	if err != nil {
		return Node{}, err
	}
	fanOut, err := product(l.Filters/groups, area)
	if err != nil {
		return Node{}, err
	}
	p := Node{
		Out:    Shape{l.Filters, win.OutH, win.OutW},
		Window: win,
		Params: []Param{{
			Role: Weight, Dims: []int{l.Filters, x.C / groups, l.Kernel.H, l.Kernel.W}, Trained: true, Decayed: true,
			Init: l.WeightInit.or(Initializer{Method: He}), FanIn: fanIn, FanOut: fanOut, Groups: groups,
		}},
	}
	if !l.NoBias {
		p.Params = append(p.Params, bias(l.Filters, l.BiasInit, fanIn, fanOut))
	}
	return p, nil
}

// GroupCount returns the number of groups: Groups, or 1 if that is 0.
func (l *Conv) GroupCount() int {
	if l.Groups == 0 {
		return 1
	}
	return l.Groups
}

func (l *Pool) plan(in []Shape) (Node, error) {
	x := in[0]
	switch l.Mode {
	case "", MaxPool, MeanPool, L2Pool:
	default:
		return Node{}, fmt.Errorf(`unknown pooling mode %q (want "max", "mean" or "l2")`, l.Mode)
	}
	kernel, stride := l.Kernel, l.Stride.or(l.Kernel)
	if l.Global {
		if l.Kernel != (Pair{}) || l.Stride != (Pair{}) || l.Padding != (Padding{}) {
			return Node{}, fmt.Errorf("global pooling takes no kernel, stride or padding")
		}
		kernel, stride = Pair{x.H, x.W}, Square(1)
	}
	win, err := resolveWindow(x.H, x.W, kernel, stride, Square(1), l.Padding)
	if err != nil {
		return Node{}, err
	}
	return Node{Out: Shape{x.C, win.OutH, win.OutW}, Window: win}, nil
}

// PoolMode returns Mode, or MaxPool if that is empty.
func (l *Pool) PoolMode() PoolMode {
	if l.Mode == "" {
		return MaxPool
	}
	return l.Mode
}

func (l *Activation) plan(in []Shape) (Node, error) {
	f, ok := FunctionNamed(l.Func)
	if !ok {
		return Node{}, fmt.Errorf("unknown activation %q (want %s)", l.Func, functionNames())
	}
	for _, p := range l.parameters() {
		if p.given == nil {
			continue
		}
		if f.Parameter.Name != p.name {
			return Node{}, fmt.Errorf("%s has no %s", l.Func, p.name)
		}
		if v := *p.given; !(v >= f.Parameter.Least && v <= f.Parameter.Most) {
			return Node{}, fmt.Errorf("%s must be from %v to %v, got %v", p.name, f.Parameter.Least, f.Parameter.Most, v)
		}
	}
	return Node{Out: in[0]}, nil
}

// parameters returns the fields that are parameters of functions.
func (l *Activation) parameters() []struct {
	name  string
	given *float64
} {
	return []struct {
		name  string
		given *float64
	}{{"slope", l.Slope}, {"alpha", l.Alpha}}
}

// Parameter returns the value of the function's parameter, or its default if it is not
// set. It returns 0 if the function has no parameter.
func (l *Activation) Parameter() float64 {
	f, _ := FunctionNamed(l.Func)
	for _, p := range l.parameters() {
		if p.given != nil && p.name == f.Parameter.Name {
			return *p.given
		}
	}
	return f.Parameter.Default
}

func (l *Dropout) plan(in []Shape) (Node, error) {
	if !(l.Rate >= 0 && l.Rate < 1) {
		return Node{}, fmt.Errorf("rate must be at least 0 and less than 1, got %v", l.Rate)
	}
	return Node{Out: in[0]}, nil
}

func (l *BatchNorm) plan(in []Shape) (Node, error) {
	momentum, epsilon := l.Settings()
	if !(momentum >= 0 && momentum <= 1) {
		return Node{}, fmt.Errorf("momentum must be from 0 to 1, got %v", momentum)
	}
	if e := float64(float32(epsilon)); !(e > 0) || math.IsInf(e, 0) {
		return Node{}, fmt.Errorf("epsilon must be a float32 above 0, got %v", epsilon)
	}
	dims := []int{in[0].C}
	return Node{Out: in[0], Params: []Param{
		{Role: Weight, Dims: dims, Trained: true, Init: Initializer{Method: Ones}},
		{Role: Bias, Dims: dims, Trained: true, Init: Initializer{Method: Zeros}},
		{Role: RunningMean, Dims: dims, Init: Initializer{Method: Zeros}},
		{Role: RunningVar, Dims: dims, Init: Initializer{Method: Ones}},
	}}, nil
}

// Settled reports whether the layer normalises by its running statistics in training too,
// and leaves them as they are: whether all of it is frozen.
func (l *BatchNorm) Settled() bool { return l.Frozen.whole() }

// Settings returns Momentum and Epsilon, each with its default if it is not set.
func (l *BatchNorm) Settings() (momentum, epsilon float64) {
	momentum, epsilon = 0.1, 1e-5
	if l.Momentum != nil {
		momentum = *l.Momentum
	}
	if l.Epsilon != 0 {
		epsilon = l.Epsilon
	}
	return momentum, epsilon
}

func (l *Flatten) plan(in []Shape) (Node, error) {
	return Node{Out: Shape{in[0].Size(), 1, 1}}, nil
}

func (l *Dense) plan(in []Shape) (Node, error) {
	x := in[0]
	if l.Units < 1 {
		return Node{}, fmt.Errorf("units must be at least 1, got %d", l.Units)
	}
	if x.H != 1 || x.W != 1 {
		return Node{}, fmt.Errorf("a dense layer needs a flat input: put a flatten layer before it")
	}
	p := Node{
		Out: Shape{l.Units, 1, 1},
		Params: []Param{{
			Role: Weight, Dims: []int{l.Units, x.C}, Trained: true, Decayed: true,
			Init: l.WeightInit.or(Initializer{Method: He}), FanIn: x.C, FanOut: l.Units,
		}},
	}
	if !l.NoBias {
		p.Params = append(p.Params, bias(l.Units, l.BiasInit, x.C, l.Units))
	}
	return p, nil
}

func bias(n int, init Initializer, fanIn, fanOut int) Param {
	return Param{Role: Bias, Dims: []int{n}, Trained: true, Init: init.or(Initializer{Method: Zeros}), FanIn: fanIn, FanOut: fanOut}
}

func (l *Add) plan(in []Shape) (Node, error) {
	for _, s := range in[1:] {
		if s != in[0] {
			return Node{}, fmt.Errorf("inputs that are added must have one shape")
		}
	}
	return Node{Out: in[0]}, nil
}

func (l *Concat) plan(in []Shape) (Node, error) {
	out := in[0]
	for _, s := range in[1:] {
		if s.H != out.H || s.W != out.W {
			return Node{}, fmt.Errorf("inputs that are concatenated must have the same rows and columns")
		}
		out.C += s.C
	}
	return Node{Out: out}, nil
}

func (l *Multiply) plan(in []Shape) (Node, error) {
	if x, y := in[0], in[1]; y != x && y != (Shape{x.C, 1, 1}) {
		return Node{}, fmt.Errorf("the second input must have the shape of the first, or be a gate of %v", Shape{x.C, 1, 1})
	}
	return Node{Out: in[0]}, nil
}

func (l *Scale) plan(in []Shape) (Node, error) {
	if f := float64(float32(l.Factor)); !finite(f) || f == 0 {
		return Node{}, fmt.Errorf("factor must be a float32 other than 0, got %v", l.Factor)
	}
	return Node{Out: in[0]}, nil
}

// marshalLayer writes a layer as a JSON object: its kind as "type", then its fields.
func marshalLayer(l Layer) ([]byte, error) {
	fields, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	head := fmt.Sprintf(`{"type":%q`, l.Kind())
	if string(fields) == "{}" {
		return []byte(head + "}"), nil
	}
	return append([]byte(head+","), fields[1:]...), nil
}

// unmarshalLayer reads what marshalLayer writes, for layer i of a network. An explicit 0
// in a field where 0 means the default is an error.
func unmarshalLayer(i int, raw []byte) (Layer, error) {
	fail := func(kind string, err error) (Layer, error) {
		if kind != "" {
			kind = " (" + kind + ")"
		}
		return nil, fmt.Errorf("layer %d%s: %w", i, kind, err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return fail("", jsonError(raw, nil, err))
	}
	var head struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return fail("", jsonError(raw, nil, err))
	}
	kind, ok := KindNamed(head.Type)
	if !ok {
		return fail("", fmt.Errorf("unknown type %q (want %s)", head.Type, kindNames()))
	}
	l := kind.New()
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if strings.EqualFold(name, "type") {
			delete(fields, name)
			continue
		}
		// One field at a time, so that an error names it.
		one, err := json.Marshal(map[string]json.RawMessage{name: fields[name]})
		if err != nil {
			return fail(head.Type, err)
		}
		if err := strictUnmarshal(one, l); err != nil {
			return fail(head.Type, fieldError(name, err))
		}
	}
	// A field that is not written again was taken for the default.
	written, err := json.Marshal(l)
	if err != nil {
		return fail(head.Type, err)
	}
	var kept map[string]json.RawMessage
	if err := json.Unmarshal(written, &kept); err != nil {
		return fail(head.Type, err)
	}
	for name, value := range fields {
		var number float64
		// A field's name may be read in capitals, but is written without.
		ok := slices.ContainsFunc(slices.Collect(maps.Keys(kept)), func(k string) bool { return strings.EqualFold(k, name) })
		if !ok && json.Unmarshal(value, &number) == nil && string(value) != "null" {
			return fail(head.Type, fmt.Errorf("%s must not be %s: leave it out for the default", name, value))
		}
	}
	return l, nil
}

// fieldError says in which field an error is, where the error doesn't.
func fieldError(name string, err error) error {
	if text := err.Error(); strings.HasPrefix(text, "unknown field") || strings.HasPrefix(text, name+": ") || strings.HasPrefix(text, name+".") {
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}

// kindNames lists the kinds' names for an error.
func kindNames() string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, k.Name)
	}
	return choice(names)
}

// PlanLayer infers the output shape, the window and the parameters of one layer from the shapes of its inputs, as
// [Network.Plan] does for all layers. The node has no name, index or inputs, and no parameter a name.
func PlanLayer(l Layer, in ...Shape) (Node, error) {
	kind, ok := KindNamed(l.Kind())
	if !ok {
		return Node{}, fmt.Errorf("unknown type %q", l.Kind())
	}
	if len(in) < kind.Inputs[0] || kind.Inputs[1] > 0 && len(in) > kind.Inputs[1] {
		return Node{}, fmt.Errorf("a %s layer with %d inputs", l.Kind(), len(in))
	}
	for _, s := range in {
		if err := s.check(); err != nil {
			return Node{}, err
		}
	}
	n, err := l.plan(in)
	if err != nil {
		return Node{}, err
	}
	n.Layer, n.Ins, n.In = l, in, in[0]
	return n, n.Out.check()
}
