//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import "strconv"

// Statistics returns how much of the GPU the program uses, and how it runs there. For a closed program it returns
// zeros.
func (p *program) Statistics() (s Statistics) {
	if p.closed || p.device.closed {
		return s
	}
	_ = p.device.thread.do(func() error {
		s = Statistics{Memory: p.device.pool.stats, Workspace: p.workspaceBytes(), Graphs: p.graphStats(),
			CacheError: p.device.choices.problem()}
		for _, c := range p.convolutions {
			s.Convolutions = append(s.Convolutions, c.choices()...)
		}
		return nil
	})
	return s
}

func (p *program) graphStats() GraphStats {
	s := GraphStats{Captured: len(p.graphs), Off: p.device.options.NoGraph}
	largest := 0
	for w, g := range p.graphs {
		if w.kind <= differentiating && w.n > largest {
			largest, s.Nodes = w.n, g.nodes
		}
	}
	if p.graphError != nil {
		s.Error = p.graphError.Error()
	}
	return s
}

// choices returns the algorithms in use for the largest mini-batch so far.
func (c *convLayer) choices() (all []Choice) {
	largest := 0
	for n := range c.sizes.made {
		largest = max(largest, n)
	}
	made := c.sizes.made[largest]
	for dir := range direction(directions) {
		at := Choice{Layer: c.node.Name, Direction: dir.String(), Batch: largest}
		switch {
		case c.needs()[dir] && made != nil:
			a := made.ways[dir][0]
			at.Algorithm, at.Workspace, at.Milliseconds = dir.name(a.id), a.workspace, a.milliseconds
			at.Chosen, at.Dropped = made.chosen, made.dropped[dir]
		case c.fused() && (dir == forward || dir == backwardFilter && c.trains()):
			at.Batch, at.Algorithm, at.Chosen = c.program.options.Batch, "ours, with ReLU and pooling", Fused
		default:
			continue
		}
		all = append(all, at)
	}
	return all
}

// algorithmNames holds cuDNN's names of algorithms, by direction and number.
var algorithmNames = [3][]string{
	forward:        {"implicit GEMM", "implicit precomp GEMM", "GEMM", "direct", "FFT", "FFT tiling", "Winograd", "Winograd nonfused"},
	backwardData:   {"0", "1", "FFT", "FFT tiling", "Winograd", "Winograd nonfused"},
	backwardFilter: {"0", "1", "FFT", "3", "Winograd", "Winograd nonfused", "FFT tiling"},
}

// name returns the name of an algorithm of this direction, given its number.
func (d direction) name(id int) string {
	if id == tensorCores {
		return "ours, tensor cores"
	}
	if names := algorithmNames[d]; id >= 0 && id < len(names) {
		return names[id]
	}
	return "algorithm " + strconv.Itoa(id)
}
