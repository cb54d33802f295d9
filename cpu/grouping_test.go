package cpu

import (
	"slices"
	"testing"
)

// TestGrouping compares the channels of panels with those of their filters one by one.
func TestGrouping(t *testing.T) {
	even := func(most int) func(vectors int) []tilePanel {
		return func(vectors int) (panels []tilePanel) {
			for at := 0; at < vectors; at += most {
				panels = append(panels, tilePanel{at, min(most, vectors-at)})
			}
			return panels
		}
	}
	for _, g := range []grouping{{1, 5, 7}, {1, 64, 64}, {2, 32, 64}, {3, 12, 20}, {16, 4, 4}, {5, 1, 7}, {33, 1, 1}, {4, 7, 1}, {2, 80, 40}} {
		for _, lanes := range []int{4, 8, 16} {
			filters, weights := 0, 0
			panels := g.panels(lanes, even(3))
			if got := g.leastPanels(3, lanes); got != len(panels) {
				t.Errorf("%+v, %d lanes: at least %d panels, want %d", g, lanes, got, len(panels))
			}
			for _, p := range panels {
				of, takes := g.filtersOf(p, lanes), g.takes(p, lanes)
				if p.first*lanes != filters || of.first != filters {
					t.Fatalf("%+v, %d lanes: panel %+v begins at filter %d, want %d", g, lanes, p, of.first, filters)
				}
				filters = of.end
				first, end := of.first/g.filters*g.channels, 0
				for f := of.first; f < of.end; f++ {
					end = max(end, (f/g.filters+1)*g.channels)
				}
				if takes != (span{first, end}) {
					t.Errorf("%+v, %d lanes: panel %+v takes channels %v, want %v", g, lanes, p, takes, span{first, end})
				}
				weights += p.vectors * lanes * (takes.end - takes.first)
				var channels []int
				for some := range takes.blocks(lanes) {
					if some.first/lanes != (some.end-1)/lanes {
						t.Errorf("%d lanes: channels %v lie in several blocks", lanes, some)
					}
					for c := some.first; c < some.end; c++ {
						channels = append(channels, c)
						own, filter, in, group := g.group(c, of)
						for f := of.first; f < of.end; f++ {
							if same := f/g.filters == c/g.channels; same != (f >= own.first && f < own.end) {
								t.Errorf("%+v, %d lanes: filter %d takes channel %d: %v", g, lanes, f, c, !same)
							}
						}
						if in+group*g.channels != c || own.first < own.end && filter+group*g.filters != own.first {
							t.Errorf("%+v: channel %d of group %d is %d; filter %d is %d", g, in, group, c, filter, own.first)
						}
					}
				}
				for i, c := range channels {
					if c != takes.first+i {
						t.Fatalf("%v in blocks of %d are %v", takes, lanes, channels)
					}
				}
				if len(channels) != takes.end-takes.first {
					t.Errorf("%v in blocks of %d are %v", takes, lanes, channels)
				}
			}
			if filters != g.groups*g.filters {
				t.Errorf("%+v, %d lanes: panels have %d filters", g, lanes, filters)
			}
			if g.depthwise() { // each filter takes its own channel alone
				weights = g.vectors(lanes) * lanes
			}
			if got := g.weights(lanes); got != weights {
				t.Errorf("%+v, %d lanes: %d weights, want %d", g, lanes, got, weights)
			}
		}
	}
	if got, want := (grouping{2, 32, 64}).panels(16, even(3)), []tilePanel{{0, 3}, {3, 1}, {4, 3}, {7, 1}}; !slices.Equal(got, want) {
		t.Errorf("panels are %v, want %v: none of both groups", got, want)
	}
}
