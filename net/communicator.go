package net

import (
	"errors"
	"fmt"
)

// A Communicator connects programs that train one network together, each on its part of
// every mini-batch. They are the members of a group, and each has a Communicator of its own.
// Every member makes the same calls in the same order. A call returns when all members have
// made it, or with an error if they can't any more. Then the group is of no use.
//
// Package net/parallel makes a Device of a Device and a Communicator.
type Communicator interface {
	Rank() int // the number of this member, from 0
	Size() int // the number of members
	// SumFloat32 replaces values by their sums over all members. The sums have the same
	// bits on every member.
	SumFloat32(values []float32) error
	// SumFloat64 is SumFloat32 for float64.
	SumFloat64(values []float64) error
	// Broadcast replaces data by that of member 0.
	Broadcast(data []byte) error
}

// ErrAlone means that a device can't train with others.
var ErrAlone = errors.New("the device trains alone")

// Empty reports whether the share has no samples of its mini-batch. In a group with more
// members than samples, some have such a share. They still take part in the group's sums.
// The batch that comes with the share is any one sample, which counts nothing.
func (s Share) Empty() bool { return s.Total > 0 && s.First == s.Total }

// Counted returns how many of n samples with this share count: all or, if it is empty,
// none.
func (s Share) Counted(n int) int {
	if s.Empty() {
		return 0
	}
	return n
}

// CheckShare returns an error for a share that doesn't fit a batch of n samples. Only in a
// group may it be empty.
func (o Options) CheckShare(s Share, n int) error {
	if o.Communicator != nil && s.Empty() {
		if n != 1 {
			return fmt.Errorf("share: %d samples for an empty share, want 1", n)
		}
		return nil
	}
	return s.Check(n)
}

// A GroupProgram is the program of a member of a group: what Compile returns where Options.Communicator is set.
type GroupProgram interface {
	Program
	// StepShare is Gradients of a share of a mini-batch, and then Update, as one. So a device may add up the first gradients
	// of all members while it computes others.
	StepShare(b Batch, s Share) error
}

// A GroupTracer is a Tracer that can be a member of a group.
type GroupTracer interface {
	Tracer
	// TraceShare is Trace of a share of a mini-batch. All values are those of the batch's
	// samples. Gradients are those of the loss summed over the batch and divided by
	// Share.Total. So the members' gradients add up to those of the mean loss over the
	// mini-batch. Loss is the mean over the batch.
	TraceShare(b Batch, s Share, m Mode) (*Trace, error)
}
