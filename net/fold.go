package net

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"

	"gorgonia.org/tensor"
)

// Fold returns a network that computes in evaluation what n computes, with fewer layers:
// without dropout, and without batch normalisation behind a convolution or dense layer
// whose output nothing else takes. Their weights are multiplied by what normalisation
// multiplies by, and their biases follow (Jacob et al., 2018, section 3.2). It also returns
// the new network's weights; n and weights stay as they are. Layers keep their names.
func Fold(n *Network, weights map[string]*tensor.Dense) (*Network, map[string]*tensor.Dense, error) {
	plan, err := n.Plan()
	if err != nil {
		return nil, nil, err
	}
	instead := map[int]int{} // by a node that is left out, the one whose output is now the same
	kept := func(node int) int {
		for {
			other, gone := instead[node]
			if !gone {
				return node
			}
			node = other
		}
	}
	folded := map[int]Node{} // by a convolution or dense layer, the normalisation
	for _, node := range plan.Nodes {
		from := kept(node.Inputs[0])
		switch node.Layer.(type) {
		case *Dropout:
			instead[node.Index] = from
		case *BatchNorm:
			if _, twice := folded[from]; twice || from == NetworkInput || !plan.alone(from, node.Index, instead) {
				continue
			}
			switch plan.Nodes[from].Layer.(type) {
			case *Conv, *Dense:
				folded[from], instead[node.Index] = node, from
			}
		}
	}
	if len(instead) == len(plan.Nodes) { // dropout alone
		return n, weights, nil
	}
	file, layers, err := plan.describe(func(node int) string { return plan.InputName(kept(node)) })
	if err != nil {
		return nil, nil, err
	}
	var rest []map[string]any
	out := map[string]*tensor.Dense{}
	for i, node := range plan.Nodes {
		if _, gone := instead[i]; gone {
			continue
		}
		rest = append(rest, layers[i])
		for _, p := range node.Params {
			out[p.Name] = weights[p.Name]
		}
		if norm, ok := folded[i]; ok {
			delete(layers[i], "no_bias")
			foldInto(out, node, norm, weights)
		}
	}
	network, err := file.parse(rest)
	return network, out, err
}

// alone reports whether the output of a convolution or dense layer reaches only one node, with
// nothing between them but layers that are left out.
func (p *Plan) alone(from, to int, gone map[int]int) bool {
	for node := from; ; {
		uses := p.Nodes[node].Uses
		if len(uses) != 1 {
			return false
		}
		if node = uses[0]; node == to {
			return true
		}
		if _, ok := gone[node]; !ok {
			return false
		}
	}
}

// foldInto sets the weight and the bias of a layer to those that also do the work of a batch
// normalisation behind it.
func foldInto(out map[string]*tensor.Dense, node, norm Node, weights map[string]*tensor.Dense) {
	of := func(n Node, r Role) []float32 {
		if t := weights[n.Name+"."+string(r)]; t != nil {
			return t.Float32s()
		}
		return nil
	}
	_, epsilon := norm.Layer.(*BatchNorm).Settings()
	weight, bias := of(node, Weight), of(node, Bias)
	gain, shift, mean, variance := of(norm, Weight), of(norm, Bias), of(norm, RunningMean), of(norm, RunningVar)
	filters := node.Out.C
	size := len(weight) / filters
	newWeight, newBias := make([]float32, len(weight)), make([]float32, filters)
	for k := range filters {
		scale := float64(gain[k]) / math.Sqrt(float64(variance[k])+epsilon)
		for i := k * size; i < (k+1)*size; i++ {
			newWeight[i] = float32(float64(weight[i]) * scale)
		}
		from := -float64(mean[k])
		if bias != nil {
			from += float64(bias[k])
		}
		newBias[k] = float32(from*scale + float64(shift[k]))
	}
	name := node.Name + "."
	out[name+string(Weight)] = tensor.New(tensor.WithShape(node.Params[0].Dims...), tensor.WithBacking(newWeight))
	out[name+string(Bias)] = tensor.New(tensor.WithShape(filters), tensor.WithBacking(newBias))
}

// description is a network as JSON, without its layers.
type description map[string]any

// describe returns the network as JSON, for changes. All layers have names, because those
// that are derived from a count would change. name gives the name of a layer's input that
// was the output of a node or [NetworkInput].
func (p *Plan) describe(name func(node int) string) (description, []map[string]any, error) {
	b, err := json.Marshal(p.Network)
	if err != nil {
		return nil, nil, err
	}
	var file struct {
		Layers []map[string]any `json:"layers"`
	}
	var whole description
	for _, into := range []any{&file, &whole} {
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(into); err != nil {
			return nil, nil, err
		}
	}
	for i, node := range p.Nodes {
		var from []string
		for _, at := range node.Inputs {
			from = append(from, name(at))
		}
		file.Layers[i]["name"], file.Layers[i]["from"] = node.Name, from
	}
	return whole, file.Layers, nil
}

// parse returns the network with these layers. A layer says where it takes its input only if
// that isn't the layer before it.
func (d description) parse(layers []map[string]any) (*Network, error) {
	whole := maps.Clone(d)
	before := inputName
	for i, l := range layers {
		if from, ok := l["from"].([]string); ok && len(from) == 1 && from[0] == before && (i > 0 || from[0] == inputName) {
			delete(l, "from")
		}
		before = fmt.Sprint(l["name"])
	}
	whole["layers"] = layers
	b, err := json.Marshal(whole)
	if err != nil {
		return nil, err
	}
	return ParseNetwork(bytes.NewReader(b))
}
