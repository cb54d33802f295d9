package cuda

import (
	"slices"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/lower"
)

// SharedGradients returns, for each group of a program, which of its inputs has its gradient where the group's own is, or
// -1. One input of each sum has, since both gradients are the same. It must be an input whose gradient the sum writes, not
// one to which it adds. Other uses of that input add to it later, when the sum's gradient isn't needed any more. A value
// that the sum takes twice would be added to too early.
func SharedGradients(p *lower.Program) []int {
	shared := make([]int, len(p.Groups))
	for i, g := range p.Groups {
		shared[i] = -1
		out := p.Values[i+1]
		if _, sum := p.Head(g).Layer.(*net.Add); !sum || g.Pattern != lower.Single || !out.Learns || i == len(p.Groups)-1 {
			continue
		}
		for k, in := range slices.Backward(g.Inputs) {
			once := len(slices.DeleteFunc(slices.Clone(g.Inputs), func(other lower.Input) bool { return other.Value != in.Value })) == 1
			if in.Wanted && !in.Adds && once && p.Values[in.Value].Shape == out.Shape {
				shared[i] = k
				break
			}
		}
	}
	return shared
}

// fewestEarly is the fewest weights that are worth a launch of their own: some microseconds of a GPU's memory.
var fewestEarly = 1 << 20

// EarlyUpdates returns the group of a program from which on parameters are updated while the backward pass goes on, or 0 if
// none are. These are the parameters of the last groups, which have at least half of the weights. Their gradients are known
// first. Without clipping, an update needs no others.
func EarlyUpdates(p *lower.Program, o net.Optimizer) (from int) {
	if o.ClipNorm > 0 {
		return 0
	}
	weights, all := make([]int, len(p.Groups)), 0 // by group
	of := GroupsOf(p)
	for _, q := range p.Plan.Trained() {
		weights[of[q.Layer]] += q.Size()
		all += q.Size()
	}
	last := 0 // the weights of the groups from this one on
	for from = len(p.Groups); from > 0 && (last < fewestEarly || 2*last < all); {
		from--
		last += weights[from]
	}
	if from == 0 || !p.Values[from].Learns {
		return 0 // nothing is left to do meanwhile
	}
	return from
}

// GroupsOf returns the group of each node of a program's plan.
func GroupsOf(p *lower.Program) []int {
	of := make([]int, len(p.Plan.Nodes))
	for i, g := range p.Groups {
		for _, node := range g.Nodes {
			of[node] = i
		}
	}
	return of
}
