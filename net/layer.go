package net

import (
	"encoding/json"
	"fmt"
	"math"
)

// Layer is one layer of a network, as data: one of *Conv, *Pool, *Activation,
// *Dropout, *BatchNorm, *Flatten and *Dense.
type Layer interface {
	// Kind is the layer's type as it stands in JSON, such as "conv".
	Kind() string
	// label returns the name that the user gave, or "".
	label() string
	// plan infers the output shape, window and parameters for an input.
	plan(in Shape) (PlannedLayer, error)
}

// Conv is a two-dimensional convolution (cross-correlation, as in cuDNN and
// TensorFlow): y[n,k,oh,ow] = bias[k] + sum over c,r,s of
// weight[k,c,r,s] * x[n,c,ih,iw], with ih and iw as [Window] says.
// Parameters: weight (Filters, C, KernelH, KernelW), bias (Filters).
type Conv struct {
	Name       string      `json:"name,omitempty"`
	Filters    int         `json:"filters"`
	Kernel     Pair        `json:"kernel"`
	Stride     Pair        `json:"stride,omitzero"`   // default 1
	Dilation   Pair        `json:"dilation,omitzero"` // default 1
	Padding    Padding     `json:"padding,omitzero"`  // default VALID
	NoBias     bool        `json:"no_bias,omitempty"`
	WeightInit Initializer `json:"weight_init,omitzero"` // default He
	BiasInit   Initializer `json:"bias_init,omitzero"`   // default zeros
}

// PoolMode says how a pooling window becomes one value.
type PoolMode string

// The pooling modes. Padding never takes part.
const (
	MaxPool  PoolMode = "max"  // the greatest value; its gradient goes to the first such in row-major order
	MeanPool PoolMode = "mean" // the mean of the values inside the input
	L2Pool   PoolMode = "l2"   // the square root of the sum of squares; gradient 0 where that is 0
)

// Pool is two-dimensional pooling, each channel for itself.
type Pool struct {
	Name    string   `json:"name,omitempty"`
	Mode    PoolMode `json:"mode,omitempty"` // default MaxPool
	Kernel  Pair     `json:"kernel"`
	Stride  Pair     `json:"stride,omitzero"`  // default: the kernel
	Padding Padding  `json:"padding,omitzero"` // default VALID
}

// ActivationFunc names an activation function.
type ActivationFunc string

// The activation functions.
const (
	ReLU      ActivationFunc = "relu"       // max(x, 0); gradient 0 at 0
	LeakyReLU ActivationFunc = "leaky_relu" // x for x > 0, else Slope*x
	Tanh      ActivationFunc = "tanh"
	Sigmoid   ActivationFunc = "sigmoid" // 1/(1+exp(-x))
)

// Activation applies a function to each value.
type Activation struct {
	Name  string         `json:"name,omitempty"`
	Func  ActivationFunc `json:"func"`
	Slope float64        `json:"slope,omitempty"` // of LeakyReLU below 0; default 0.01
}

// Dropout sets each value to 0 with probability Rate in training and multiplies
// the others by 1/(1-Rate); in evaluation it changes nothing. [DropoutKeep]
// says which values stay.
type Dropout struct {
	Name string  `json:"name,omitempty"`
	Rate float64 `json:"rate"` // 0 <= Rate < 1
}

// BatchNorm normalises each channel and then scales and shifts it:
// y = weight[c] * (x - mean) / sqrt(var + Epsilon) + bias[c]
// (Ioffe and Szegedy, 2015). In training, mean and var (biased) are the batch's,
// over N, H and W, and the running ones move:
// running = (1-Momentum)*running + Momentum*batch, with the batch's variance
// unbiased, that is times m/max(m-1,1) for m = N*H*W. In evaluation the running
// ones are used. Parameters, all (C): weight, bias, running_mean, running_var;
// the running ones are not trained.
type BatchNorm struct {
	Name     string  `json:"name,omitempty"`
	Momentum float64 `json:"momentum,omitempty"` // default 0.1
	Epsilon  float64 `json:"epsilon,omitempty"`  // default 1e-5
}

// Flatten turns (C, H, W) into a flat vector, in that order.
type Flatten struct {
	Name string `json:"name,omitempty"`
}

// Dense is a fully connected layer on a flat input:
// y[n,u] = bias[u] + sum over i of weight[u,i] * x[n,i].
// Parameters: weight (Units, inputs), bias (Units).
type Dense struct {
	Name       string      `json:"name,omitempty"`
	Units      int         `json:"units"`
	NoBias     bool        `json:"no_bias,omitempty"`
	WeightInit Initializer `json:"weight_init,omitzero"` // default He
	BiasInit   Initializer `json:"bias_init,omitzero"`   // default zeros
}

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

func (l *Conv) label() string       { return l.Name }
func (l *Pool) label() string       { return l.Name }
func (l *Activation) label() string { return l.Name }
func (l *Dropout) label() string    { return l.Name }
func (l *BatchNorm) label() string  { return l.Name }
func (l *Flatten) label() string    { return l.Name }
func (l *Dense) label() string      { return l.Name }

func (l *Conv) plan(in Shape) (PlannedLayer, error) {
	if l.Filters < 1 {
		return PlannedLayer{}, fmt.Errorf("filters must be at least 1, got %d", l.Filters)
	}
	win, err := resolveWindow(in.H, in.W, l.Kernel, l.Stride.or(Square(1)), l.Dilation.or(Square(1)), l.Padding)
	if err != nil {
		return PlannedLayer{}, err
	}
	area, err := product(l.Kernel.H, l.Kernel.W)
	if err != nil {
		return PlannedLayer{}, err
	}
	fanIn, err := product(in.C, area)
	if err != nil {
		return PlannedLayer{}, err
	}
	fanOut, err := product(l.Filters, area)
	if err != nil {
		return PlannedLayer{}, err
	}
	p := PlannedLayer{
		Out:    Shape{l.Filters, win.OutH, win.OutW},
		Window: win,
		Params: []Param{{
			Role: Weight, Dims: []int{l.Filters, in.C, l.Kernel.H, l.Kernel.W}, Trained: true, Decayed: true,
			Init: l.WeightInit.or(Initializer{Method: He}), FanIn: fanIn, FanOut: fanOut,
		}},
	}
	if !l.NoBias {
		p.Params = append(p.Params, bias(l.Filters, l.BiasInit, fanIn, fanOut))
	}
	return p, nil
}

func (l *Pool) plan(in Shape) (PlannedLayer, error) {
	switch l.Mode {
	case "", MaxPool, MeanPool, L2Pool:
	default:
		return PlannedLayer{}, fmt.Errorf(`unknown pooling mode %q (want "max", "mean" or "l2")`, l.Mode)
	}
	win, err := resolveWindow(in.H, in.W, l.Kernel, l.Stride.or(l.Kernel), Square(1), l.Padding)
	if err != nil {
		return PlannedLayer{}, err
	}
	return PlannedLayer{Out: Shape{in.C, win.OutH, win.OutW}, Window: win}, nil
}

// PoolMode returns the mode with its default filled in.
func (l *Pool) PoolMode() PoolMode {
	if l.Mode == "" {
		return MaxPool
	}
	return l.Mode
}

func (l *Activation) plan(in Shape) (PlannedLayer, error) {
	switch l.Func {
	case ReLU, LeakyReLU, Tanh, Sigmoid:
	default:
		return PlannedLayer{}, fmt.Errorf(`unknown activation %q (want "relu", "leaky_relu", "tanh" or "sigmoid")`, l.Func)
	}
	if math.IsNaN(l.Slope) || l.Slope < 0 || l.Slope > 1 {
		return PlannedLayer{}, fmt.Errorf("slope must be from 0 to 1, got %v", l.Slope)
	}
	return PlannedLayer{Out: in}, nil
}

// LeakySlope returns the slope below 0 with its default filled in: 0 for ReLU.
func (l *Activation) LeakySlope() float64 {
	switch {
	case l.Func != LeakyReLU:
		return 0
	case l.Slope == 0:
		return 0.01
	}
	return l.Slope
}

func (l *Dropout) plan(in Shape) (PlannedLayer, error) {
	if !(l.Rate >= 0 && l.Rate < 1) {
		return PlannedLayer{}, fmt.Errorf("rate must be at least 0 and less than 1, got %v", l.Rate)
	}
	return PlannedLayer{Out: in}, nil
}

func (l *BatchNorm) plan(in Shape) (PlannedLayer, error) {
	if !(l.Momentum >= 0 && l.Momentum <= 1) {
		return PlannedLayer{}, fmt.Errorf("momentum must be from 0 to 1, got %v", l.Momentum)
	}
	if !(l.Epsilon >= 0) || math.IsInf(l.Epsilon, 0) {
		return PlannedLayer{}, fmt.Errorf("epsilon must be at least 0, got %v", l.Epsilon)
	}
	dims := []int{in.C}
	return PlannedLayer{Out: in, Params: []Param{
		{Role: Weight, Dims: dims, Trained: true, Init: Initializer{Method: Constant, Value: 1}},
		{Role: Bias, Dims: dims, Trained: true, Init: Initializer{Method: Constant}},
		{Role: RunningMean, Dims: dims, Init: Initializer{Method: Constant}},
		{Role: RunningVar, Dims: dims, Init: Initializer{Method: Constant, Value: 1}},
	}}, nil
}

// Settings returns momentum and epsilon with their defaults filled in.
func (l *BatchNorm) Settings() (momentum, epsilon float64) {
	momentum, epsilon = l.Momentum, l.Epsilon
	if momentum == 0 {
		momentum = 0.1
	}
	if epsilon == 0 {
		epsilon = 1e-5
	}
	return momentum, epsilon
}

func (l *Flatten) plan(in Shape) (PlannedLayer, error) {
	return PlannedLayer{Out: Shape{in.Size(), 1, 1}}, nil
}

func (l *Dense) plan(in Shape) (PlannedLayer, error) {
	if l.Units < 1 {
		return PlannedLayer{}, fmt.Errorf("units must be at least 1, got %d", l.Units)
	}
	if in.H != 1 || in.W != 1 {
		return PlannedLayer{}, fmt.Errorf("a dense layer needs a flat input: put a flatten layer before it")
	}
	p := PlannedLayer{
		Out: Shape{l.Units, 1, 1},
		Params: []Param{{
			Role: Weight, Dims: []int{l.Units, in.C}, Trained: true, Decayed: true,
			Init: l.WeightInit.or(Initializer{Method: He}), FanIn: in.C, FanOut: l.Units,
		}},
	}
	if !l.NoBias {
		p.Params = append(p.Params, bias(l.Units, l.BiasInit, in.C, l.Units))
	}
	return p, nil
}

func bias(n int, init Initializer, fanIn, fanOut int) Param {
	return Param{Role: Bias, Dims: []int{n}, Trained: true, Init: init.or(Initializer{Method: Constant}), FanIn: fanIn, FanOut: fanOut}
}

// newLayer returns an empty layer of a kind, or nil.
func newLayer(kind string) Layer {
	for _, l := range []Layer{&Conv{}, &Pool{}, &Activation{}, &Dropout{}, &BatchNorm{}, &Flatten{}, &Dense{}} {
		if l.Kind() == kind {
			return l
		}
	}
	return nil
}

// marshalLayer writes a layer's fields with its kind, as "type", before them.
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
