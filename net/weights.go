package net

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/nlpodyssey/safetensors"
	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/replacefile"
)

// ErrWeights means that the weights in a file are not those of the network. Compare with
// errors.Is.
var ErrWeights = errors.New("not this network's weights")

// weightsFormat marks the files of SaveWeights.
const weightsFormat = "weights"

// Layout is the order in which a framework stores weights.
type Layout string

// The layouts of weights. A layout also decides in which order a dense layer after a
// flatten layer takes its inputs.
const (
	// ChannelsFirst is the layout of this package and of PyTorch. Convolutions are
	// (filters, channels, height, width), dense layers (units, inputs). An image is
	// flattened channel by channel.
	ChannelsFirst Layout = "channels-first"
	// ChannelsLast is the layout of TensorFlow. Convolutions are (height, width,
	// channels, filters), dense layers (inputs, units). An image is flattened pixel
	// by pixel, each with all its channels.
	ChannelsLast Layout = "channels-last"
)

// Layouts lists all layouts.
func Layouts() []Layout { return []Layout{ChannelsFirst, ChannelsLast} }

// SaveWeights writes weights to a safetensors file for other programs, under the
// parameters' names. It writes nothing else that a checkpoint holds. The file is replaced
// as a whole or not at all. The weights must fit the plan.
//
// For some networks, ChannelsLast is an error: with the channels last, no order of the
// weights would give the same network. Such a network adds a flattened image to a vector
// of another order, or multiplies the two; or it has a convolution of several groups on a
// flattened image; or it flattens an image whose channels are a flattened image's values.
func SaveWeights(path string, p *Plan, weights map[string]*tensor.Dense, l Layout) error {
	err := replacefile.Write(path, func(w io.Writer) error { return WriteWeights(w, p, weights, l) })
	if err != nil {
		return fmt.Errorf("weights %s: %w", path, err)
	}
	return nil
}

// WriteWeights writes to w what SaveWeights writes to a file.
func WriteWeights(w io.Writer, p *Plan, weights map[string]*tensor.Dense, l Layout) error {
	if err := p.checkLayout(l); err != nil {
		return err
	}
	tensors := map[string]safetensors.TensorView{}
	for _, q := range p.Params {
		t := weights[q.Name]
		if t == nil {
			return fmt.Errorf("no weights %s", q.Name)
		}
		out := make([]float32, q.Size())
		p.permute(q, l, func(native, foreign int) { out[foreign] = t.Float32s()[native] })
		v, err := viewOf(tensor.New(tensor.WithShape(q.dimsIn(l)...), tensor.WithBacking(out)))
		if err != nil {
			return fmt.Errorf("%s: %w", q.Name, err)
		}
		tensors[q.Name] = v
	}
	meta := map[string]string{keyFormat: weightsFormat, "layout": string(l)}
	return safetensors.SerializeToWriter(tensors, meta, w)
}

// LoadWeights reads the weights of a plan from a safetensors file with the given layout.
// If a tensor in the file has another name than its parameter, names maps the parameter's
// name to the tensor's name. names may be nil. Names that PyTorch, torchvision and timm
// give are found without: see [WeightsFile.Match]. Errors for a file that doesn't fit wrap
// ErrWeights. ChannelsLast is an error for the same networks as in SaveWeights.
func LoadWeights(path string, p *Plan, l Layout, names map[string]string) (map[string]*tensor.Dense, error) {
	if err := p.checkLayout(l); err != nil {
		return nil, fmt.Errorf("weights %s: %w", path, err)
	}
	f, err := OpenWeights(path)
	if err != nil {
		return nil, err
	}
	m, err := f.Match(p, WeightsOptions{Layout: l, Names: names})
	if err != nil {
		return nil, err
	}
	return f.Weights(p, m)
}

// checkLayout returns an error for a network that has no equal in a layout.
func (p *Plan) checkLayout(l Layout) error {
	if l != ChannelsLast {
		return nil
	}
	for _, n := range p.Nodes {
		order := foreignOrder(p.origin(n.Inputs[0]))
		moved := !slices.IsSorted(order)
		var why string
		switch d := n.Layer.(type) {
		case *Add, *Multiply:
			for _, from := range n.Inputs[1:] {
				if !slices.Equal(order, foreignOrder(p.origin(from))) {
					why = "its inputs are flattened in different orders"
				}
			}
		case *Conv:
			if moved && d.GroupCount() > 1 {
				why = "its groups are of a flattened image's values"
			}
		case *Flatten:
			if moved && (n.In.H > 1 || n.In.W > 1) {
				why = "its channels are a flattened image's values"
			}
		}
		if why != "" {
			return fmt.Errorf("layout %s: layer %d (%s): %s", l, n.Index, n.Name, why)
		}
	}
	return nil
}

// dimsIn returns a parameter's dimensions in a layout.
func (q Param) dimsIn(l Layout) []int {
	switch d := q.Dims; {
	case l == ChannelsLast && len(d) == 4:
		return []int{d[2], d[3], d[1], d[0]}
	case l == ChannelsLast && len(d) == 2:
		return []int{d[1], d[0]}
	}
	return q.Dims
}

// permute calls f for each value of a parameter with its index in this package's layout
// and its index in l.
func (p *Plan) permute(q Param, l Layout, f func(native, foreign int)) {
	if l != ChannelsLast {
		for i := range q.Size() {
			f(i, i)
		}
		return
	}
	node := p.Nodes[q.Layer]
	switch len(q.Dims) {
	case 4:
		filters, channels, h, w := q.Dims[0], q.Dims[1], q.Dims[2], q.Dims[3]
		source := []int(nil) // with groups the channels are an image's, which stay
		if channels == node.In.C {
			source = foreignOrder(p.origin(node.Inputs[0])) // a convolution may take a vector
		}
		for k := range filters {
			for c := range channels {
				for y := range h {
					for x := range w {
						f(((k*channels+c)*h+y)*w+x, ((y*w+x)*channels+at(source, c))*filters+k)
					}
				}
			}
		}
		return
	case 2:
		units, inputs := q.Dims[0], q.Dims[1]
		source := foreignOrder(p.origin(node.Inputs[0]))
		for u := range units {
			for i := range inputs {
				f(u*inputs+i, at(source, i)*units+u)
			}
		}
		return
	}
	// A bias has the order of the layer's own outputs. The values of a batch normalisation
	// have the order of what it normalises.
	order := foreignOrder(p.origin(q.Layer))
	for i := range q.Size() {
		f(i, at(order, i))
	}
}

// origin returns the shapes that the parts of a vector had before they were flattened, one
// after the other. For an image, it returns the image's channels.
func (p *Plan) origin(node int) []Shape {
	if node == NetworkInput {
		return []Shape{{p.Network.Input.C, 1, 1}}
	}
	n := p.Nodes[node]
	switch n.Layer.(type) {
	case *Flatten:
		if n.In.H == 1 && n.In.W == 1 {
			return p.origin(n.Inputs[0])
		}
		return []Shape{n.In}
	case *Conv, *Dense:
		return []Shape{{n.Out.C, 1, 1}}
	case *Concat:
		var all []Shape
		for _, i := range n.Inputs {
			all = append(all, p.origin(i)...)
		}
		return all
	}
	return p.origin(n.Inputs[0])
}

// foreignOrder returns the index that each value of a vector of flattened shapes has if
// the channels come last.
func foreignOrder(shapes []Shape) []int {
	var order []int
	for _, s := range shapes {
		first, area := len(order), s.H*s.W
		for i := range s.Size() {
			order = append(order, first+i%area*s.C+i/area)
		}
	}
	return order
}

// at returns order[i], or i where order is nil.
func at(order []int, i int) int {
	if order == nil {
		return i
	}
	return order[i]
}
