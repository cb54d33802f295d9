package onnx

import (
	"fmt"
	"slices"
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
		"QuantizeLinear":     {2, (*reader).quantize},
		"DequantizeLinear":   {2, (*reader).dequantize},
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
	"DynamicQuantizeLinear":     "of quantised networks, only those with QuantizeLinear and DequantizeLinear (QDQ) are read",
	"QLinearConv":               "of quantised networks, only those with QuantizeLinear and DequantizeLinear (QDQ) are read",
	"QLinearMatMul":             "of quantised networks, only those with QuantizeLinear and DequantizeLinear (QDQ) are read",
	"ConvInteger":               "of quantised networks, only those with QuantizeLinear and DequantizeLinear (QDQ) are read",
	"MatMulInteger":             "of quantised networks, only those with QuantizeLinear and DequantizeLinear (QDQ) are read",
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

// operand returns a node's input that is computed, and fails for constants and for values behind a softmax. It adds the zeros
// around an image that only windows can take as their padding.
func (r *reader) operand(n *nodeProto, input int) (*view, error) {
	v := r.values[n.inputs[input]]
	if v == nil {
		return nil, fmt.Errorf("its input %d is a constant", input)
	}
	if err := v.plain(); err != nil {
		return nil, err
	}
	return r.bordered(n, v)
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

// lacks reports whether one of a node's first inputs isn't there.
func (n *nodeProto) lacks(count int) bool {
	return len(n.inputs) < count || slices.Contains(n.inputs[:count], "")
}

// has reports whether a node has an input.
func (n *nodeProto) has(input int) bool { return input < len(n.inputs) && n.inputs[input] != "" }
