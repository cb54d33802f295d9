package cuda_test

import (
	"slices"
	"testing"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/net"
)

// TestRules says which parameters are updated together.
func TestRules(t *testing.T) {
	n := &net.Network{Name: "rules", Input: net.Shape{C: 1, H: 4, W: 4}, Layers: []net.Layer{
		&net.Conv{Filters: 2, Kernel: net.Square(3)}, &net.BatchNorm{}, &net.Flatten{}, &net.Dense{Units: 3},
	}}
	plan, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, q := range plan.Params {
		names = append(names, q.Name)
	}
	if want := []string{"conv1.weight", "conv1.bias", "batchnorm1.weight", "batchnorm1.bias", "batchnorm1.running_mean", "batchnorm1.running_var",
		"dense1.weight", "dense1.bias"}; !slices.Equal(names, want) {
		t.Fatalf("parameters %q, want %q", names, want)
	}
	decaying := net.SGDDefault(0.1)
	decaying.WeightDecay = 0.1
	adam, plain := net.AdamDefault(0.1).Rule, net.SGDDefault(0.1).Rule
	for _, c := range []struct {
		name   string
		groups []net.Group
		rules  int
		of     []int
	}{
		{"one rule", nil, 1, []int{0, 0, 0, 0, -1, -1, 0, 0}},
		{"a factor", []net.Group{{Params: "*.bias", Factor: 2}}, 2, []int{0, 1, 0, 1, -1, -1, 0, 1}},
		{"an end", []net.Group{{Params: "conv1.*", Factor: 1, Rule: net.Rule{Steps: 9}}}, 2, []int{0, 0, 1, 1, -1, -1, 1, 1}},
		{"own rules", []net.Group{{Params: "batchnorm1.*", Rule: adam}, {Params: "dense1.*", Rule: adam}}, 2, []int{0, 0, 1, 1, -1, -1, 1, 1}},
		{"weights without decay beside others with it", []net.Group{{Params: "conv1.weight", Rule: plain}}, 2, []int{0, 0, 0, 0, -1, -1, 1, 0}},
	} {
		o := decaying
		o.Groups = c.groups
		rules, of := cuda.Rules(plan, o)
		if len(rules) != c.rules || !slices.Equal(of, c.of) {
			t.Errorf("%s: %d rules, of %v; want %d, %v", c.name, len(rules), of, c.rules, c.of)
		}
		for i, q := range plan.Params {
			if of[i] < 0 {
				continue
			}
			if got, want := rules[of[i]], o.For(plan, q); got.Rule != want.Rule {
				if got.WeightDecay = 0; got.Rule != want.Rule || q.Decayed {
					t.Errorf("%s: %s is updated by %+v, want %+v", c.name, q.Name, rules[of[i]].Rule, want.Rule)
				}
			}
		}
	}
}
