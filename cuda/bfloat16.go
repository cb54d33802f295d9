//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import "github.com/gputrain/gputrain/kernels"

// In the precision BF16 the weights are float32, and a copy of them, rounded to bfloat16, is the factor of products. The
// optimiser writes both. Here is what rounds them when something else has changed the weights.

// rounded returns a buffer's address as kernels take it.
func rounded(b Buffer) kernels.Pointer[kernels.BFloat16] {
	return kernels.Pointer[kernels.BFloat16](b.Address)
}

// roundWeights rounds count weights from number from on, if their rounded copy is kept.
func (p *program) roundWeights(from, count int64) error {
	if p.flat.rounded.Bytes == 0 || count == 0 {
		return nil
	}
	return p.device.launch(kernels.ToBF16{Y: rounded(p.flat.rounded.part(2*from, 2*count)), X: floats(p.flat.values.part(4*from, 4*count)),
		Count: uint64(count)})
}

// widenGradients writes the gradients that are bfloat16 to the place where they would be as float32.
func (p *program) widenGradients() error {
	for turn := range p.turns {
		if err := p.widenTurn(turn); err != nil {
			return err
		}
	}
	return nil
}

// widenTurn is widenGradients for the parameters of one turn.
func (p *program) widenTurn(turn int) error {
	f := &p.flat
	for _, r := range f.parts {
		if r.turn != turn || r.narrow == 0 {
			continue
		}
		err := p.device.launch(kernels.FromBF16{Y: floats(f.grads.part(4*r.from, 4*r.narrow)), X: rounded(f.narrow.part(2*r.from, 2*r.narrow)),
			Count: uint64(r.narrow)})
		if err != nil {
			return err
		}
	}
	return nil
}
