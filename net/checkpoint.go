package net

import "errors"

// Names of the checkpoints that Train writes to its folder.
const (
	LastCheckpoint = "last.safetensors" // the latest
	BestCheckpoint = "best.safetensors" // of the best epoch on the validation set
)

// ErrCheckpoint means that a file is not a checkpoint that this version can
// read: damaged, foreign, too new, or at odds with itself.
var ErrCheckpoint = errors.New("not a usable checkpoint")

// ErrResume means that a checkpoint belongs to another run than the one asked for.
var ErrResume = errors.New("cannot resume")

// Checkpoint is a training run at one moment: all that is needed to go on, and
// for evaluation and prediction the network and its weights.
type Checkpoint struct {
	Network    *Network
	Recipe     Recipe
	Device     string     // what computed it, for people
	Train      DatasetID  // the training set
	Validation *DatasetID // the validation set; nil if there was none
	Position   Position
	History    []EpochResult // of the epochs done
	State      State
}

// Position is where a training run stands.
type Position struct {
	Epoch int `json:"epoch"` // epochs done
	Step  int `json:"step"`  // steps done in the next one
	// The sums of the epoch in progress.
	Samples int64   `json:"samples"`
	Loss    float64 `json:"loss"`
	Hits    int64   `json:"hits"`
}

// DatasetID tells data sets apart.
type DatasetID struct {
	Name    string `json:"name"` // for people
	Samples int    `json:"samples"`
	SHA256  string `json:"sha256"` // over all that a network sees of it, in hexadecimal
}

// SaveCheckpoint writes c to path in the safetensors format.
func SaveCheckpoint(path string, c *Checkpoint) error { return errors.ErrUnsupported }

// LoadCheckpoint reads the checkpoint at path, or where path is a folder the
// last one in it.
func LoadCheckpoint(path string) (*Checkpoint, error) { return nil, errors.ErrUnsupported }
