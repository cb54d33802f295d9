//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"
	"fmt"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// moveAverages moves the averages of all parameters towards the parameters, if averages are kept. In some steps lookahead
// then sets the parameters to them.
func (p *program) moveAverages() error {
	f := &p.flat
	if !p.options.Averages() || f.all == 0 {
		return nil
	}
	k := kernels.MoveAverage{A: floats(f.averages), W: floats(f.values), State: p.state(), Queued: p.queue.numbers(), Count: uint64(f.all)}
	if p.options.Lookahead.Every > 0 && f.rounded.Bytes > 0 {
		k.W16 = kernels.Optional[kernels.BFloat16](f.rounded.Address)
	}
	return p.device.launch(k)
}

// SwapAverage exchanges parameters and their averages.
func (p *program) SwapAverage() error {
	switch {
	case p.closed || p.device.closed:
		return net.ErrClosed
	case !p.options.Averages():
		return errors.New("no averages of the weights are kept: Options.Average is 0, and there is no Options.Lookahead")
	case p.pending > 0:
		return fmt.Errorf("%w: an update is due before weights and averages are exchanged", net.ErrUnfinished)
	}
	return p.do(func() error {
		if err := p.queue.flush(); err != nil {
			return err
		}
		if err := p.exchange(); err != nil {
			return p.fail(err) // some parameters may have been exchanged already
		}
		p.swapped = !p.swapped
		return nil
	})
}

func (p *program) exchange() error {
	f := &p.flat
	if f.all == 0 {
		return nil
	}
	err := p.device.launch(kernels.Exchange{A: floats(f.values), B: floats(f.averages), Count: uint64(f.all)})
	return firstError(err, p.roundWeights(0, f.all))
}

// checkTurn returns an error while the averages are in the place of the weights. Callers that change weights ask it
// first.
func (p *program) checkTurn() error {
	if p.swapped {
		return fmt.Errorf("%w: the averages are in the place of the weights; SwapAverage changes back", net.ErrUnfinished)
	}
	return nil
}
