package net

import (
	"errors"
	"fmt"
	"math"
)

// AverageRate returns how far the moving averages move towards the weights after an
// update. step counts the updates from 0. The rate is
//
//	1 - min(decay, (1+step)/(10+step))
//
// as in TensorFlow's ExponentialMovingAverage: the first weights, which are worth
// nothing, are soon forgotten.
func AverageRate(decay float64, step int64) float64 {
	return 1 - math.Min(decay, float64(1+step)/float64(10+step))
}

// Lookahead keeps slow weights beside the weights. After every Every updates, the slow
// weights and running statistics move towards the weights and running statistics by a share
// of the distance, and the weights are set to them. Evaluations use the slow weights
// (Zhang et al., "Lookahead optimizer: k steps forward, 1 step back", 2019; there the share
// is 0.5 throughout). The zero Lookahead keeps none.
type Lookahead struct {
	Every int `json:"every"`
	// The share goes from Start to Final, as Start + (Final-Start)*(t/Total)^Power after t
	// updates. A Power of 0 means 1.
	Start float64 `json:"start"`
	Final float64 `json:"final"`
	Power float64 `json:"power,omitempty"`
	Total int64   `json:"total,omitempty"` // updates of the whole run; a Recipe has none
}

// check returns an error for settings outside their ranges.
func (l Lookahead) check() error {
	if l == (Lookahead{}) {
		return nil
	}
	unit := func(x float64) bool { return x >= 0 && x <= 1 }
	switch {
	case l.Every < 1:
		return fmt.Errorf("lookahead: every must be at least 1 update, got %d", l.Every)
	case !unit(l.Start) || !unit(l.Final):
		return fmt.Errorf("lookahead: start and final must be from 0 to 1, got %v and %v", l.Start, l.Final)
	case !(l.Power >= 0 && l.Power <= 100):
		return fmt.Errorf("lookahead: power must be from 0 to 100, got %v", l.Power)
	case l.Total < 0 || l.Total == 0 && l.Start != l.Final:
		return fmt.Errorf("lookahead: the total of updates must be above 0, got %d", l.Total)
	case l.Start == 0 && l.Final == 0:
		return errors.New("lookahead: start and final are 0, so the weights would stay as they began; 0.5 is usual")
	}
	return nil
}

// share returns the share for an update, counted from 0. It is 0 after an update at which
// the slow weights stay.
func (l Lookahead) share(step int64) float64 {
	t := step + 1
	if t%int64(l.Every) != 0 {
		return 0
	}
	if l.Start == l.Final {
		return l.Start
	}
	power := l.Power
	if power == 0 {
		power = 1
	}
	return l.Start + (l.Final-l.Start)*math.Pow(min(1, float64(t)/float64(l.Total)), power)
}

// Averages reports whether a program keeps averages: moving averages, or lookahead's slow
// weights.
func (o Options) Averages() bool { return o.Average > 0 || o.Lookahead.Every > 0 }

// AverageMove says what happens to averages after an update, counted from 0: a += rate*(w -
// a) for each average a of a weight or running statistic w, and then, if back is true, w =
// a.
func (o Options) AverageMove(step int64) (rate float64, back bool) {
	if o.Lookahead.Every > 0 {
		return o.Lookahead.share(step), (step+1)%int64(o.Lookahead.Every) == 0
	}
	return AverageRate(o.Average, step), false
}
