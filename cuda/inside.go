//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import "strconv"

// Statistics tell what the program takes of its GPU and how it runs there. Of a closed program there are none.
func (p *program) Statistics() (s Statistics) {
	if p.closed || p.device.closed {
		return s
	}
	_ = p.device.thread.do(func() error {
		s = Statistics{Memory: p.device.pool.stats, Workspace: p.workspace.Bytes, Graphs: p.graphStats(),
			CacheError: p.device.choices.problem()}
		for i, op := range p.chain {
			switch c := op.(type) {
			case *convolve:
				s.Convolutions = append(s.Convolutions, c.choices(i > p.lowest)...)
			case *fused:
				s.Convolutions = append(s.Convolutions, c.choices()...)
			}
		}
		return nil
	})
	return s
}

func (p *program) graphStats() GraphStats {
	s := GraphStats{Captured: len(p.graphs), Off: p.device.options.NoGraph}
	largest := 0
	for w, g := range p.graphs {
		if w.kind == training && w.n > largest {
			largest, s.Nodes = w.n, g.nodes
		}
	}
	if p.graphError != nil {
		s.Error = p.graphError.Error()
	}
	return s
}

// choices tells the algorithms in use for the largest mini-batch; data is whether the input's gradient is computed.
func (c *convolve) choices(data bool) (all []Choice) {
	largest := 0
	for n := range c.sizes.made {
		largest = max(largest, n)
	}
	if largest == 0 {
		return nil
	}
	made := c.sizes.made[largest]
	for dir, ways := range made.ways {
		if direction(dir) == backwardData && !data {
			continue
		}
		a := ways[0]
		all = append(all, Choice{Layer: made.layer, Direction: direction(dir).String(), Batch: largest, Algorithm: direction(dir).name(a.id),
			Workspace: a.workspace, Chosen: made.chosen, Milliseconds: a.milliseconds, Dropped: made.dropped[dir]})
	}
	return all
}

// algorithmNames are cuDNN's, by direction and number.
var algorithmNames = [3][]string{
	forward:        {"implicit GEMM", "implicit precomp GEMM", "GEMM", "direct", "FFT", "FFT tiling", "Winograd", "Winograd nonfused"},
	backwardData:   {"0", "1", "FFT", "FFT tiling", "Winograd", "Winograd nonfused"},
	backwardFilter: {"0", "1", "FFT", "3", "Winograd", "Winograd nonfused", "FFT tiling"},
}

// name of an algorithm that computes the direction.
func (d direction) name(id int) string {
	if names := algorithmNames[d]; id >= 0 && id < len(names) {
		return names[id]
	}
	return "algorithm " + strconv.Itoa(id)
}
