package cuda

import (
	"errors"
	"time"
)

// A UniqueID is what the members of a group of GPUs find each other by. One member makes it with [NewUniqueID] and gives it to
// the others.
type UniqueID [128]byte

// GroupOptions are those of [Device.Join].
type GroupOptions struct {
	ID   UniqueID
	Rank int // this member's number, from 0
	Size int // the number of members
	// Timeout is how long the host waits at a time for work of which other members have parts. Then calls end with [ErrGroup].
	// 0: ten minutes. Join itself waits without a limit.
	Timeout time.Duration
}

// ErrGroup means that a group of GPUs can't go on: another member has failed or doesn't answer, or the group was aborted.
// Compare with errors.Is.
var ErrGroup = errors.New("the group of GPUs can't go on")
