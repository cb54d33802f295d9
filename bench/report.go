package bench

import (
	"time"

	"github.com/gputrain/gputrain/net"
)

// Report is the result of a run.
type Report struct {
	Machine      Machine       `json:"machine"`
	Measurements []Measurement `json:"measurements"`
	Suite        []SuiteTable  `json:"suite,omitempty"` // the tables of a suite; empty for other runs
	// Notes tell what was left out and why, and what makes figures doubtful. Each is one sentence.
	Notes       []string `json:"notes"`
	Interrupted bool     `json:"interrupted"`
}

// Machine is where and when a run took place.
type Machine struct {
	CPU     string    `json:"cpu"`                 // the processor's name; empty if it isn't known
	CPUs    int       `json:"cpus"`                // number of CPUs that this process may use
	Fast    int       `json:"fast_cpus,omitempty"` // how many of them are no slower than the fastest, or nearly; 0 if it isn't known
	Place   string    `json:"place"`
	Go      string    `json:"go"`
	Program string    `json:"program"` // gputrain's version
	Date    time.Time `json:"date"`
}

// Measurement is the result of one work on one device, or by one peer.
type Measurement struct {
	Work
	// Who is "cpu", "cuda:0", "reference", or a peer's name, with its GPU if it has one: "torch (cuda)".
	Who      string `json:"who"`
	Version  string `json:"version,omitempty"` // version of a peer; empty for gputrain
	Peer     bool   `json:"peer"`
	Threads  int    `json:"threads,omitempty"` // number of threads; 0 if it can't be chosen
	Settings string `json:"settings"`          // the device's full name, or the settings that a peer reports
	Check    Check  `json:"check"`

	Batches int       `json:"batches,omitempty"` // mini-batches in a repeat
	Seconds []float64 `json:"seconds,omitempty"` // time of a mini-batch, for each repeat
	Time    Spread    `json:"time"`              // median and percentiles of Seconds
	Images  Spread    `json:"images_per_second"`
	// Ratio is the time divided by the baseline's time, for each repeat. So something that slows the machine down for
	// a while affects both times.
	Ratio Spread `json:"ratio"`
	// Baseline is the name of what Ratio compares with: the first device with the same number of threads, or
	// else the first device.
	Baseline string `json:"baseline,omitempty"`

	MulAdds int64       `json:"multiply_adds"` // multiply-adds of a mini-batch
	Limits  *net.Limits `json:"limits,omitempty"`
	Share   float64     `json:"share_of_peak,omitempty"` // multiply-adds a second, as a share of the limit

	PeakRSS      int64  `json:"peak_rss,omitempty"`      // peak resident memory of a process that does only this work, in bytes; 0 if it isn't known
	DeviceMemory int64  `json:"device_memory,omitempty"` // GPU memory that the program takes, in bytes; 0 on a CPU, and for a peer that can't tell
	Allocations  uint64 `json:"allocations"`             // allocations of Go memory for each mini-batch
	Allocated    uint64 `json:"allocated"`               // bytes of Go memory allocated for each mini-batch

	Parts []PartTime `json:"parts,omitempty"` // the parts of a training step
	// Simulated tells why there are no times; "" if there are. If it is set, there are Counts instead.
	Simulated string  `json:"simulated,omitempty"`
	Counts    []Count `json:"counts,omitempty"`
}

// Timed reports whether there are times.
func (m Measurement) Timed() bool { return len(m.Seconds) > 0 }

// Check is the result of the comparison that is made before anything is timed. It compares the mean losses of the
// first training steps, or the probabilities of the first images.
type Check struct {
	Against   string  `json:"against"` // "reference", or "gputrain on cpu" for peers
	What      string  `json:"what"`
	Distance  float64 `json:"distance"`  // the greatest difference that was found
	Tolerance float64 `json:"tolerance"` // the greatest difference that is allowed
}

// PartTime is the time of one part of a training step.
type PartTime struct {
	Layers  []string  `json:"layers"` // the layers that are computed as one; empty if the part belongs to no layer
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
