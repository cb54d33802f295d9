package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/gputrain/gputrain/internal/half"
)

// array is a tensor whose values are known: a weight, a setting, or what operators make of such. Its values are float32 or
// integers.
type array struct {
	name   string // of the tensor in the file; "" if it is computed
	dims   []int
	floats []float32 // nil for integers
	ints   []int64   // nil for float32. anyBatch stands for the number of samples
	typ    int64     // for integers the element type, where it matters
}

// anyBatch stands in lists of sizes for the number of samples, which may be any.
const anyBatch = math.MinInt64 + 0x73616d706c6573 // a number that nobody writes

// Element types of TensorProto, besides float32Type and int64Type.
const (
	uint8Type    = 2
	int8Type     = 3
	uint16Type   = 4
	int16Type    = 5
	int32Type    = 6
	boolType     = 9
	float16Type  = 10
	float64Type  = 11
	uint32Type   = 12
	uint64Type   = 13
	bfloat16Type = 16
)

// elements are the element types that are read.
var elements = map[int64]struct {
	name  string
	width int // bytes
	float bool
}{
	float32Type: {"float32", 4, true}, float16Type: {"float16", 2, true}, bfloat16Type: {"bfloat16", 2, true}, float64Type: {"float64", 8, true},
	uint8Type: {"uint8", 1, false}, int8Type: {"int8", 1, false}, uint16Type: {"uint16", 2, false}, int16Type: {"int16", 2, false},
	int32Type: {"int32", 4, false}, uint32Type: {"uint32", 4, false}, int64Type: {"int64", 8, false}, uint64Type: {"uint64", 8, false}, boolType: {"bool", 1, false},
}

// mostValues is the most values that a tensor may have.
const mostValues = math.MaxInt32

// sizeOf returns the number of values of a tensor, and its dimensions as ints.
func sizeOf(dims []int64) (int, []int, error) {
	size, out := int64(1), make([]int, len(dims))
	for i, d := range dims {
		if d < 0 || d > mostValues || size*d > mostValues {
			return 0, nil, fmt.Errorf("dimensions %v: want at most %d values", dims, mostValues)
		}
		size *= d
		out[i] = int(d)
	}
	return int(size), out, nil
}

// load makes a constant of a tensor in the file. folder is where external data lie.
func (t *tensorProto) load(folder string) (*array, error) {
	size, dims, err := sizeOf(t.dims)
	if err != nil {
		return nil, err
	}
	c := &array{name: t.name, dims: dims, typ: t.typ}
	element, ok := elements[t.typ]
	if !ok {
		return nil, fmt.Errorf("elements of type %d; floats and integers of 8 bits or more are read", t.typ)
	}
	raw := t.raw
	if t.external {
		if raw, err = t.readExternal(folder, size*element.width); err != nil {
			return nil, fmt.Errorf("external data: %w", err)
		}
	}
	given := func(n int) error {
		if n != size {
			return fmt.Errorf("has %d values, its dimensions %v want %d", n, dims, size)
		}
		return nil
	}
	switch typed := len(t.floats) + len(t.ints) + len(t.doubles); {
	case typed > 0 && raw != nil, t.floats != nil && t.typ != float32Type, t.doubles != nil && t.typ != float64Type, t.ints != nil && (t.typ == float32Type || t.typ == float64Type):
		return nil, fmt.Errorf("its values are of another type than %s", element.name)
	case t.floats != nil:
		c.floats = t.floats
		return c, given(len(c.floats))
	case t.doubles != nil:
		c.floats = make([]float32, len(t.doubles))
		for i, v := range t.doubles {
			c.floats[i] = float32(v)
		}
		return c, given(len(c.floats))
	case t.ints != nil && element.float: // the bits of float16 and bfloat16
		c.floats = make([]float32, len(t.ints))
		for i, v := range t.ints {
			c.floats[i] = halfOf(t.typ, uint16(v))
		}
		return c, given(len(c.floats))
	case t.ints != nil:
		c.ints = t.ints
		return c, given(len(c.ints))
	}
	if len(raw) != size*element.width {
		return nil, fmt.Errorf("has %d bytes, its dimensions %v of %s want %d", len(raw), dims, element.name, size*element.width)
	}
	if !element.float {
		c.ints = make([]int64, size)
		for i := range c.ints {
			c.ints[i] = integerOf(t.typ, raw[i*element.width:])
		}
		return c, nil
	}
	c.floats = make([]float32, size)
	for i := range c.floats {
		switch at := raw[i*element.width:]; t.typ {
		case float32Type:
			c.floats[i] = math.Float32frombits(binary.LittleEndian.Uint32(at))
		case float64Type:
			c.floats[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(at)))
		default:
			c.floats[i] = halfOf(t.typ, binary.LittleEndian.Uint16(at))
		}
	}
	return c, nil
}

// halfOf converts a value of two bytes.
func halfOf(typ int64, bits uint16) float32 {
	if typ == bfloat16Type {
		return half.FromBFloat16(bits)
	}
	return half.FromFloat16(bits)
}

// integerOf reads an integer.
func integerOf(typ int64, b []byte) int64 {
	switch typ {
	case int8Type:
		return int64(int8(b[0]))
	case uint8Type, boolType:
		return int64(b[0])
	case int16Type:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case uint16Type:
		return int64(binary.LittleEndian.Uint16(b))
	case int32Type:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	case uint32Type:
		return int64(binary.LittleEndian.Uint32(b))
	}
	return int64(binary.LittleEndian.Uint64(b))
}

// readExternal reads values that lie in a file beside the model's. The file's name must not lead out of the model's folder.
func (t *tensorProto) readExternal(folder string, size int) ([]byte, error) {
	number := func(key string, or int64) (int64, error) {
		text, ok := t.place[key]
		if !ok {
			return or, nil
		}
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil || v < 0 {
			return 0, fmt.Errorf("%s %q", key, text)
		}
		return v, nil
	}
	name := t.place["location"]
	offset, err := number("offset", 0)
	if err != nil {
		return nil, err
	}
	length, err := number("length", int64(size))
	if err != nil {
		return nil, err
	}
	if length != int64(size) {
		return nil, fmt.Errorf("%s has %d bytes of it, want %d", strconv.Quote(name), length, size)
	}
	if folder == "" {
		return nil, fmt.Errorf("its values lie in the file %s: read the model from its file", strconv.Quote(name))
	}
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return nil, fmt.Errorf("the file %s is not in the model's folder", strconv.Quote(name))
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size()-offset < length {
		return nil, fmt.Errorf("%s has %d bytes, want %d from byte %d on", strconv.Quote(name), info.Size(), length, offset)
	}
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, size)
	_, err = f.ReadAt(b, offset)
	return b, err
}

// size returns the number of values.
func (c *array) size() int { return len(c.floats) + len(c.ints) }

// scalar returns the only value of a constant of one value.
func (c *array) scalar() (float64, bool) {
	switch {
	case len(c.floats) == 1:
		return float64(c.floats[0]), true
	case len(c.ints) == 1 && c.ints[0] != anyBatch:
		return float64(c.ints[0]), true
	}
	return 0, false
}

// list returns integers as ints. The number of samples is not allowed among them.
func (c *array) list() ([]int, error) {
	if c.ints == nil || len(c.dims) > 1 {
		return nil, errors.New("wants a list of integers")
	}
	out := make([]int, len(c.ints))
	for i, v := range c.ints {
		if v == anyBatch || v > mostValues || v < -mostValues {
			return nil, errors.New("wants integers that don't depend on the number of samples")
		}
		out[i] = int(v)
	}
	return out, nil
}

// permuted returns the constant with its axes in another order: axis i of the result is axis axes[i] of c.
func (c *array) permuted(axes []int) *array {
	from := permutation(c.dims, axes)
	out := &array{name: c.name, dims: make([]int, len(axes))}
	for i, a := range axes {
		out.dims[i] = c.dims[a]
	}
	if c.floats != nil {
		out.floats = make([]float32, len(from))
	} else {
		out.ints = make([]int64, len(from))
	}
	for i, j := range from {
		if c.floats != nil {
			out.floats[i] = c.floats[j]
		} else {
			out.ints[i] = c.ints[j]
		}
	}
	return out
}

// permutation returns, for each place of a tensor whose axes were put in another order, its place in the tensor before. Axis i
// of the result is axis axes[i] of dims.
func permutation(dims, axes []int) []int32 {
	strides := make([]int, len(dims))
	size := 1
	for a := len(dims) - 1; a >= 0; a-- {
		strides[a], size = size, size*dims[a]
	}
	out := make([]int32, size)
	at := make([]int, len(axes)) // coordinates in the result
	from := 0
	for i := range out {
		out[i] = int32(from)
		for k := len(axes) - 1; k >= 0; k-- {
			at[k]++
			from += strides[axes[k]]
			if at[k] < dims[axes[k]] {
				break
			}
			from -= at[k] * strides[axes[k]]
			at[k] = 0
		}
	}
	return out
}

// reshaped returns the constant with other dimensions, where one may be -1 and 0 stands for the old one.
func (c *array) reshaped(dims []int64, zeroIsZero bool) (*array, error) {
	out := *c
	out.dims = nil
	rest, free := 1, -1
	for i, d := range dims {
		if d == 0 && !zeroIsZero && i < len(c.dims) {
			d = int64(c.dims[i])
		}
		switch {
		case d == -1 && free < 0:
			free = i
			d = 1
		case d < 0 || d > mostValues || rest*int(d) > mostValues:
			return nil, fmt.Errorf("dimensions %v", dims)
		}
		out.dims, rest = append(out.dims, int(d)), rest*int(d)
	}
	if free >= 0 && rest > 0 {
		out.dims[free] = c.size() / rest
		rest *= out.dims[free]
	}
	if rest != c.size() {
		return nil, fmt.Errorf("%v values as dimensions %v", c.dims, dims)
	}
	return &out, nil
}

// broadcast returns the dimensions of the result of an operator on two tensors, by the rules of ONNX (NumPy's).
func broadcast(a, b []int) ([]int, error) {
	n := max(len(a), len(b))
	out := make([]int, n)
	for i := range out {
		x, y := 1, 1
		if k := i - n + len(a); k >= 0 {
			x = a[k]
		}
		if k := i - n + len(b); k >= 0 {
			y = b[k]
		}
		switch {
		case x == y || y == 1:
			out[i] = x
		case x == 1:
			out[i] = y
		default:
			return nil, fmt.Errorf("dimensions %v and %v don't fit", a, b)
		}
	}
	return out, nil
}

// spread returns, for each place of a tensor of dimensions to, the place in a tensor of dimensions dims that is repeated there.
func spread(dims, to []int) []int32 {
	size := 1
	for _, d := range to {
		size *= d
	}
	strides := make([]int, len(to))
	stride := 1
	for i := len(dims) - 1; i >= 0; i-- {
		if dims[i] > 1 {
			strides[i+len(to)-len(dims)] = stride
		}
		stride *= dims[i]
	}
	out := make([]int32, size)
	at, from := make([]int, len(to)), 0
	for i := range out {
		out[i] = int32(from)
		for k := len(to) - 1; k >= 0; k-- {
			at[k]++
			from += strides[k]
			if at[k] < to[k] {
				break
			}
			from -= at[k] * strides[k]
			at[k] = 0
		}
	}
	return out
}

// combine computes an operator on two constants.
func combine(op string, a, b *array) (*array, error) {
	dims, err := broadcast(a.dims, b.dims)
	if err != nil {
		return nil, err
	}
	size := 1
	for _, d := range dims {
		if size *= d; size > mostValues {
			return nil, fmt.Errorf("dimensions %v", dims)
		}
	}
	if size > 4*(a.size()+b.size())+1024 { // an outer product of what the file holds
		return nil, fmt.Errorf("a constant of dimensions %v made of %v and %v", dims, a.dims, b.dims)
	}
	i, j := spread(a.dims, dims), spread(b.dims, dims)
	out := &array{dims: dims}
	if (a.floats == nil) != (b.floats == nil) {
		return nil, errors.New("floats and integers together")
	}
	if a.floats == nil {
		out.ints = make([]int64, size)
		for k := range out.ints {
			x, y := a.ints[i[k]], b.ints[j[k]]
			switch {
			case x == anyBatch || y == anyBatch:
				return nil, errors.New("computes with the number of samples")
			case op == "Add":
				out.ints[k] = x + y
			case op == "Sub":
				out.ints[k] = x - y
			case op == "Mul":
				out.ints[k] = x * y
			case op == "Div" && y != 0:
				out.ints[k] = x / y
			default:
				return nil, errors.New("on integers is not read")
			}
		}
		return out, nil
	}
	out.floats = make([]float32, size)
	for k := range out.floats {
		x, y := a.floats[i[k]], b.floats[j[k]]
		switch op {
		case "Add":
			out.floats[k] = x + y
		case "Sub":
			out.floats[k] = x - y
		case "Mul":
			out.floats[k] = x * y
		case "Div":
			out.floats[k] = x / y
		case "Pow":
			out.floats[k] = float32(math.Pow(float64(x), float64(y)))
		}
	}
	return out, nil
}

// mapped computes an operator on each value of a constant.
func (c *array) mapped(f func(float64) float64) *array {
	out := &array{dims: c.dims, floats: make([]float32, len(c.floats))}
	for i, v := range c.floats {
		out.floats[i] = float32(f(float64(v)))
	}
	return out
}

// picked returns the parts of a constant at indices along an axis.
func (c *array) picked(axis int, indices []int) *array {
	outer, inner := 1, 1
	for _, d := range c.dims[:axis] {
		outer *= d
	}
	for _, d := range c.dims[axis+1:] {
		inner *= d
	}
	out := &array{dims: slices.Clone(c.dims)}
	out.dims[axis] = len(indices)
	for o := range outer {
		for _, i := range indices {
			at := (o*c.dims[axis] + i) * inner
			if c.floats != nil {
				out.floats = append(out.floats, c.floats[at:at+inner]...)
			} else {
				out.ints = append(out.ints, c.ints[at:at+inner]...)
			}
		}
	}
	if out.size() == 0 && c.floats != nil {
		out.floats = []float32{}
	} else if out.size() == 0 {
		out.ints = []int64{}
	}
	return out
}
