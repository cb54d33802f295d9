package cuda

// Statistics tells how much of its GPU a program uses, and how it runs there. A program that [Device.Compile] returned
// has a method that returns it:
//
//	Statistics() Statistics
type Statistics struct {
	Memory MemoryStats `json:"memory"` // the device's pool, with all programs and data sets
	// Workspace is the size in bytes of the workspace, which all convolutions of the program share.
	Workspace    int64      `json:"workspace"`
	Convolutions []Choice   `json:"convolutions"`          // by layer and direction, for the largest mini-batch so far
	CacheError   string     `json:"cache_error,omitempty"` // why measured algorithms can't be stored; empty if they can
	Graphs       GraphStats `json:"graphs"`
}

// MemoryStats describes a pool of device memory. Sizes are in bytes.
type MemoryStats struct {
	InUse       int64 `json:"in_use"`      // lent as buffers now
	Peak        int64 `json:"peak"`        // the most that was ever lent at once
	Reserved    int64 `json:"reserved"`    // allocated from the driver, lent or not
	Limit       int64 `json:"limit"`       // the most that may be reserved; 0 is no limit
	Allocations int   `json:"allocations"` // how many times memory was allocated from the driver
	Lent        int   `json:"lent"`        // how many buffers were ever taken from the pool
	// Planned is how many bytes are saved because values that are never needed at once share memory, in all
	// open programs.
	Planned int64 `json:"planned"`
}

// Choice is the algorithm that computes one of a convolution's three products.
type Choice struct {
	Layer        string  `json:"layer"`
	Direction    string  `json:"direction"` // "forward", "backward data" or "backward filter"
	Batch        int     `json:"batch"`     // images in the mini-batch that it was chosen for
	Algorithm    string  `json:"algorithm"` // cuDNN's name for it in words, or "ours, tensor cores"
	Workspace    int64   `json:"workspace"` // bytes
	Chosen       Chooser `json:"chosen"`
	Milliseconds float64 `json:"milliseconds,omitempty"` // measured time; 0 if it was not measured
	// Dropped is how many faster algorithms failed or had no memory for their workspace.
	Dropped int `json:"dropped,omitempty"`
}

// Chooser tells who chose an algorithm.
type Chooser string

// Who can choose an algorithm.
const (
	// Measured: it was the fastest when measured on this device.
	Measured Chooser = "measured"
	// Cached: it was the fastest when an earlier run measured it on the same kind of GPU with the same libraries.
	Cached Chooser = "cached"
	// Heuristic: cuDNN expects it to be the fastest.
	Heuristic Chooser = "heuristic"
	// Demanded: the options demand our own kernels.
	Demanded Chooser = "demanded"
	// Fused: there was no choice. A kernel of gputrain computes the product together with ReLU and pooling.
	Fused Chooser = "fused"
)

// GraphStats describes the graphs that a program has captured.
type GraphStats struct {
	Captured int `json:"captured"` // how many graphs the program has now
	// Nodes is how many nodes the graph of a training step, or of its gradients, has for the largest
	// mini-batch; 0 if there is no such graph.
	Nodes int  `json:"nodes"`
	Off   bool `json:"off,omitempty"` // Options.NoGraph turned graphs off
	// Error says why capturing failed. Work then runs kernel by kernel: right, but slower. It is empty
	// if nothing failed.
	Error string `json:"error,omitempty"`
}
