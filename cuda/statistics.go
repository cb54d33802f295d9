package cuda

// Statistics says how much of its GPU a program uses, and how it runs there. A program that Device.Compile returned has a
// method that returns them:
//
//	Statistics() Statistics
type Statistics struct {
	Memory       MemoryStats `json:"memory"`                // what the device's pool holds, for all programs and data sets
	Workspace    int64       `json:"workspace"`             // bytes of the workspace that all convolutions of the program share
	Convolutions []Choice    `json:"convolutions"`          // by layer and direction, for the largest mini-batch so far
	CacheError   string      `json:"cache_error,omitempty"` // why measured algorithms can't be kept on disk
	Graphs       GraphStats  `json:"graphs"`
}

// MemoryStats describes a pool of device memory. Sizes are in bytes.
type MemoryStats struct {
	InUse       int64 `json:"in_use"`      // in use by buffers now
	Peak        int64 `json:"peak"`        // the most that was ever in use at once
	Reserved    int64 `json:"reserved"`    // allocated from the driver, in use or not
	Limit       int64 `json:"limit"`       // the most that may be reserved; 0 is no limit
	Allocations int   `json:"allocations"` // how many times memory was allocated from the driver
	Lent        int   `json:"lent"`        // how many buffers were taken from the pool
	Planned     int64 `json:"planned"`     // saved by sharing memory between values that are never needed at once, in all open programs
}

// Choice is the algorithm that computes one of a convolution's three products.
type Choice struct {
	Layer        string  `json:"layer"`
	Direction    string  `json:"direction"` // "forward", "backward data" or "backward filter"
	Batch        int     `json:"batch"`     // images in the mini-batch that it was chosen for
	Algorithm    string  `json:"algorithm"` // cuDNN's name for it, in words
	Workspace    int64   `json:"workspace"` // bytes
	Chosen       Chooser `json:"chosen"`
	Milliseconds float64 `json:"milliseconds,omitempty"` // measured
	Dropped      int     `json:"dropped,omitempty"`      // faster algorithms that failed, or for whose workspace there was no memory
}

// Chooser says who chose an algorithm.
type Chooser string

// Who can choose an algorithm.
const (
	Measured  Chooser = "measured"  // it was the fastest on this device
	Cached    Chooser = "cached"    // it was the fastest on such a device with such libraries, in an earlier run
	Heuristic Chooser = "heuristic" // cuDNN expects it to be the fastest
	Fused     Chooser = "fused"     // nobody: a kernel of ours computes the product, fused with the layers after it
)

// GraphStats describes the graphs that a program has captured.
type GraphStats struct {
	Captured int    `json:"captured"`        // graphs that the program has now
	Nodes    int    `json:"nodes"`           // nodes in the graph of a training step, or of its gradients, for the largest mini-batch; 0 if it isn't captured
	Off      bool   `json:"off,omitempty"`   // Options.NoGraph turned graphs off
	Error    string `json:"error,omitempty"` // why capturing failed. Work then runs kernel by kernel: right, but slower
}
