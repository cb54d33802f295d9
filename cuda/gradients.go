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

// fewestSummed is the fewest weights whose gradients the members of a group add up together, but for those that come last:
// 8 MB. That is some hundred microseconds on a network of 100 Gbit/s, which is far more than what a sum takes by itself.
var fewestSummed = 2 << 20

// Turns divides the groups of a program into turns, from the last group to the first. Turn k begins, in the forward pass, with
// group Turns[k], and ends before the one where the turn before it begins. The last turn begins with group 0.
//
// When the backward pass has come to the beginning of a turn, the gradients of the turn's parameters are known. While it goes
// on, the members of a group of GPUs add them up and, without clipping by norm, the parameters are updated. A GPU alone has at
// most two turns: one for at least half of the weights, and one for the others.
func Turns(p *lower.Program, o net.Optimizer, members int) (turns []int) {
	weights, all := make([]int, len(p.Groups)), 0 // by group
	of := GroupsOf(p)
	for _, q := range p.Plan.Trained() {
		weights[of[q.Layer]] += q.Size()
		all += q.Size()
	}
	learns := slices.IndexFunc(p.Values, func(v lower.Value) bool { return v.Learns })
	if learns < 0 {
		return []int{0}
	}
	last := 0                                               // the weights of the groups from the present one on, up to the turn before
	for from := len(p.Groups) - 1; from >= learns; from-- { // group learns-1 is the first with a backward pass, and is left to do meanwhile
		last += weights[from]
		switch {
		case !p.Values[from+1].Learns: // it has no backward pass itself
			continue
		case members > 1 && last >= fewestSummed:
		case members == 1 && o.ClipNorm == 0 && len(turns) == 0 && last >= fewestEarly && 2*last >= all:
		default:
			continue
		}
		turns = append(turns, from)
		last = 0
	}
	return append(turns, 0)
}

// TurnValues returns, for each of the turns of a program, how many float32 values the members of a group add up in it: the
// gradients of its trained parameters. Each begins at a multiple of 256 bytes, and the gaps are added up with them.
func TurnValues(p *lower.Program, turns []int) []int64 {
	values, of := make([]int64, len(turns)), GroupsOf(p)
	for _, q := range p.Plan.Trained() {
		turn := slices.IndexFunc(turns, func(from int) bool { return of[q.Layer] >= from })
		values[turn] += aligned(4*int64(q.Size())) / 4
	}
	return values
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
