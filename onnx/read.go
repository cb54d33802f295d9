package onnx

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/regularfile"
	"github.com/gputrain/gputrain/net"
)

// Model is an image classifier that was read from an ONNX model.
type Model struct {
	Network *net.Network
	Weights map[string]*tensor.Dense // for a [net.State]: float32, by the parameters' names
	// Metadata are the model's own, such as class_names in models of gputrain.
	Metadata map[string]string
	Softmax  bool     // whether the model's output are probabilities; the network's are logits
	Producer string   // the program that wrote the model, with its version
	Opset    int      // the version of ONNX's operators
	Notes    []string // what the network does otherwise than the model, each in a line
}

// ReadOptions say how to read a model.
type ReadOptions struct {
	// Name is the network's name. If it is empty, the network gets the model's.
	Name string
	// Input is the shape of the images, for models that leave it open. Its zero dimensions are taken from the model.
	Input net.Shape
}

// ErrModel means that a file is no ONNX model, or is damaged. Compare with errors.Is.
var ErrModel = errors.New("not a usable ONNX model")

// Unsupported is a node of a model that no layer of gputrain computes.
type Unsupported struct {
	Node string // its name, or its number if it has none
	Op   string // its operator
	Why  string
}

// String tells it in a line.
func (u Unsupported) String() string { return fmt.Sprintf("node %s (%s): %s", u.Node, u.Op, u.Why) }

// UnsupportedError lists the nodes of a model that can't be read. There may be more: what depends on one of them is not looked
// at closely.
type UnsupportedError struct{ Nodes []Unsupported }

// Error tells of the first node, and counts the others.
func (e *UnsupportedError) Error() string {
	text := e.Nodes[0].String()
	if more := len(e.Nodes) - 1; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// ReadFile reads a classifier from an ONNX model's file. Weights may lie in other files of its folder.
func ReadFile(path string, o ReadOptions) (*Model, error) {
	b, err := regularfile.Read(path)
	if err != nil {
		return nil, err
	}
	m, err := read(b, filepath.Dir(path), o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// Read reads a classifier from the bytes of an ONNX model that holds its weights itself.
//
// The model has one input: images (batch, channels, height, width), or with the channels last, or vectors. Its output are
// logits, or their softmax, of at least two classes. Operators become layers that compute the same in evaluation. A softmax at
// the end is left out, because a network's output are logits. Batch normalisation stays what it is; a model in which it was
// merged with convolutions has none. If nodes can't be read, the error is an *UnsupportedError. A file that is no model gives
// an error that wraps ErrModel.
func Read(b []byte, o ReadOptions) (*Model, error) { return read(b, "", o) }

func read(b []byte, folder string, o ReadOptions) (*Model, error) {
	damaged := func(format string, a ...any) (*Model, error) {
		return nil, fmt.Errorf("%w: %w", ErrModel, fmt.Errorf(format, a...))
	}
	m, err := parseModel(b)
	switch {
	case err != nil:
		return damaged("%w", err)
	case m.graph == nil || len(m.graph.nodes) == 0:
		return damaged("it has no graph")
	case m.opset < oldestOpset:
		return nil, fmt.Errorf("it is of opset %d; opsets from %d on are read (onnx.version_converter makes newer models)", m.opset, oldestOpset)
	}
	m.modernise()
	// Nothing in a model says whether its images have the channels first. If they don't, hardly any graph fits them.
	// Three channels are likelier than 224, so the likelier order comes first, and its error is told.
	told := m.metadata[layoutKey] == channelsFirst
	last := !told && m.probablyLast()
	model, err := m.read(folder, o, last)
	if err != nil && !m.exhausted && !told {
		if other, err := m.read(folder, o, !last); err == nil {
			return other, nil
		}
	}
	return model, err
}

// probablyLast reports whether the last dimension of the input looks more like channels than the second.
func (m *modelProto) probablyLast() bool {
	few := func(d int64) bool { return d >= 1 && d <= 4 }
	return slices.ContainsFunc(m.graph.inputs, func(v valueProto) bool { return len(v.dims) == 4 && few(v.dims[3]) && !few(v.dims[1]) })
}

// read makes a network of the model, whose images have the channels first or last.
func (m *modelProto) read(folder string, o ReadOptions, channelsLast bool) (*Model, error) {
	r := &reader{
		model: m, graph: m.graph, channelsLast: channelsLast, constants: map[string]*array{}, producers: map[string]*nodeProto{}, uses: map[string]int{},
		values: map[string]*view{}, failed: map[string]bool{}, taken: map[string]int{"input": 1}, orders: map[string][]int32{}, room: mostMade, computed: mostComputed, flattened: map[*layer]*layer{},
	}
	if err := r.begin(folder, o); err != nil {
		return nil, err
	}
	r.foldConstants()
	r.matchFunctions()
	for _, n := range r.graph.nodes {
		r.node(n)
	}
	if len(r.problems) > 0 {
		return nil, &UnsupportedError{r.problems}
	}
	network, weights, err := r.finish(o)
	if err != nil {
		return nil, err
	}
	return &Model{Network: network, Weights: weights, Metadata: m.metadata, Softmax: r.values[r.output].soft, Producer: strings.TrimSpace(m.producer + " " + m.version), Opset: int(m.opset), Notes: r.notes}, nil
}

// oldestOpset is the oldest version of ONNX's operators that is read.
const oldestOpset = 6

// reader turns a graph into layers.
type reader struct {
	model *modelProto
	graph *graphProto

	channelsLast bool // of the images

	constants map[string]*array
	room      int                   // how many more values may be made than the file holds
	computed  int                   // how many more values of constants may be computed
	producers map[string]*nodeProto // by the names of values
	uses      map[string]int        // by the names of values
	output    string                // the name of the graph's output
	batch     int64                 // the number of samples that the graph is made for; 0 for any

	functions map[*nodeProto]*match // by the last node of a function's form
	inside    map[*nodeProto]bool   // the other nodes of such forms

	values    map[string]*view
	failed    map[string]bool // values of nodes that can't be read
	layers    []*layer
	flattened map[*layer]*layer
	taken     map[string]int     // names of layers, and how often each was wanted
	orders    map[string][]int32 // orders of values, by how they came about
	positive  bool               // the model cuts the input's values off below 0
	training  bool               // whether the model was exported for training
	moved     int                // layers that only move channels
	notes     []string
	problems  []Unsupported
}

// view is a tensor that is computed, as the graph sees a layer's output. The graph's first dimension, of samples, is left out.
type view struct {
	of   *layer // nil: the network's input
	base net.Shape
	dims []int
	// order gives the place in the layer's output (channels, rows, columns) for each place in the tensor; nil if they are the
	// same. A transposed tensor has another order.
	order []int32
	pad   [4]int // rows of zeros before and behind, then columns, which the next layer is to add
	soft  bool   // a softmax was left out
	// rounding is how the values were rounded, if they are whole numbers and that is known.
	rounding *rounding
	// shared says that the layer's output has more uses than this tensor.
	shared bool
}

// layer is a layer of the network.
type layer struct {
	name   string
	layer  net.Layer
	from   []*layer // nil: the network's input
	plan   net.Node
	params map[net.Role][]float32
	fixed  bool // whether no operator behind may become part of it
	// positive says that no value of its output can be below 0.
	positive bool
	affine   bool // whether it is a convolution of each channel by itself, of one pixel, with a bias
}

// begin reads constants, and finds the input and the output.
func (r *reader) begin(folder string, o ReadOptions) error {
	g := r.graph
	maps.Copy(r.constants, r.model.bounds)
	if g.sparse > 0 {
		return errors.New("it has sparse weights, which are not read")
	}
	for _, t := range g.constants {
		c, err := t.load(folder)
		if err != nil {
			return fmt.Errorf("%w: tensor %s: %w", ErrModel, strconv.Quote(t.name), err)
		}
		r.constants[t.name] = c
		r.room, r.computed = r.room+3*c.size(), r.computed+3*c.size()
	}
	var inputs []valueProto
	for _, v := range g.inputs {
		if r.constants[v.name] == nil { // in old models, constants are inputs, too
			inputs = append(inputs, v)
		}
	}
	if len(inputs) != 1 {
		var names []string
		for _, v := range inputs {
			names = append(names, strconv.Quote(v.name))
		}
		return fmt.Errorf("it has %d inputs (%s): a classifier has one, of images", len(inputs), strings.Join(names, ", "))
	}
	for _, n := range g.nodes {
		for _, name := range n.inputs {
			if name != "" {
				r.uses[name]++
			}
		}
		for _, name := range n.outputs {
			if name == "" {
				continue
			}
			if r.producers[name] != nil || r.constants[name] != nil || name == inputs[0].name {
				return fmt.Errorf("%w: the value %s is there twice", ErrModel, strconv.Quote(name))
			}
			r.producers[name] = n
		}
	}
	if len(g.outputs) == 0 {
		return fmt.Errorf("%w: it has no output", ErrModel)
	}
	r.output = g.outputs[0].name
	r.uses[r.output]++
	for _, v := range g.outputs[1:] {
		r.notes = append(r.notes, fmt.Sprintf("the output %s is left out: the first one, %s, counts", v.name, r.output))
	}
	return r.input(inputs[0], o)
}

// modernise brings nodes of old opsets to the form of newer ones: bounds of Clip as inputs. Missing bounds are infinite.
func (m *modelProto) modernise() {
	m.bounds = map[string]*array{}
	for _, n := range m.graph.nodes {
		if n.op != "Clip" || n.domain != "" || len(n.inputs) == 0 {
			continue
		}
		bounds := []string{"", ""}
		copy(bounds, n.inputs[1:])
		for i, attribute := range []string{"min", "max"} {
			if bounds[i] != "" {
				continue
			}
			v := float32(math.Inf(2*i - 1))
			if a := n.attributes[attribute]; a != nil {
				v = a.float
			}
			delete(n.attributes, attribute)
			bounds[i] = fmt.Sprintf("\x00clip %d %d", n.index, i) // no file has such a name: 0 is no text
			m.bounds[bounds[i]] = &array{floats: []float32{v}}
		}
		n.inputs = append([]string{n.inputs[0]}, bounds...)
	}
}

// input makes the value of the graph's input.
func (r *reader) input(v valueProto, o ReadOptions) error {
	if t, ok := elements[v.typ]; !v.tensor || !ok || !t.float && v.typ != uint8Type {
		return fmt.Errorf("its input %s is no tensor of floats or bytes", strconv.Quote(v.name))
	}
	in := &view{}
	if len(v.dims) > 0 && v.dims[0] > 0 {
		r.batch = v.dims[0]
	}
	switch {
	case v.ranked && len(v.dims) == 2:
		n, err := openDim(v.dims[1], o.Input.C)
		if err != nil {
			return err
		}
		in.base, in.dims = net.Shape{C: n, H: 1, W: 1}, []int{n}
	case v.ranked && len(v.dims) == 3: // grey images without an axis for channels
		var errs [2]error
		in.base.C = 1
		in.base.H, errs[0] = openDim(v.dims[1], o.Input.H)
		in.base.W, errs[1] = openDim(v.dims[2], o.Input.W)
		if err := cmp.Or(errs[0], errs[1]); err != nil {
			return fmt.Errorf("its input of %v: %w", v.dims, err)
		}
		in.dims = []int{in.base.H, in.base.W}
	case v.ranked && len(v.dims) == 4:
		c, h, w := v.dims[1], v.dims[2], v.dims[3]
		if r.channelsLast {
			h, w, c = c, h, w
		}
		var errs [3]error
		in.base.C, errs[0] = openDim(c, o.Input.C)
		in.base.H, errs[1] = openDim(h, o.Input.H)
		in.base.W, errs[2] = openDim(w, o.Input.W)
		if err := cmp.Or(errs[0], errs[1], errs[2]); err != nil {
			return fmt.Errorf("its input of %v: %w", v.dims, err)
		}
		in.dims = []int{in.base.C, in.base.H, in.base.W}
		if r.channelsLast {
			if err := tooLarge(in.base); err != nil {
				return fmt.Errorf("its input of %v: %w", v.dims, err)
			}
			in.order = permutation(in.dims, []int{1, 2, 0})
			in.dims = []int{in.base.H, in.base.W, in.base.C}
		}
	default:
		return fmt.Errorf("its input %s has dimensions %v: want (batch, channels, height, width)", strconv.Quote(v.name), v.dims)
	}
	if err := tooLarge(in.base); err != nil {
		return fmt.Errorf("its input of %v: %w", v.dims, err)
	}
	r.values[v.name] = in
	if v.typ != uint8Type {
		return nil
	}
	l, err := r.add(nil, "bytes", &net.Scale{Factor: 255}, nil, in)
	if err != nil {
		return err
	}
	r.values[v.name] = in.like(l)
	r.notes = append(r.notes, "its input are bytes from 0 to 255: images of 0 to 1 are multiplied by 255 first")
	return nil
}

// mostInput is the most values that an image may have. Where a graph reorders an image's values, so many numbers are kept.
const mostInput = 1 << 25

// tooLarge returns an error for images with more values.
func tooLarge(s net.Shape) error {
	if n, err := net.PlanLayer(&net.Flatten{}, s); err != nil || n.Out.C > mostInput {
		return fmt.Errorf("too large: want at most %d values", mostInput)
	}
	return nil
}

// openDim returns a dimension of the input that the model says, or else the caller.
func openDim(model int64, caller int) (int, error) {
	switch {
	case model > mostValues:
		return 0, fmt.Errorf("a dimension of %d", model)
	case model > 0 && caller > 0 && int64(caller) != model:
		return 0, fmt.Errorf("it wants a dimension of %d, not %d", model, caller)
	case model > 0:
		return int(model), nil
	case caller > 0:
		return caller, nil
	}
	return 0, ErrOpenInput
}

// ErrOpenInput means that a model leaves the shape of its input open, and [ReadOptions] don't say it. Compare with errors.Is.
var ErrOpenInput = errors.New("the model leaves the size of images open")

// foldConstants computes what depends on constants alone. What it can't compute is told when its node is read.
func (r *reader) foldConstants() {
	for _, n := range r.graph.nodes {
		op, ok := operators[n.op]
		if !ok || n.domain != "" || n.lacks(op.inputs) || len(n.outputs) == 0 || slices.ContainsFunc(n.inputs, func(name string) bool { return name != "" && r.constants[name] == nil }) {
			continue
		}
		_ = op.read(r, n) // told when the node is read
	}
}

// matchFunctions finds the activation functions.
func (r *reader) matchFunctions() {
	r.functions, r.inside = map[*nodeProto]*match{}, map[*nodeProto]bool{}
	for _, n := range slices.Backward(r.graph.nodes) {
		if r.inside[n] || len(n.outputs) == 0 {
			continue
		}
		if m := r.matchAt(n); m != nil {
			r.functions[n] = m
			for _, other := range m.nodes {
				r.inside[other] = other != n
			}
		}
	}
}

// node reads a node of the graph.
func (r *reader) node(n *nodeProto) {
	if r.inside[n] || len(n.outputs) > 0 && r.constants[n.outputs[0]] != nil {
		return
	}
	fail := func(why string) {
		r.problems = append(r.problems, Unsupported{Node: nameOf(n), Op: strings.TrimPrefix(n.domain+"."+n.op, "."), Why: why})
		for _, name := range n.outputs {
			r.failed[name] = true
		}
	}
	if m := r.functions[n]; m != nil {
		if err := r.function(n, m); err != nil {
			fail(err.Error())
		}
		return
	}
	op, ok := operators[n.op]
	if !ok || n.domain != "" {
		why := refusals[n.op]
		switch {
		case n.domain != "" && r.model.functions > 0:
			why = "functions of the model's own are not read (inline them: onnx.inliner)"
		case n.domain != "":
			why = "operators of other domains than ONNX's own are not read"
		case why == "":
			why = "no layer computes this operator"
		}
		fail(why)
		return
	}
	for _, name := range n.inputs {
		switch {
		case r.failed[name]:
			for _, name := range n.outputs {
				r.failed[name] = true
			}
			return
		case name != "" && r.constants[name] == nil && r.values[name] == nil:
			fail(fmt.Sprintf("it takes %s, which nothing before it gives", strconv.Quote(name)))
			return
		}
	}
	if n.lacks(op.inputs) || len(n.outputs) == 0 {
		fail("it lacks inputs or outputs")
		return
	}
	if err := op.read(r, n); err != nil {
		fail(err.Error())
	}
}

// nameOf names a node for people.
func nameOf(n *nodeProto) string {
	if n.name != "" {
		return strconv.Quote(n.name)
	}
	return strconv.Itoa(n.index)
}

// function reads an activation function.
func (r *reader) function(n *nodeProto, m *match) error {
	if r.failed[m.x] {
		r.failed[n.outputs[0]] = true
		return nil
	}
	x := r.values[m.x]
	if x == nil {
		return fmt.Errorf("it takes %s, which nothing before it gives", strconv.Quote(m.x))
	}
	if err := x.plain(); err != nil {
		return err
	}
	x, err := r.bordered(n, x)
	if err != nil {
		return err
	}
	a := &net.Activation{Func: m.form.function.Name}
	if q := m.form.function.Parameter; m.found && q.Name != "" {
		p := float64(float32(m.p))
		switch near := math.Round(m.p*1e6) / 1e6; {
		case float64(float32(near)) == p:
			p = near
		}
		if p != q.Default {
			switch q.Name {
			case "slope":
				a.Slope = &p
			case "alpha":
				a.Alpha = &p
			}
		}
	}
	l, err := r.add(n, "", a, nil, x)
	if err != nil {
		return err
	}
	r.give(n, x.like(l))
	return nil
}

// give says what a node's first output is.
func (r *reader) give(n *nodeProto, v *view) { r.values[n.outputs[0]] = v }

// pass says that a node's first output is another view of what the layer gives that its first input is of.
func (r *reader) pass(n *nodeProto, v view) {
	v.shared = v.shared || r.uses[n.inputs[0]] > 1
	r.values[n.outputs[0]] = &v
}

// giveConstant says that a node's first output is known.
func (r *reader) giveConstant(n *nodeProto, c *array) error {
	if err := r.compute(c.size()); err != nil {
		return err
	}
	r.constants[n.outputs[0]] = c
	return nil
}

// passConstant says that a node's first output is the values of its first input.
func (r *reader) passConstant(n *nodeProto, c *array) error {
	r.constants[n.outputs[0]] = c
	return nil
}

// like is the value of a layer that works on v and keeps its shape.
func (v *view) like(l *layer) *view {
	return &view{of: l, base: v.base, dims: v.dims, order: v.order}
}

// plain returns an error for a value behind a softmax.
func (v *view) plain() error {
	if v.soft {
		return errors.New("it comes after a softmax, which may only be the last operator")
	}
	return nil
}

// scalar returns a constant's only value.
func (r *reader) scalar(name string) (float64, bool) {
	if c := r.constants[name]; c != nil {
		return c.scalar()
	}
	return 0, false
}

// add adds a layer. n is the node that it is of; name is its name, or "" to make one. The values of params are in the order
// of the layer's parameters.
func (r *reader) add(n *nodeProto, name string, l net.Layer, params map[net.Role][]float32, ins ...*view) (*layer, error) {
	var shapes []net.Shape
	var from []*layer
	for _, v := range ins {
		shapes, from = append(shapes, v.base), append(from, v.of)
	}
	plan, err := net.PlanLayer(l, shapes...)
	if err != nil {
		return nil, err
	}
	for _, p := range plan.Params {
		if len(params[p.Role]) != p.Size() {
			return nil, fmt.Errorf("its %s has %d values, want %d", p.Role, len(params[p.Role]), p.Size())
		}
		if err := r.make(p.Size()); err != nil {
			return nil, err
		}
	}
	if name == "" {
		name = r.layerName(n, l)
	}
	made := &layer{name: r.unique(name), layer: l, from: from, plan: plan, params: params, positive: r.givesPositive(l, from)}
	r.layers = append(r.layers, made)
	return made, nil
}

// layerName makes a layer's name: of its weights' name, or of the node's.
func (r *reader) layerName(n *nodeProto, l net.Layer) string {
	if n == nil {
		return l.Kind()
	}
	for _, name := range n.inputs[min(1, len(n.inputs)):] {
		if c := r.constants[name]; c != nil && len(c.floats) > 1 && !strings.Contains(c.name, "::") {
			if base, ok := cutRole(c.name); ok {
				return base
			}
		}
	}
	name := n.name
	if base, last, ok := cutLast(name, "/"); ok && (last == n.op || strings.HasPrefix(last, n.op+"_")) {
		name = base // PyTorch's names end in the operator's
	}
	parts := strings.FieldsFunc(name, func(c rune) bool { return c == '/' })
	for i := len(parts) - 2; i >= 0; i-- {
		if strings.HasPrefix(parts[i+1], parts[i]+".") { // "layer1/layer1.0"
			parts = slices.Delete(parts, i, i+1)
		}
	}
	if name := clean(strings.Join(parts, "_")); name != "" {
		return name
	}
	if a, ok := l.(*net.Activation); ok {
		return string(a.Func)
	}
	return l.Kind()
}

// roles are the last parts of the names of weights.
var roles = []string{".weight", "/weight", "_weight", "/kernel", ".kernel", "_w", "_W", ".bias", "_scale", "_s", "/gamma", ".gamma", ".running_mean"}

// cutRole makes a layer's name of its weights' name: "layer1.0.conv1.weight", or "conv1_w_0". ok is false if the name doesn't say
// what the weights are.
func cutRole(name string) (base string, ok bool) {
	name = strings.TrimSuffix(name, "_0")
	for _, role := range roles {
		if base := clean(strings.TrimSuffix(name, role)); strings.HasSuffix(name, role) && base != "" {
			return base, true
		}
	}
	return "", false
}

// cutLast cuts a text at the last separator.
func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}

// clean makes a name of a layer of any name: letters, digits, _ and -.
func clean(name string) string {
	name = strings.Map(func(c rune) rune {
		if c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '_'
	}, name)
	return strings.Trim(name[:min(len(name), 200)], "_")
}

// unique returns a name that no layer has.
func (r *reader) unique(name string) string {
	base := name
	for r.taken[name] > 0 {
		r.taken[base]++
		name = fmt.Sprintf("%s_%d", base, r.taken[base])
	}
	r.taken[name]++
	return name
}

// A small file must not take all memory. So mostMade is how many values may be made that a model's file doesn't hold: constants that
// are filled with one number, weights that several layers share, and orders of values. mostComputed is how many values of constants
// may be computed from others. Both are beside some times the values that the file holds.
const (
	mostMade     = 1 << 29
	mostComputed = 1 << 23
)

// make counts values that the file doesn't hold.
func (r *reader) make(values int) error { return r.take(&r.room, values, mostMade) }

// compute counts values of constants that are computed.
func (r *reader) compute(values int) error { return r.take(&r.computed, values, mostComputed) }

// take takes values from what is left.
func (r *reader) take(left *int, values, most int) error {
	if values > *left {
		r.model.exhausted = true
		return fmt.Errorf("the model makes more than %d values that its file doesn't hold", most)
	}
	*left -= values
	return nil
}

// vector returns v as a vector: an image of more than one pixel is flattened.
func (r *reader) vector(n *nodeProto, v *view) (*view, error) {
	if v.base.H == 1 && v.base.W == 1 {
		return v, nil
	}
	var err error
	l := r.flattened[v.of]
	if l == nil {
		name := ""
		if n.op != "Flatten" { // a Reshape's name says little
			name = "flatten"
		}
		if l, err = r.add(n, name, &net.Flatten{}, nil, v); err != nil {
			return nil, err
		}
		r.flattened[v.of] = l
	}
	return &view{of: l, base: l.plan.Out, dims: v.dims, order: v.order}, nil
}

// channels tells how an axis of a tensor runs over the channels of the layer's output, while the other axes run over the pixels
// in their order: channel i along the axis is channel perm[i] of the layer. perm is nil if the two are the same.
func (v *view) channels(axis int) (perm []int, ok bool) {
	c, pixels := v.base.C, v.base.H*v.base.W
	if axis < 0 || axis >= len(v.dims) || v.dims[axis] != c {
		return nil, false
	}
	inner := 1
	for _, d := range v.dims[axis+1:] {
		inner *= d
	}
	outer := c * pixels / c / inner
	if v.order == nil && (outer == 1 || pixels == 1) {
		return nil, true
	}
	perm = make([]int, c)
	same := true
	for o := range outer {
		for i := range c {
			for k := range inner {
				at := (o*c+i)*inner + k
				from := at
				if v.order != nil {
					from = int(v.order[at])
				}
				if o == 0 && k == 0 {
					perm[i] = from / pixels
					same = same && perm[i] == i
				}
				if from != perm[i]*pixels+o*inner+k {
					return nil, false
				}
			}
		}
	}
	if same {
		perm = nil
	}
	return perm, true
}

// channelAxis finds the axis that runs over channels: the first or the last one.
func (v *view) channelAxis() (axis int, perm []int, ok bool) {
	for _, axis := range []int{0, len(v.dims) - 1} {
		if perm, ok := v.channels(axis); ok {
			return axis, perm, true
		}
	}
	return 0, nil, false
}

// image returns an error unless v is an image (channels, rows, columns). perm is the order of its channels, as channels
// returns it.
func (v *view) image() (perm []int, err error) {
	if len(v.dims) == 3 && v.dims[1] == v.base.H && v.dims[2] == v.base.W {
		if perm, ok := v.channels(0); ok {
			return perm, nil
		}
	}
	return nil, fmt.Errorf("its input of dimensions %v is no image with the channels first", v.dims)
}

// laidOut is the value of a layer whose channels run along an axis of a tensor with as many axes as dims, and whose pixels along
// the others. perm is as for channels.
func (r *reader) laidOut(l *layer, dims []int, axis int, perm []int) *view {
	out := l.plan.Out
	v := &view{of: l, base: out, dims: slices.Clone(dims)}
	v.dims[axis] = out.C
	inner := 1
	for _, d := range v.dims[axis+1:] {
		inner *= d
	}
	pixels := out.H * out.W
	outer := pixels / inner
	if perm == nil && (outer == 1 || pixels == 1) {
		return v
	}
	key := fmt.Sprintf("laid out %v %d %v %v", out, axis, v.dims, perm)
	if v.order = r.orders[key]; v.order != nil {
		return v
	}
	v.order = make([]int32, out.Size())
	r.orders[key] = v.order
	for o := range outer {
		for i := range out.C {
			from := i
			if perm != nil {
				from = perm[i]
			}
			for k := range inner {
				v.order[(o*out.C+i)*inner+k] = int32(from*pixels + o*inner + k)
			}
		}
	}
	return v
}

// unpermuted returns values that stand for channels in the layer's order.
func unpermuted(values []float32, perm []int) []float32 {
	if perm == nil {
		return values
	}
	out := make([]float32, len(values))
	for i, p := range perm {
		out[p] = values[i]
	}
	return out
}

// finish makes the network.
func (r *reader) finish(o ReadOptions) (*net.Network, map[string]*tensor.Dense, error) {
	out := r.values[r.output]
	switch {
	case out == nil && r.constants[r.output] != nil:
		return nil, nil, fmt.Errorf("its output %s is a constant", strconv.Quote(r.output))
	case out == nil:
		return nil, nil, fmt.Errorf("%w: nothing gives its output %s", ErrModel, strconv.Quote(r.output))
	case out.base.H != 1 || out.base.W != 1:
		return nil, nil, fmt.Errorf("its output has dimensions %v for each image: a classifier gives one number for each class", out.dims)
	case out.base.C < 2:
		return nil, nil, errors.New("its output is one number for each image: a classifier gives one for each of at least two classes")
	case len(out.dims)-countOnes(out.dims) > 1:
		return nil, nil, fmt.Errorf("its output has dimensions %v for each image: a classifier gives one number for each class", out.dims)
	case out.order != nil || out.pad != [4]int{}:
		return nil, nil, errors.New("its output is transposed or padded")
	}
	if out.of == nil { // at most a softmax
		l, err := r.add(nil, "", &net.Flatten{}, nil, out)
		if err != nil {
			return nil, nil, err
		}
		out = &view{of: l, base: out.base, dims: out.dims, soft: out.soft}
	}
	if a, ok := out.of.layer.(*net.Activation); ok && (a.Func == net.Sigmoid || a.Func == net.HardSigmoid) && !out.soft {
		return nil, nil, errors.New("its last operator is a sigmoid, so an image may be of several classes at once: gputrain's networks give each image one class")
	}
	if r.moved > 0 {
		r.notes = append(r.notes, fmt.Sprintf("channels are reordered or split in %d places, by convolutions with fixed weights of 0 and 1: that is slower than it could be", r.moved))
	}
	needed := map[*layer]bool{}
	var need func(l *layer)
	last := slices.Index(r.layers, out.of)
	need = func(l *layer) {
		if l != nil && !needed[l] {
			needed[l] = true
		}
	}
	need(out.of)
	for i := last; i >= 0; i-- { // a layer stands behind those that it takes
		if l := r.layers[i]; needed[l] {
			for _, from := range l.from {
				need(from)
			}
		}
	}
	network := &net.Network{Name: o.Name, Input: r.values[r.inputName()].base}
	if network.Name == "" {
		network.Name = printable(r.graph.name)
	}
	weights := map[string]*tensor.Dense{}
	var before *layer
	for _, l := range r.layers {
		if !needed[l] {
			continue
		}
		var from net.From
		for _, f := range l.from {
			if f == nil {
				from = append(from, "input")
			} else {
				from = append(from, f.name)
			}
		}
		if len(l.from) == 1 && l.from[0] == before {
			from = nil
		}
		set(l.layer, l.name, from)
		network.Layers = append(network.Layers, l.layer)
		for _, p := range l.plan.Params {
			name := l.name + "." + string(p.Role)
			for _, v := range l.params[p.Role] {
				if v-v != 0 {
					return nil, nil, fmt.Errorf("%s %w", name, net.ErrNotFinite)
				}
			}
			weights[name] = tensor.New(tensor.WithShape(p.Dims...), tensor.WithBacking(slices.Clone(l.params[p.Role])))
		}
		before = l
	}
	if _, err := network.Plan(); err != nil {
		return nil, nil, err
	}
	return network, weights, nil
}

// countOnes returns how many dimensions are 1.
func countOnes(dims []int) (n int) {
	for _, d := range dims {
		if d == 1 {
			n++
		}
	}
	return n
}

// inputName returns the name of the graph's input.
func (r *reader) inputName() string {
	for _, v := range r.graph.inputs {
		if r.values[v.name] != nil {
			return v.name
		}
	}
	panic("BUG: onnx: no input")
}

// printable leaves out what no network's name may have.
func printable(name string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 {
			return -1
		}
		return c
	}, name)
}

// set gives a layer its name and inputs. Every layer has the two fields.
func set(l net.Layer, name string, from net.From) {
	v := reflect.ValueOf(l).Elem()
	v.FieldByName("Name").SetString(name)
	v.FieldByName("From").Set(reflect.ValueOf(from))
}
