package net

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/nlpodyssey/safetensors"
	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/half"
	"github.com/gputrain/gputrain/internal/regularfile"
)

// WeightsFile is a safetensors file with weights, of any program.
type WeightsFile struct {
	path    string
	tensors map[string]safetensors.TensorView
}

// WeightsOptions say how the tensors of a file become the parameters of a network.
type WeightsOptions struct {
	Layout    Layout            // "" is ChannelsFirst
	Names     map[string]string // a tensor's name, by the name of its parameter; nil is none
	SkipExtra bool              // leave out tensors that belong to no parameter
}

// Matching says which tensor of a file is which parameter of a network.
type Matching struct {
	Layout  Layout
	Tensors map[string]string // the tensor's name, by the parameter's name
	How     string            // what the tensors were recognised by, for people; "" if they have their parameters' names
	Scalars []string          // single values that no parameter can hold, which were left out; counters are not told
	Skipped []string          // tensors that were left out because of WeightsOptions.SkipExtra
}

// MismatchError says which tensors of a file don't fit a network. It wraps [ErrWeights].
type MismatchError struct {
	Path    string   // of the file
	Network string   // its name
	Params  int      // how many parameters the network has
	Missing []string // parameters without a tensor, with their dimensions in the file's layout
	Extra   []string // tensors that belong to no parameter, with their types and dimensions
	Wrong   []string // tensors with other dimensions than their parameters, with both
}

// Error counts what doesn't fit, in one line, with the first names of each kind.
func (e *MismatchError) Error() string {
	var parts []string
	for _, l := range e.Lists() {
		const most = 3
		part := fmt.Sprintf("%s (%s", l.Title, strings.Join(l.Of[:min(most, len(l.Of))], ", "))
		if len(l.Of) > most {
			part += ", ..."
		}
		parts = append(parts, part+")")
	}
	return fmt.Sprintf("weights %s: %v: network %s has %d parameters; %s", e.Path, ErrWeights, e.Network, e.Params, strings.Join(parts, ", "))
}

// MismatchList is one of the lists of a [MismatchError], which isn't empty.
type MismatchList struct {
	Title string // how many of what, such as "2 parameters without a tensor"
	Of    []string
}

// Lists returns the lists of the error, for people.
func (e *MismatchError) Lists() (lists []MismatchList) {
	for _, l := range []struct {
		of        []string
		one, many string
	}{
		{e.Missing, "parameter without a tensor", "parameters without a tensor"},
		{e.Wrong, "tensor of other dimensions", "tensors of other dimensions"},
		{e.Extra, "tensor of no parameter", "tensors of no parameter"},
	} {
		title := l.many
		if len(l.of) == 1 {
			title = l.one
		}
		if len(l.of) > 0 {
			lists = append(lists, MismatchList{fmt.Sprint(len(l.of), " ", title), l.of})
		}
	}
	return lists
}

// Unwrap returns ErrWeights.
func (e *MismatchError) Unwrap() error { return ErrWeights }

// OpenWeights reads a safetensors file of any program. A file of another format, and a
// checkpoint of gputrain, give an error that wraps ErrWeights.
func OpenWeights(path string) (*WeightsFile, error) {
	b, err := regularfile.Read(path)
	if err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	f, err := decodeWeights(b)
	if err != nil {
		return nil, fmt.Errorf("weights %s: %w: %w", path, ErrWeights, err)
	}
	f.path = path
	return f, nil
}

func decodeWeights(b []byte) (*WeightsFile, error) {
	tensors, meta, err := readTensors(b)
	if err != nil {
		return nil, notTensors(b, weightsAdvice(b), err)
	}
	if meta[keyFormat] == checkpointFormat {
		return nil, errors.New("it is a checkpoint of gputrain, which needs no import: name it with --run")
	}
	return &WeightsFile{tensors: tensors}, nil
}

// weightsAdvice tells how to make a safetensors file of a file of another format.
func weightsAdvice(b []byte) string {
	switch is := foreignFormat(b); {
	case strings.Contains(is, "PyTorch"), strings.Contains(is, "pickle"):
		return `in Python, safetensors.torch.save_file(model.state_dict(), "model.safetensors") makes one that import reads`
	case strings.Contains(is, "Keras"), strings.Contains(is, "TensorFlow"):
		return `in Python, safetensors.numpy.save_file({w.path: w.numpy() for w in model.weights}, "model.safetensors") makes one that import --layout channels-last reads`
	case isONNX(b):
		return "let its name end in .onnx"
	}
	return "want a safetensors file"
}

// describe returns a tensor's name, type and dimensions.
func (f *WeightsFile) describe(name string) string {
	t := f.tensors[name]
	return fmt.Sprintf("%s %v %v", name, t.DType(), t.Shape())
}

// hasDims reports whether a tensor has the dimensions of a parameter. A dense layer's
// weight may be a convolution that has one window and so computes the same: it sees the
// whole image that was flattened, or vectors.
func (f *WeightsFile) hasDims(name string, p *Plan, q Param, l Layout) bool {
	is, want := f.tensors[name].Shape(), q.dimsIn(l)
	if equalDims(is, want) {
		return true
	}
	if l == ChannelsLast || len(q.Dims) != 2 || len(is) != 4 {
		return false
	}
	if equalDims(is, []int{q.Dims[0], q.Dims[1], 1, 1}) {
		return true
	}
	image := p.origin(p.Nodes[q.Layer].Inputs[0])
	return len(image) == 1 && equalDims(is, []int{q.Dims[0], image[0].C, image[0].H, image[0].W})
}

func equalDims(is []uint64, want []int) bool {
	return slices.EqualFunc(is, want, func(a uint64, b int) bool { return a == uint64(b) })
}

// Match says which tensor of the file is which parameter of the network. It looks for the
// parameters' own names, then for those that torchvision, timm and Keras give to the
// layers of the built-in models. Prefixes such as "module." may stand in front of each.
// Where no names fit, layers are recognised by their dimensions and by the numbers that
// PyTorch's Sequential gives them, but only if that can be done in one way.
// Matching.How tells which of these it was.
//
// Counters (num_batches_tracked) and tensors of no dimensions are left out. A parameter
// without a tensor, and, unless o.SkipExtra, a tensor without a parameter, give a
// [MismatchError].
func (f *WeightsFile) Match(p *Plan, o WeightsOptions) (*Matching, error) {
	if o.Layout == "" {
		o.Layout = ChannelsFirst
	}
	if err := p.checkLayout(o.Layout); err != nil {
		return nil, fmt.Errorf("weights %s: %w", f.path, err)
	}
	m := &Matching{Layout: o.Layout, Tensors: map[string]string{}}
	open, rest, err := f.named(p, o.Names, m)
	if err != nil {
		return nil, fmt.Errorf("weights %s: %w: %w", f.path, ErrWeights, err)
	}
	best := reading{}
	for _, c := range conventions {
		r := read(c, p, open, rest)
		fits := len(r.tensors) == len(open)
		for _, q := range open {
			fits = fits && f.hasDims(r.tensors[q.Name], p, q, o.Layout)
		}
		if fits {
			best = r
			break
		}
		if best.tensors == nil || len(r.tensors) > len(best.tensors) {
			best = r
		}
	}
	if len(best.tensors) < len(open) {
		if r, ok := f.readShapes(p, open, rest, o.Layout); ok {
			best = r
		}
	}
	maps.Copy(m.Tensors, best.tensors)
	m.How = best.how
	return m, f.checkMatch(p, o, m, rest)
}

// named applies the names that the caller gives, and puts aside what no network needs. It
// returns the parameters and tensors that are left.
func (f *WeightsFile) named(p *Plan, names map[string]string, m *Matching) (open []Param, rest []string, err error) {
	taken := map[string]string{}
	for _, parameter := range slices.Sorted(maps.Keys(names)) {
		name := names[parameter]
		if !slices.ContainsFunc(p.Params, func(q Param) bool { return q.Name == parameter }) {
			return nil, nil, fmt.Errorf("network %s has no parameter %s; it has %s", p.Network.Name, parameter, some(p.paramNames()))
		}
		if _, ok := f.tensors[name]; !ok {
			return nil, nil, fmt.Errorf("no tensor %s, which should be %s; it has %s", name, parameter, some(slices.Sorted(maps.Keys(f.tensors))))
		}
		if other := taken[name]; other != "" {
			return nil, nil, fmt.Errorf("tensor %s can't be both %s and %s", name, other, parameter)
		}
		taken[name], m.Tensors[parameter] = parameter, name
	}
	for _, q := range p.Params {
		if _, ok := names[q.Name]; !ok {
			open = append(open, q)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.tensors)) {
		t := f.tensors[name]
		switch {
		case taken[name] != "":
		case isCounter(name, t):
		case len(t.Shape()) == 0:
			m.Scalars = append(m.Scalars, name)
		default:
			rest = append(rest, name)
		}
	}
	return open, rest, nil
}

// paramNames returns the names of all parameters.
func (p *Plan) paramNames() (names []string) {
	for _, q := range p.Params {
		names = append(names, q.Name)
	}
	return names
}

// listed is how many names of a kind are listed.
const listed = 30

// some lists words; of many it lists the first ones.
func some(words []string) string {
	text := strings.Join(words[:min(listed, len(words))], ", ")
	if more := len(words) - listed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// isCounter reports whether a tensor counts something for training, such as
// num_batches_tracked of PyTorch's batch normalisation, or is the state of Keras's random
// numbers.
func isCounter(name string, t safetensors.TensorView) bool {
	_, last, _ := cutLast(normalised(name))
	switch last {
	case "num_batches_tracked", "n_averaged", "seed_generator_state":
		return true
	}
	switch t.DType() {
	case safetensors.F16, safetensors.BF16, safetensors.F32, safetensors.F64:
		return false
	}
	return len(t.Shape()) == 0
}

// checkMatch returns the error of a matching that lacks parameters or leaves tensors
// over. It notes the tensors that are left out.
func (f *WeightsFile) checkMatch(p *Plan, o WeightsOptions, m *Matching, rest []string) error {
	e := &MismatchError{Path: f.path, Network: p.Network.Name, Params: len(p.Params)}
	taken := map[string]bool{}
	for _, q := range p.Params {
		name, ok := m.Tensors[q.Name]
		taken[name] = true
		switch {
		case !ok:
			e.Missing = append(e.Missing, fmt.Sprintf("%s %v", q.Name, q.dimsIn(m.Layout)))
		case !f.hasDims(name, p, q, m.Layout):
			e.Wrong = append(e.Wrong, fmt.Sprintf("%s, but %s needs %v in the layout %s", f.describe(name), q.Name, q.dimsIn(m.Layout), m.Layout))
		}
	}
	for _, name := range rest {
		if !taken[name] {
			e.Extra = append(e.Extra, f.describe(name))
		}
	}
	if o.SkipExtra && len(e.Missing)+len(e.Wrong) == 0 {
		m.Skipped, e.Extra = e.Extra, nil
	}
	if len(e.Missing)+len(e.Wrong)+len(e.Extra) > 0 {
		return e
	}
	return nil
}

// Weights returns the weights of a plan, by the names of its parameters. m is what Match
// has returned for the plan. Tensors of F16 and BF16 are converted without loss, those of
// F64 are rounded to float32. A tensor of another type, or with values that are not finite
// as float32, gives an error that wraps ErrWeights.
func (f *WeightsFile) Weights(p *Plan, m *Matching) (map[string]*tensor.Dense, error) {
	weights := map[string]*tensor.Dense{}
	for _, q := range p.Params {
		name, ok := m.Tensors[q.Name]
		if !ok || !f.hasDims(name, p, q, m.Layout) {
			return nil, fmt.Errorf("weights %s: %w: the matching is of another network: no tensor fits %s", f.path, ErrWeights, q.Name)
		}
		values, err := floatsOf(f.tensors[name])
		if err != nil {
			return nil, fmt.Errorf("weights %s: %w: tensor %s %w", f.path, ErrWeights, name, err)
		}
		out := make([]float32, q.Size())
		p.permute(q, m.Layout, func(native, foreign int) { out[native] = values[foreign] })
		weights[q.Name] = tensor.New(tensor.WithShape(q.Dims...), tensor.WithBacking(out))
	}
	return weights, nil
}

// OutputSizes returns the numbers of classes that a network for the file may have, the
// most probable one first. p is the network for any number of classes. The first number
// is the size of the tensor that is recognised as its last layer's weight by its name. If
// all others are recognised too, it is the only one. Otherwise p's own number follows,
// then the outputs of other tensors of more than one dimension, at most some dozens.
func (f *WeightsFile) OutputSizes(p *Plan, o WeightsOptions) []int {
	last := -1
	for i, q := range p.Params {
		if q.Role == Weight && len(q.Dims) > 1 {
			last = i
		}
	}
	m := &Matching{Tensors: map[string]string{}}
	open, rest, err := f.named(p, o.Names, m)
	if err != nil || last < 0 {
		return []int{p.Classes}
	}
	output := func(t safetensors.TensorView) (int, bool) {
		d := t.Shape()
		if len(d) < 2 {
			return 0, false
		}
		n := d[0]
		if o.Layout == ChannelsLast {
			n = d[len(d)-1]
		}
		return int(min(n, maxElements)), n > 1 && n <= maxElements
	}
	best := reading{}
	for _, c := range conventions {
		if r := read(c, p, open, rest); best.tensors == nil || len(r.tensors) > len(best.tensors) {
			best = r
		}
	}
	maps.Copy(m.Tensors, best.tensors)
	var sizes []int
	if name, ok := m.Tensors[p.Params[last].Name]; ok {
		if n, ok := output(f.tensors[name]); ok {
			sizes = append(sizes, n)
		}
	}
	if len(sizes) == 1 && len(best.tensors) == len(open) {
		return sizes
	}
	if !slices.Contains(sizes, p.Classes) {
		sizes = append(sizes, p.Classes)
	}
	const most = 50 // networks have fewer widths
	for _, name := range rest {
		if n, ok := output(f.tensors[name]); ok && len(sizes) < most && !slices.Contains(sizes, n) {
			sizes = append(sizes, n)
		}
	}
	return sizes
}

// floatsOf returns a tensor's values as float32.
func floatsOf(v safetensors.TensorView) ([]float32, error) {
	b := v.Data()
	out := make([]float32, uint64(len(b))/v.DType().Size())
	for i := range out {
		switch v.DType() {
		case safetensors.F32:
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		case safetensors.BF16:
			out[i] = half.FromBFloat16(binary.LittleEndian.Uint16(b[2*i:]))
		case safetensors.F16:
			out[i] = half.FromFloat16(binary.LittleEndian.Uint16(b[2*i:]))
		case safetensors.F64:
			x := math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
			out[i] = float32(x)
			if math.IsInf(float64(out[i]), 0) && !math.IsInf(x, 0) {
				return nil, fmt.Errorf("has the value %v, which is too large for float32", x)
			}
		default:
			return nil, fmt.Errorf("has type %v; weights are F32, F16, BF16 or F64", v.DType())
		}
		if x := out[i]; x-x != 0 {
			return nil, ErrNotFinite
		}
	}
	return out, nil
}
