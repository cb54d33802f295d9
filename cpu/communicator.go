package cpu

import (
	"fmt"

	"github.com/gputrain/gputrain/net"
)

// sums sums over the members of a group. After an error it sums no more: the members no
// longer agree.
type sums struct {
	group net.Communicator
	err   error
}

// float64 replaces values by their sums over all members.
func (s *sums) float64(values []float64) {
	if s.err == nil {
		s.err = s.group.SumFloat64(values)
	}
}

func (s *sums) float32(values []float32) {
	if s.err == nil {
		s.err = s.group.SumFloat32(values)
	}
}

// failed returns the error of an earlier sum.
func (s *sums) failed() error {
	if s == nil || s.err == nil {
		return nil
	}
	return fmt.Errorf("cpu: sums over the group: %w", s.err)
}

// statistics returns what sums batch normalisation's statistics, or nil if nothing does.
func (p *program) statistics() *sums {
	if p.options.LocalStatistics {
		return nil
	}
	return p.sums
}

// sumGradients replaces the gradients by their sums over all members.
func (p *program) sumGradients() error {
	if p.sums == nil {
		return nil
	}
	p.sums.float32(p.gradients)
	return p.sums.failed()
}
