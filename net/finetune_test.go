package net

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// fineTuned is a network with the layers that matter to fine-tuning.
func fineTuned(tail ...Layer) *Network {
	return &Network{Name: "tuned", Input: Shape{3, 8, 8}, Layers: append([]Layer{
		&Conv{Filters: 4, Kernel: Square(3), Padding: PadSame}, &BatchNorm{}, &Activation{Func: ReLU},
		&Conv{Name: "deep", Filters: 4, Kernel: Square(3), NoBias: true, Padding: PadSame, Frozen: Frozen{Roles: []Role{Weight}}}, &BatchNorm{Name: "norm"},
	}, tail...)}
}

// TestFreeze wants the parameters that are trained after some patterns, and the layers that are frozen as a whole.
func TestFreeze(t *testing.T) {
	n := fineTuned(&Pool{Mode: MeanPool, Global: true}, &Dense{Units: 3})
	before := mustJSON(t, n)
	all := []string{"conv1.weight", "conv1.bias", "batchnorm1.weight", "batchnorm1.bias", "deep.weight", "norm.weight", "norm.bias", "dense1.weight", "dense1.bias"}
	for _, c := range []struct {
		patterns string
		trained  []string
		whole    string
	}{
		{"", slices.Delete(slices.Clone(all), 4, 5), ""},
		{"none", all, ""},
		{"@body", all[7:], "conv1 batchnorm1 deep norm"},
		{"@body none", all, ""},
		{"..deep", all[5:], "conv1 batchnorm1 deep"},
		{"..relu1", []string{"deep.weight", "norm.weight", "norm.bias", "dense1.weight", "dense1.bias"}, "conv1 batchnorm1"}, // needs none first, as below
		{"conv*", append([]string{"batchnorm1.weight", "batchnorm1.bias"}, all[5:]...), "conv1 deep"},                        // by name, and by type
		{"batchnorm.*", []string{"conv1.weight", "conv1.bias", "dense1.weight", "dense1.bias"}, "batchnorm1 norm"},
		{"batchnorm.bias", []string{"conv1.weight", "conv1.bias", "batchnorm1.weight", "norm.weight", "dense1.weight", "dense1.bias"}, ""},
		{"norm.weight norm.bias", append(slices.Clone(all[:4]), all[7:]...), ""},
		{"none @hidden", []string{"conv1.bias", "batchnorm1.weight", "batchnorm1.bias", "norm.weight", "norm.bias", "dense1.weight", "dense1.bias"}, "deep"},
		{"dense1", slices.Concat(all[:4], all[5:7]), "dense1"},
	} {
		patterns := strings.Fields(c.patterns)
		if c.patterns == "..relu1" {
			patterns = []string{"none", "..relu1"}
		}
		got, err := n.Freeze(patterns...)
		if err != nil {
			t.Errorf("%s: %v", c.patterns, err)
			continue
		}
		plan := mustPlanOf(t, got)
		var trained, whole []string
		for _, q := range plan.Trained() {
			trained = append(trained, q.Name)
		}
		for _, node := range plan.Nodes {
			if node.Layer.common().frozen.All {
				whole = append(whole, node.Name)
			}
		}
		if !slices.Equal(trained, c.trained) || strings.Join(whole, " ") != c.whole {
			t.Errorf("%s: trained are %v, want %v; frozen as a whole are %v, want %s", c.patterns, trained, c.trained, whole, c.whole)
		}
	}
	if mustJSON(t, n) != before {
		t.Error("the network itself has changed")
	}
	for pattern, want := range map[string]string{
		"conv9": `nothing to freeze is called "conv9"; layers with parameters are conv1, batchnorm1, deep, norm, dense1`,
		"relu*": `nothing to freeze is called "relu*"`, "..x": `nothing to freeze is called "..x"`, "[": `"[" is no pattern of names`, "": `nothing to freeze is called ""`,
	} {
		if _, err := n.Freeze("conv1", pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", pattern, err, want)
		}
	}
	many := &Network{Input: Shape{1, 1, 1}}
	for range 14 {
		many.Layers = append(many.Layers, &Dense{Units: 2})
	}
	if one, err := (&Network{Input: Shape{2, 1, 1}, Layers: []Layer{&Dense{Units: 2}}}).Freeze(Body); err != nil || len(mustPlanOf(t, one).Trained()) != 2 {
		t.Errorf("one layer: %v", err)
	}
	// What is a fixed computation stays so, and is no head.
	fixed := &Network{Input: Shape{2, 2, 2}, Layers: []Layer{
		&Conv{Name: "prepare", Filters: 2, Kernel: Square(1), Frozen: Frozen{Always: true}}, &Conv{Name: "head", Filters: 3, Kernel: Square(2)},
		&Conv{Name: "order", Filters: 3, Kernel: Square(1), Frozen: Frozen{Always: true}},
	}}
	for patterns, want := range map[string]string{"none": "head.weight head.bias", "@body": "head.weight head.bias", "head none": "head.weight head.bias", "*": ""} {
		got, err := fixed.Freeze(strings.Fields(patterns)...)
		if err != nil {
			t.Errorf("%s: %v", patterns, err)
			continue
		}
		var trained []string
		for _, q := range mustPlanOf(t, got).Trained() {
			trained = append(trained, q.Name)
		}
		if strings.Join(trained, " ") != want || strings.Count(mustJSON(t, got), `"frozen":"always"`) != 2 {
			t.Errorf("%s: trained are %v, want %s: %s", patterns, trained, want, mustJSON(t, got))
		}
	}
	if _, err := many.Freeze("x"); err == nil || !strings.HasSuffix(err.Error(), " are dense1, dense2, dense3, dense4, dense5, dense6, ..., dense9, dense10, dense11, dense12, dense13, dense14") {
		t.Errorf("many layers: %v", err)
	}
}

// TestNewHead replaces the last layer of all kinds of endings, and refuses where the logits come from several layers.
func TestNewHead(t *testing.T) {
	global := &Pool{Mode: MeanPool, Global: true}
	for _, c := range []struct {
		name  string
		tail  []Layer
		heads string // the names of the layers that are new, or the error
	}{
		{"dense", []Layer{&Flatten{}, &Dense{Units: 3, Frozen: Frozen{All: true}}}, "dense1"},
		{"scaled, with dropout", []Layer{&Flatten{}, &Dense{Units: 3}, &Dropout{Rate: 0.5}, &Scale{Factor: 2}}, "dense1"},
		{"normalised", []Layer{&Flatten{}, &Dense{Units: 3}, &BatchNorm{Name: "end"}}, "end dense1"},
		{"convolution", []Layer{&Conv{Filters: 3, Kernel: Square(1)}, &Activation{Func: ReLU}, global, &Flatten{}}, "conv3"},
		{"two layers", []Layer{global, &Dense{Units: 3, Name: "a"}, &Dense{Units: 3, From: From{"pool1"}, Name: "b"}, &Add{From: From{"a", "b"}, Name: "sum"}}, "network tuned has no last layer that can be replaced: sum takes several values"},
		{"taken twice", []Layer{global, &Dense{Units: 3, Name: "a"}, &Multiply{From: From{"a", "a"}}}, "multiply1 takes several values"},
		{"groups", []Layer{&Conv{Filters: 4, Kernel: Square(1), Groups: 2}, global}, "conv3 is a convolution in groups"},
		{"pixels", []Layer{&Conv{Filters: 3, Kernel: Square(1)}, &Flatten{}}, "flatten1 makes logits of several pixels"},
	} {
		n := fineTuned(c.tail...)
		before := mustJSON(t, n)
		got, heads, err := n.NewHead(7)
		if err != nil {
			if !strings.HasSuffix(err.Error(), c.heads) {
				t.Errorf("%s: %v, want %s", c.name, err, c.heads)
			}
			continue
		}
		plan := mustPlanOf(t, got)
		if plan.Classes != 7 || strings.Join(heads, " ") != c.heads {
			t.Errorf("%s: %d classes, new are %v, want %s", c.name, plan.Classes, heads, c.heads)
		}
		was := mustPlanOf(t, n)
		for i, node := range plan.Nodes {
			if isNew := slices.Contains(heads, node.Name); isNew && node.Weights() != node.Parameters() {
				t.Errorf("%s: the new layer %s is frozen", c.name, node.Name)
			} else if !isNew && fmt.Sprint(node.Params) != fmt.Sprint(was.Nodes[i].Params) {
				t.Errorf("%s: the parameters of %s have changed", c.name, node.Name)
			}
		}
		if mustJSON(t, n) != before {
			t.Errorf("%s: the network itself has changed", c.name)
		}
	}
	for _, classes := range []int{-1, 0, 1} {
		if _, _, err := fineTuned(global, &Dense{Units: 3}).NewHead(classes); err == nil {
			t.Errorf("%d classes are accepted", classes)
		}
	}
	if _, _, err := (&Network{Name: "bare", Input: Shape{2, 1, 1}, Layers: []Layer{&Scale{Factor: 2}}}).NewHead(2); err == nil || err.Error() != "network bare has no layer with weights" {
		t.Errorf("without weights: %v", err)
	}
	for _, m := range Models() {
		n, err := m.Build(m.Input, 10)
		if err != nil {
			t.Fatal(err)
		}
		if got, heads, err := n.NewHead(2); err != nil || mustPlanOf(t, got).Classes != 2 || len(heads) == 0 {
			t.Errorf("%s: %v, %v", m.Name, heads, err)
		}
	}
}

// TestBodyRate gives all layers but the last another rate, and leaves out groups for what is frozen.
func TestBodyRate(t *testing.T) {
	n := fineTuned(&Pool{Mode: MeanPool, Global: true}, &Dense{Units: 3})
	o := SGDDefault(1)
	o.Groups = []Group{{Params: "norm.bias", Factor: 3}, {Params: Body, Factor: 0.5}}
	rates := func(p *Plan, o Optimizer) map[string]float64 {
		rates := map[string]float64{}
		for _, q := range p.Trained() {
			rates[q.Name] = o.For(p, q).LearningRate
		}
		return rates
	}
	want := map[string]float64{"conv1.weight": 0.5, "conv1.bias": 0.5, "batchnorm1.weight": 0.5, "batchnorm1.bias": 0.5, "norm.weight": 0.5, "norm.bias": 3, "dense1.weight": 1, "dense1.bias": 1}
	if got := rates(mustPlanOf(t, n), o); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("rates are %v, want %v", got, want)
	}
	if err := o.CheckFor(mustPlanOf(t, n)); err != nil {
		t.Error(err)
	}
	frozen, err := n.Freeze("norm")
	if err != nil {
		t.Fatal(err)
	}
	plan := mustPlanOf(t, frozen)
	if err := o.CheckFor(plan); err == nil {
		t.Error("a group for what is frozen is accepted")
	}
	got := o.WithoutFrozen(plan)
	if err := got.CheckFor(plan); err != nil || len(got.Groups) != 1 || got.Groups[0].Params != Body || len(o.Groups) != 2 {
		t.Errorf("groups are %v (%v), were %v", got.Groups, err, o.Groups)
	}
	// A name that is nowhere stays, for CheckFor to refuse.
	o.Groups = []Group{{Params: "nowhere", Factor: 3}}
	if got := o.WithoutFrozen(plan); len(got.Groups) != 1 {
		t.Error("a group that matches nothing is left out")
	}
}

func mustPlanOf(t *testing.T, n *Network) *Plan {
	t.Helper()
	p, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustJSON(t *testing.T, n *Network) string {
	t.Helper()
	b, err := n.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
