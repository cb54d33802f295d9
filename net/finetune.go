package net

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Body as a pattern matches all parameters except those of the head: of the last
// convolution or dense layer, and of what stands behind it.
const Body = "@body"

// NothingFrozen is a word for [Network.Freeze]: no layer is frozen.
const NothingFrozen = "none"

// upToPrefix stands before a layer's name in a pattern of [Network.Freeze].
const upToPrefix = ".."

// head returns the index of the last layer that has a weight matrix or filters, or -1 if
// none has. Layers that are always frozen don't count.
func (p *Plan) head() int {
	for i, n := range slices.Backward(p.Nodes) {
		if !n.Layer.common().frozen.Always && slices.ContainsFunc(n.Params, func(q Param) bool { return len(q.Dims) > 1 }) {
			return i
		}
	}
	return -1
}

// matches reports whether a pattern matches parameter q. It is a pattern of path.Match for
// the parameter's name ("dense2.*"), or for its layer's type with its role
// ("batchnorm.bias"). Or it is HiddenMatrices or Body.
func (p *Plan) matches(pattern string, q Param) bool {
	switch pattern {
	case HiddenMatrices:
		return len(q.Dims) > 1 && q.Layer < p.head()
	case Body:
		return q.Layer < p.head()
	}
	kind := p.Nodes[q.Layer].Layer.Kind() + "." + string(q.Role)
	for _, name := range []string{q.Name, kind} {
		if ok, err := path.Match(pattern, name); ok && err == nil {
			return true
		}
	}
	return false
}

// clone returns a copy that shares no memory.
func (n *Network) clone() (*Network, error) {
	b, err := json.Marshal(n)
	if err != nil {
		return nil, err
	}
	var out Network
	err = json.Unmarshal(b, &out)
	return &out, err
}

// NewHead returns a copy of the network that tells another number of classes apart, and the
// names of the layers whose parameters must be drawn anew. The last convolution or dense
// layer gets that many outputs, and isn't frozen. Behind it there may be layers that treat
// each channel by itself, such as pooling. It is an error if the logits come from several
// layers.
func (n *Network) NewHead(classes int) (*Network, []string, error) {
	if classes < 2 {
		return nil, nil, fmt.Errorf("a network tells at least 2 classes apart, not %d", classes)
	}
	plan, err := n.Plan()
	if err != nil {
		return nil, nil, err
	}
	out, err := n.clone()
	if err != nil {
		return nil, nil, err
	}
	var names []string
	for i := len(plan.Nodes) - 1; i >= 0; i = plan.Nodes[i].Inputs[0] {
		node := plan.Nodes[i]
		fail := func(why string) (*Network, []string, error) {
			return nil, nil, fmt.Errorf("network %s has no last layer that can be replaced: %s %s", n.Name, node.Name, why)
		}
		if len(node.Uses) > 1 {
			return fail("is taken by several layers")
		}
		if len(node.Params) > 0 {
			names = append(names, node.Name)
			*out.Layers[i].common().frozen = Frozen{}
		}
		switch l := out.Layers[i].(type) {
		case *Dense:
			l.Units = classes
		case *Conv:
			if l.GroupCount() > 1 {
				return fail("is a convolution in groups")
			}
			l.Filters = classes
		case *Flatten:
			if node.In.H*node.In.W > 1 {
				return fail("makes logits of several pixels")
			}
			continue
		case *Pool, *Activation, *Dropout, *BatchNorm, *Scale:
			continue
		default:
			return fail("takes several values")
		}
		_, err = out.Plan()
		return out, names, err
	}
	return nil, nil, fmt.Errorf("network %s has no layer with weights", n.Name)
}

// Freeze returns a copy of the network in which more is frozen. A pattern may be
//
//   - a pattern of path.Match for names of layers, such as "stage1*"
//   - a pattern for parameters, as in [Group]: "conv1.weight", "batchnorm.*"
//   - [HiddenMatrices] or [Body]
//   - ".." with a layer's name: it and all layers that stand before it
//   - [NothingFrozen]: from here on, nothing is frozen, whatever the network had frozen,
//     except what is always frozen
//
// They apply in order. A layer of which a pattern matches all parameters is frozen as a
// whole; see [BatchNorm]. It is an error if a pattern of names matches nothing.
func (n *Network) Freeze(patterns ...string) (*Network, error) {
	out, err := n.clone()
	if err != nil {
		return nil, err
	}
	plan, err := out.Plan()
	if err != nil {
		return nil, err
	}
	for _, pattern := range patterns {
		if pattern == NothingFrozen {
			for _, l := range out.Layers {
				if frozen := l.common().frozen; !frozen.Always {
					*frozen = Frozen{}
				}
			}
			continue
		}
		found, err := plan.freeze(pattern)
		if err != nil {
			return nil, err
		}
		if !found && pattern != HiddenMatrices && pattern != Body { // a network may have one layer alone
			return nil, fmt.Errorf("nothing to freeze is called %q; layers with parameters are %s", pattern, strings.Join(plan.learners(), ", "))
		}
	}
	_, err = out.Plan()
	return out, err
}

// freeze freezes what a pattern matches, and reports whether there is anything.
func (p *Plan) freeze(pattern string) (found bool, err error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return false, fmt.Errorf("%q is no pattern of names", pattern)
	}
	last := -1 // the last layer of all that are frozen
	if name, ok := strings.CutPrefix(pattern, upToPrefix); ok {
		last = slices.IndexFunc(p.Nodes, func(n Node) bool { return n.Name == name })
	}
	for i, n := range p.Nodes {
		whole, _ := path.Match(pattern, n.Name)
		frozen, roles := n.Layer.common().frozen, []Role(nil)
		whole = whole || i <= last
		matched := 0
		for _, q := range n.Params {
			if p.matches(pattern, q) {
				matched++
				if q.Role == Weight || q.Role == Bias {
					roles = append(roles, q.Role)
				}
			}
		}
		switch {
		case len(n.Params) == 0:
			continue
		case frozen.Always: // it stays so
		case whole, matched == len(n.Params):
			*frozen = Frozen{All: true}
		case !frozen.All:
			for _, r := range roles {
				if !frozen.has(r) {
					frozen.Roles = append(frozen.Roles, r)
				}
			}
		}
		found = found || whole || matched > 0
	}
	return found, nil
}

// learners returns the names of the layers with parameters, with "..." in the middle if
// they are many.
func (p *Plan) learners() []string {
	var names []string
	for _, n := range p.Nodes {
		if len(n.Params) > 0 {
			names = append(names, n.Name)
		}
	}
	const most = 12
	if len(names) > most {
		names = slices.Concat(names[:most/2], []string{"..."}, names[len(names)-most/2:])
	}
	return names
}

// WithoutFrozen returns the optimiser without the groups that match only parameters that the
// plan has frozen. CheckFor would refuse them.
func (o Optimizer) WithoutFrozen(p *Plan) Optimizer {
	o.Groups = slices.DeleteFunc(slices.Clone(o.Groups), func(g Group) bool {
		matches, trained := false, false
		for _, q := range p.Params {
			if g.matches(p, q) {
				matches, trained = true, trained || q.Trained
			}
		}
		return matches && !trained && g.Params != HiddenMatrices && g.Params != Body
	})
	return o
}
