package bench

import (
	"time"

	"github.com/gputrain/gputrain/net"
)

// Report is what came of a run.
type Report struct {
	Machine      Machine       `json:"machine"`
	Measurements []Measurement `json:"measurements"`
	// Notes say what was left out and why, and what makes figures doubtful, a sentence each.
	Notes       []string `json:"notes"`
	Interrupted bool     `json:"interrupted"`
}

// Machine is where and when a run took place.
type Machine struct {
	CPU     string    `json:"cpu"`  // its name, empty where it can't be told
	CPUs    int       `json:"cpus"` // that this process may use
	Place   string    `json:"place"`
	Go      string    `json:"go"`
	Program string    `json:"program"` // gputrain's version
	Date    time.Time `json:"date"`
}

// Measurement is what came of one work on one device, or in one peer.
type Measurement struct {
	Work
	Who      string `json:"who"`               // "cpu", "cuda:0", "reference", or a peer's name, with its GPU: "torch (cuda)"
	Version  string `json:"version,omitempty"` // of a peer
	Peer     bool   `json:"peer"`
	Threads  int    `json:"threads,omitempty"` // where they can be chosen
	Settings string `json:"settings"`          // the device's whole name; what a peer says of itself
	Check    Check  `json:"check"`

	Batches int       `json:"batches,omitempty"` // in a repeat
	Seconds []float64 `json:"seconds,omitempty"` // a mini-batch, by repeat
	Time    Spread    `json:"time"`              // of Seconds
	Images  Spread    `json:"images_per_second"`
	// Ratio is the time over that of the baseline, repeat by repeat: what disturbs the machine for a while disturbs both.
	Ratio    Spread `json:"ratio"`
	Baseline string `json:"baseline,omitempty"` // who that is, with as many threads

	MulAdds int64       `json:"multiply_adds"` // of a mini-batch
	Limits  *net.Limits `json:"limits,omitempty"`
	Share   float64     `json:"share_of_peak,omitempty"` // of the limit of multiply-adds

	PeakRSS      int64  `json:"peak_rss,omitempty"`      // bytes, of a process that does this alone
	DeviceMemory int64  `json:"device_memory,omitempty"` // bytes of a GPU's memory
	Allocations  uint64 `json:"allocations"`             // of Go memory, a mini-batch
	Allocated    uint64 `json:"allocated"`               // bytes of Go memory, a mini-batch

	Parts []PartTime `json:"parts,omitempty"` // of a training step
	// Simulated says why there are no times; then Counts are there instead.
	Simulated string  `json:"simulated,omitempty"`
	Counts    []Count `json:"counts,omitempty"`
}

// Timed reports whether times were measured.
func (m Measurement) Timed() bool { return len(m.Seconds) > 0 }

// Check is the comparison that went before the timing: the mean losses of the first training steps, or the probabilities
// of the first images.
type Check struct {
	Against   string  `json:"against"` // "reference", or "gputrain on cpu" for peers
	What      string  `json:"what"`
	Distance  float64 `json:"distance"`  // the greatest difference
	Tolerance float64 `json:"tolerance"` // which it is within
}

// PartTime is a part of a training step.
type PartTime struct {
	Layers  []string  `json:"layers"` // computed as one; none where it isn't a layer's
	Phase   net.Phase `json:"phase"`
	Seconds float64   `json:"seconds"` // median over some steps
	Share   float64   `json:"share"`   // of the step
	Cost
}

// Count is a number of something.
type Count struct {
	What string `json:"what"`
	N    int64  `json:"n"`
}
