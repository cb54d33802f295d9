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
	CPUs    int       `json:"cpus"` // number of CPUs that this process may use
	Place   string    `json:"place"`
	Go      string    `json:"go"`
	Program string    `json:"program"` // gputrain's version
	Date    time.Time `json:"date"`
}

// Measurement is the result of one work on one device, or of one peer.
type Measurement struct {
	Work
	Who      string `json:"who"`               // "cpu", "cuda:0", "reference", or a peer's name, with its GPU: "torch (cuda)"
	Version  string `json:"version,omitempty"` // version of a peer
	Peer     bool   `json:"peer"`
	Threads  int    `json:"threads,omitempty"` // number of threads, where it can be chosen
	Settings string `json:"settings"`          // the device's full name, or the settings that a peer reports
	Check    Check  `json:"check"`

	Batches int       `json:"batches,omitempty"` // mini-batches in a repeat
	Seconds []float64 `json:"seconds,omitempty"` // time of a mini-batch, for each repeat
	Time    Spread    `json:"time"`              // median and percentiles of Seconds
	Images  Spread    `json:"images_per_second"`
	// Ratio is the time divided by the baseline's, repeat by repeat. So whatever slows the machine down for a while slows
	// both down.
	Ratio    Spread `json:"ratio"`
	Baseline string `json:"baseline,omitempty"` // the name of the baseline, which has the same number of threads

	MulAdds int64       `json:"multiply_adds"` // multiply-adds of a mini-batch
	Limits  *net.Limits `json:"limits,omitempty"`
	Share   float64     `json:"share_of_peak,omitempty"` // multiply-adds a second, as a share of the limit

	PeakRSS      int64  `json:"peak_rss,omitempty"`      // peak memory of a process that does only this, in bytes
	DeviceMemory int64  `json:"device_memory,omitempty"` // memory of the GPU, in bytes
	Allocations  uint64 `json:"allocations"`             // allocations of Go memory for each mini-batch
	Allocated    uint64 `json:"allocated"`               // bytes of Go memory allocated for each mini-batch

	Parts []PartTime `json:"parts,omitempty"` // the parts of a training step
	// Simulated says why there are no times; "" where there are. Where it is set, Counts are there instead.
	Simulated string  `json:"simulated,omitempty"`
	Counts    []Count `json:"counts,omitempty"`
}

// Timed reports whether times were measured.
func (m Measurement) Timed() bool { return len(m.Seconds) > 0 }

// Check is the comparison that is made before anything is timed: of the mean losses of the first training steps, or of the
// probabilities of the first images.
type Check struct {
	Against   string  `json:"against"` // "reference", or "gputrain on cpu" for peers
	What      string  `json:"what"`
	Distance  float64 `json:"distance"`  // the greatest difference that was found
	Tolerance float64 `json:"tolerance"` // the greatest difference that is allowed
}

// PartTime is the time of one part of a training step.
type PartTime struct {
	Layers  []string  `json:"layers"` // the layers that are computed as one; none where the part belongs to no layer
	Phase   net.Phase `json:"phase"`
	Seconds float64   `json:"seconds"` // median over some steps
	Share   float64   `json:"share"`   // as a share of the step
	Cost
}

// Count counts something on a simulated GPU, such as launches.
type Count struct {
	What string `json:"what"`
	N    int64  `json:"n"`
}
