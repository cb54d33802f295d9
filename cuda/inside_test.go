//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

// GradientBytes returns how many bytes a program has for gradients and for the optimiser's state. Memory that gradients
// share is counted for each of them.
func (p *program) GradientBytes() int64 {
	f := &p.flat
	bytes := f.grads.Bytes + f.narrow.Bytes + f.kept.Bytes + f.moments.Bytes + p.muon.all.Bytes
	for _, a := range p.values {
		bytes += a.grad.Bytes
	}
	for _, c := range p.convolutions {
		bytes += c.inputGrad.Bytes + c.gradient.Bytes
	}
	return bytes
}

// EarlyMatrices returns how many matrices are updated by Muon while the backward pass goes on.
func (p *program) EarlyMatrices() (count int) {
	for _, r := range p.flat.parts {
		for _, s := range r.stacks {
			if p.early(r.turn) {
				count += s.count
			}
		}
	}
	return count
}

// Stacks returns how many matrices each of the stacks has.
func (p *program) Stacks() (counts []int) {
	for _, r := range p.flat.parts {
		for _, s := range r.stacks {
			counts = append(counts, s.count)
		}
	}
	return counts
}
