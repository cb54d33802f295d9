package cuda

// Statistics tell what a program takes of its GPU and how it runs there. The program that Device.Compile returns has a
// method that gives them:
//
//	Statistics() Statistics
type Statistics struct {
	Memory       MemoryStats `json:"memory"`                // of the device: all its programs and data sets
	Workspace    int64       `json:"workspace"`             // bytes that the program's convolutions work in, one after the other
	Convolutions []Choice    `json:"convolutions"`          // of the largest mini-batch so far, by layer and direction
	CacheError   string      `json:"cache_error,omitempty"` // why measured algorithms can't be kept on disk
	Graphs       GraphStats  `json:"graphs"`
}

// MemoryStats tells what a pool holds, in bytes.
type MemoryStats struct {
	InUse       int64 `json:"in_use"`      // lent now
	Peak        int64 `json:"peak"`        // most that was ever lent at once
	Reserved    int64 `json:"reserved"`    // taken from the driver
	Limit       int64 `json:"limit"`       // of what may be reserved; 0: none
	Allocations int   `json:"allocations"` // made from the driver so far
	Lent        int   `json:"lent"`        // buffers lent so far
	Planned     int64 `json:"planned"`     // bytes that planning of lifetimes saved, of the programs that live
}

// Choice is the algorithm that computes one of a convolution's three products.
type Choice struct {
	Layer        string  `json:"layer"`
	Direction    string  `json:"direction"` // "forward", "backward data" or "backward filter"
	Batch        int     `json:"batch"`     // images in the mini-batch that it was chosen for
	Algorithm    string  `json:"algorithm"` // by cuDNN's name, in words
	Workspace    int64   `json:"workspace"` // bytes
	Chosen       Chooser `json:"chosen"`
	Milliseconds float64 `json:"milliseconds,omitempty"` // measured
	Dropped      int     `json:"dropped,omitempty"`      // better ones that failed or had no room
}

// Chooser says who chose an algorithm.
type Chooser string

// The choosers.
const (
	Measured  Chooser = "measured"  // it was the fastest on this device
	Cached    Chooser = "cached"    // it was the fastest on such a device with such libraries, in an earlier run
	Heuristic Chooser = "heuristic" // cuDNN expects it to be the fastest
	Fused     Chooser = "fused"     // there was none to choose: kernels of ours compute it with what is behind it
)

// GraphStats tell of a program's captured graphs.
type GraphStats struct {
	Captured int    `json:"captured"`        // that the program keeps
	Nodes    int    `json:"nodes"`           // of the training step's or its gradients', the largest mini-batch's; 0: it isn't captured
	Off      bool   `json:"off,omitempty"`   // by Options.NoGraph
	Error    string `json:"error,omitempty"` // why nothing is captured any more: work runs kernel by kernel, right but slower
}
