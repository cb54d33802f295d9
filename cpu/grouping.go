package cpu

import (
	"iter"

	"github.com/gputrain/gputrain/cpu/asm"
	"github.com/gputrain/gputrain/net"
)

// grouping says which channels the filters of a convolution take: both are divided into
// groups, and a filter takes the channels of its own group.
//
// A vector of filters may belong to several groups. It takes the channels of all of them,
// and the weights between filters and channels of different groups are 0. So channels fill
// the blocks of an image whatever their groups are. A value that isn't finite spoils the
// other groups of its vector.
type grouping struct {
	groups            int
	channels, filters int // of a group
}

// groupingOf returns the grouping of a convolution.
func groupingOf(node net.Node) grouping {
	n := node.Layer.(*net.Conv).GroupCount()
	return grouping{n, node.In.C / n, node.Out.C / n}
}

// turned returns the grouping of the convolution that computes the gradient with respect to
// the input. It takes the filters as its channels.
func (g grouping) turned() grouping { return grouping{g.groups, g.filters, g.channels} }

// depthwise reports whether each channel has a filter of its own.
func (g grouping) depthwise() bool { return g.channels == 1 && g.filters == 1 }

// vectors returns how many vectors of filters there are.
func (g grouping) vectors(lanes int) int { return (g.groups*g.filters + lanes - 1) / lanes }

// filtersOf returns the filters of a panel.
func (g grouping) filtersOf(p tilePanel, lanes int) span {
	return span{p.first * lanes, min((p.first+p.vectors)*lanes, g.groups*g.filters)}
}

// takes returns the channels that a panel's filters take.
func (g grouping) takes(p tilePanel, lanes int) span {
	f := g.filtersOf(p, lanes)
	return span{f.first / g.filters * g.channels, ((f.end-1)/g.filters + 1) * g.channels}
}

// group returns which of a panel's filters take a channel. It also returns the number of
// the first one and of the channel in their group, and the number of the group.
func (g grouping) group(channel int, panel span) (filters span, filter, in, group int) {
	group = channel / g.channels
	filters = span{max(panel.first, group*g.filters), min(panel.end, (group+1)*g.filters)}
	return filters, filters.first - group*g.filters, channel % g.channels, group
}

// panels divides the vectors of filters into panels, by a function that divides vectors
// that take the same channels.
func (g grouping) panels(lanes int, split func(vectors int) []tilePanel) []tilePanel {
	var panels []tilePanel
	for first, end, all := 0, 0, g.vectors(lanes); first < all; first = end {
		takes := g.takes(tilePanel{first, 1}, lanes)
		for end = first + 1; end < all && g.takes(tilePanel{end, 1}, lanes) == takes; end++ {
		}
		for _, p := range split(end - first) {
			panels = append(panels, tilePanel{first + p.first, p.vectors})
		}
	}
	return panels
}

// leastPanels returns how many panels of at most the given number of vectors there are.
func (g grouping) leastPanels(most, lanes int) (n int) {
	g.panels(lanes, func(vectors int) []tilePanel {
		n += (vectors + most - 1) / most
		return nil
	})
	return n
}

// weights returns how many weights there are for a place of the kernel, with those that
// are 0.
func (g grouping) weights(lanes int) int {
	if g.depthwise() {
		return g.vectors(lanes) * lanes
	}
	n := 0
	for v := range g.vectors(lanes) {
		takes := g.takes(tilePanel{v, 1}, lanes)
		n += (takes.end - takes.first) * lanes
	}
	return n
}

// blockTaps returns the taps of some channels of an image, whose planes are a distance
// apart: for each block of channels, those at the given offsets. Taps that follow one
// another without a gap are one.
func blockTaps(channels span, lanes, distance int, offsets []int32) []asm.Tap {
	var taps []asm.Tap
	for some := range channels.blocks(lanes) {
		for _, offset := range offsets {
			tap := asm.Tap{Offset: int32(some.first/lanes*distance+some.first%lanes) + offset, Depth: int32(some.end - some.first)}
			if last := len(taps) - 1; last >= 0 && taps[last].Offset+taps[last].Depth == tap.Offset {
				taps[last].Depth += tap.Depth
			} else {
				taps = append(taps, tap)
			}
		}
	}
	return taps
}

// span is some of several things, from the first to the one before the end.
type span struct{ first, end int }

// blocks returns the parts of a span of channels that lie in a block each.
func (s span) blocks(lanes int) iter.Seq[span] {
	return func(yield func(span) bool) {
		for first, end := s.first, 0; first < s.end; first = end {
			end = min((first/lanes+1)*lanes, s.end)
			if !yield(span{first, end}) {
				return
			}
		}
	}
}
