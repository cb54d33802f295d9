package net

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"
)

// The members of a group train by the same Config, and make the same calls of their
// programs. What depends on one of them alone, such as the time or a full disk, they have to
// agree about.

// PeerError is what a member of a group returns if something ends because of another one,
// which has an error of its own.
type PeerError struct {
	Rank int
	Own  error // what this member has to say too, where member 0 has failed as well; or nil
}

// Error names the other member.
func (e *PeerError) Error() string {
	text := fmt.Sprintf("member %d of the group has failed", e.Rank)
	if e.Own != nil {
		text += fmt.Sprintf(", and this one: %v", e.Own)
	}
	return text
}

// Unwrap returns Own.
func (e *PeerError) Unwrap() error { return e.Own }

// BrokenError is the error of a member of a group of which the others can't know, because it
// came where they don't ask for errors. They may wait for this member in a sum, for ever. So
// it must leave the group in a way that ends them.
type BrokenError struct{ Err error }

// Error is the text of the error.
func (e *BrokenError) Error() string { return e.Err.Error() }

// Unwrap returns the error.
func (e *BrokenError) Unwrap() error { return e.Err }

// Together returns a member's error own, once all members have told theirs. If own is nil and
// others have one, it returns a *PeerError. So it does if member 0 has one too: mostly that is
// the same, and one needs to tell it.
func Together(members Communicator, own error) error {
	failed := make([]float64, members.Size())
	if own != nil {
		failed[members.Rank()] = 1
	}
	err := members.SumFloat64(failed)
	switch {
	case err != nil:
		return errors.Join(own, err)
	case own != nil && (members.Rank() == 0 || failed[0] == 0):
		return own
	}
	for i, f := range failed {
		if f != 0 {
			return &PeerError{Rank: i, Own: own}
		}
	}
	return nil
}

// leads reports whether this member decides for all, and writes files.
func (t *trainer) leads() bool { return t.members == nil || t.members.Rank() == 0 }

// together is Together for all members, if there are any.
func (t *trainer) together(own error) error {
	if t.members == nil {
		return own
	}
	err := Together(t.members, own)
	t.agreed = t.agreed || err != nil
	return err
}

// broken returns the error of a run as a *BrokenError if other members don't know of it.
func (t *trainer) broken(err error) error {
	if t.members == nil || err == nil || t.agreed {
		return err
	}
	return &BrokenError{err}
}

// decision says what happens after a step.
type decision struct{ stops, timeUp, tells, saves bool }

// decide returns what happens after the step just made. end tells whether it is the epoch's
// last. In a group, member 0 decides, but any can stop the run.
func (t *trainer) decide(ctx context.Context, end bool) (decision, error) {
	if t.members == nil {
		return t.decideAlone(ctx, end), nil
	}
	if !end && t.made() < t.nextDecision {
		return decision{}, nil
	}
	own := t.decideAlone(ctx, end)
	values := make([]float64, 5)
	set := func(i int, is bool) {
		if is {
			values[i] = 1
		}
	}
	set(0, own.stops)
	if t.leads() {
		set(1, own.timeUp)
		set(2, own.tells)
		set(3, own.saves)
		values[4] = float64(t.stepsToDecision())
	}
	if err := t.members.SumFloat64(values); err != nil {
		return decision{}, err
	}
	t.nextDecision = t.made() + int64(values[4])
	return decision{values[0] > 0, values[1] > 0, values[2] > 0, values[3] > 0}, nil
}

func (t *trainer) decideAlone(ctx context.Context, end bool) (d decision) {
	d.stops = ctx.Err() != nil
	d.timeUp = t.cfg.MaxTime > 0 && time.Since(t.began) >= t.cfg.MaxTime
	d.tells = end || d.timeUp || t.tellsNow()
	d.saves = t.due()
	return d
}

// decideEvery is about how often the members of a group agree on what to do.
const decideEvery = 50 * time.Millisecond

// mostUndecided is the most steps between two agreements.
const mostUndecided = 1000

// stepsToDecision returns after how many steps the members agree again: in about decideEvery,
// and at each step after which something is due by its number.
func (t *trainer) stepsToDecision() int64 {
	now := time.Now()
	steps := int64(1)
	if took := now.Sub(t.decided); !t.decided.IsZero() && took > 0 {
		steps = max(1, min(mostUndecided, int64(float64(t.made()-t.decidedAt)*float64(decideEvery)/float64(took))))
	}
	t.decided, t.decidedAt = now, t.made()
	if every := int64(t.cfg.Interval); every > 0 {
		steps = min(steps, every-int64(t.pos.Step)%every)
	}
	if every := int64(t.cfg.Saving.EverySteps); every > 0 {
		steps = min(steps, every-t.made()%every)
	}
	return steps
}

// interrupted returns an interruption if the run is to stop, on any member.
func (t *trainer) interrupted(ctx context.Context) error {
	stops := ctx.Err() != nil
	if t.members != nil {
		values := []float64{0}
		if stops {
			values[0] = 1
		}
		if err := t.members.SumFloat64(values); err != nil {
			return err
		}
		stops = values[0] > 0
	}
	if !stops {
		return nil
	}
	return t.stopped(ctx)
}

// stopped returns the interruption of a run whose context, or that of another member, has
// ended.
func (t *trainer) stopped(ctx context.Context) error {
	t.agreed = true
	if err := ctx.Err(); err != nil {
		return interruption{err}
	}
	return interruption{fmt.Errorf("another member of the group was interrupted: %w", context.Canceled)}
}

// checkpointToResume is a part of the description: where the run goes on. Members that don't
// see the same folder may have different ones.
const checkpointToResume = "checkpoint to go on from"

// meet checks that all members of a group train the same. It takes from member 0 whether
// checkpoints are written.
func (t *trainer) meet() error {
	if t.members == nil {
		return nil
	}
	from := "none"
	if c := t.cfg.Resume; c != nil {
		from = fmt.Sprintf("after %d epochs and %d steps", c.Position.Epoch, c.Position.Step)
	}
	description, err := json.Marshal(map[string]any{
		"network": t.plan.Network, "recipe": t.cfg.Recipe, "training data": t.train, "validation data": t.validation,
		"test data": t.cfg.Test != nil, "top": t.cfg.Top, "interval": t.cfg.Interval,
		checkpointToResume: from,
	})
	if err != nil {
		return err
	}
	saves := []byte{0}
	if t.saves {
		saves[0] = 1
	}
	if err := t.members.Broadcast(saves); err != nil {
		return err
	}
	t.saves = saves[0] == 1
	length := []float64{0}
	if t.leads() {
		length[0] = float64(len(description))
	}
	if err := t.members.SumFloat64(length); err != nil {
		return err
	}
	leader := make([]byte, int(length[0]))
	if t.leads() {
		copy(leader, description)
	}
	if err := t.members.Broadcast(leader); err != nil {
		return err
	}
	return t.together(differs(description, leader))
}

// differs says in what two descriptions differ, if they do.
func differs(own, leader []byte) error {
	if bytes.Equal(own, leader) {
		return nil
	}
	var a, b map[string]json.RawMessage
	if err := json.Unmarshal(own, &a); err != nil {
		return err
	}
	if err := json.Unmarshal(leader, &b); err != nil {
		return err
	}
	for _, what := range []string{"network", "recipe", "training data", "validation data", "test data", "top", checkpointToResume} {
		if !bytes.Equal(a[what], b[what]) {
			return fmt.Errorf("this member of the group has another %s than member 0: %s, there %s", what, a[what], b[what])
		}
	}
	return fmt.Errorf("this member of the group has other settings than member 0")
}

// sameWeights returns an error, on all members, if the weights of one differ from those of
// member 0 in a bit. They never should: that would be a fault of a machine or of the engine
// that adds up gradients.
func (t *trainer) sameWeights(st State) error {
	if t.members == nil {
		return nil
	}
	h := fnv.New128a()
	for _, q := range t.plan.Params {
		hashValues(h, st.Params[q.Name].Float32s())
	}
	own := h.Sum(nil)
	leader := slices.Clone(own)
	if err := t.members.Broadcast(leader); err != nil {
		return err
	}
	var err error
	if !bytes.Equal(own, leader) {
		err = errors.New("this member's weights differ from those of member 0: a machine or the library that adds up gradients has made an error; nothing was saved")
	}
	return t.together(err)
}
