// Package peers runs the peers: programs that do gputrain's work in other frameworks, so that both can be compared. The
// protocol is in README.md in this folder. [Start] runs a peer, and [Agree] checks that it does the same work.
package peers

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/nlpodyssey/safetensors"

	"github.com/gputrain/gputrain/net"
)

// Mode tells what a peer does with its batches.
type Mode string

// The modes.
const (
	Train Mode = "train" // training steps
	Infer Mode = "infer" // class probabilities in evaluation mode
)

// Place is the device on which a peer computes, and the precision.
type Place struct {
	Device    string `json:"device"`    // "cpu", or a GPU: "cuda" or "cuda:N"
	Precision string `json:"precision"` // "fp32"; on a GPU "tf32" and "bf16" too, as package cuda defines them
}

// CPU is the place that every peer knows.
var CPU = Place{Device: "cpu", Precision: "fp32"}

// GPU reports whether the place is a GPU.
func (p Place) GPU() bool { return p.Device != CPU.Device }

// Tolerance returns how far a peer's loss may be from gputrain's at this place. Two programs in float32 differ by
// 1e-5 for most networks. Rounding the factors of the tutorial's products moves a loss by up to 4e-3 in training, and the loss of one
// image by 4e-4 in TF32 and 1.4e-2 in bfloat16. Two programs may differ in opposite directions. A learning rate that
// is wrong by a tenth moves the losses of 20 steps by 2.5e-2, and one that is wrong by a half by 9e-2.
func (p Place) Tolerance() float64 {
	switch p.Precision {
	case "tf32":
		return 1e-2
	case "bf16":
		return 5e-2
	}
	return 1e-3
}

// Job is the work of a peer. Batch i, from 0, has Batch samples, from sample (i mod Check)*Batch on.
type Job struct {
	Network *net.Network `json:"network"` // without dropout in training
	Mode    Mode         `json:"mode"`
	Place
	// Tier is "avx2" if the peer must compute with no instructions beyond AVX2, as gputrain does, and "" if it may use
	// all that there are. A peer that can't be limited takes part nevertheless; [Peer].Tier tells.
	Tier      string        `json:"tier,omitempty"`
	Threads   int           `json:"threads"` // number of threads that compute
	Batch     int           `json:"batch"`   // images in a batch
	Check     int           `json:"check"`   // number of batches in the agreement check, and of different batches
	Weights   string        `json:"weights"` // path of the weights; see WriteInputs
	Data      string        `json:"data"`    // path of the samples
	Scale     float32       `json:"scale"`   // a byte b stands for b*Scale
	Optimizer net.Optimizer `json:"optimizer"`
	// ONNX is the path of the network and its weights as an ONNX model, whose output is probabilities. Peers that
	// don't build the network themselves need it. It is empty in training.
	ONNX string `json:"onnx,omitempty"`
}

// Batches returns the Check different batches of the job, as batches of the data set that WriteInputs was given.
func (j Job) Batches(data *net.Dataset) []net.Batch {
	batches := make([]net.Batch, j.Check)
	for i := range batches {
		indices := make([]int32, j.Batch)
		for k := range indices {
			indices[k] = int32(i*j.Batch + k)
		}
		batches[i] = net.Batch{Data: data, Indices: indices}
	}
	return batches
}

// Losses does the job's agreement check with prog. It returns the mean loss of each batch; in training it is the loss
// before the batch's update. prog must be compiled from the job's network and have its weights. Agree compares a
// device's losses with those of its peers.
func (j Job) Losses(prog net.Program, data *net.Dataset) ([]float64, error) {
	do := prog.Evaluate
	if j.Mode == Train {
		do = func(b net.Batch) (net.Metrics, error) {
			if err := prog.Step(b); err != nil {
				return net.Metrics{}, err
			}
			return prog.TakeMetrics()
		}
	}
	losses := make([]float64, j.Check)
	for i, b := range j.Batches(data) {
		m, err := do(b)
		if err != nil {
			return nil, fmt.Errorf("batch %d: %w", i, err)
		}
		losses[i] = m.MeanLoss()
	}
	return losses, nil
}

// Write writes the job to path, for Start.
func (j Job) Write(path string) error {
	b, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// WriteInputs writes to dir what jobs share: a network's weights, as a checkpoint, and the first samples of data. It
// returns a job on the CPU with Network, Weights, Data, Scale and Optimizer set. One call serves jobs with any Batch
// and Check that need no more samples.
func WriteInputs(dir string, network *net.Network, opt net.Optimizer, state net.State, data *net.Dataset, samples int) (Job, error) {
	if data.Pixels == nil || samples < 1 || samples > data.Len() {
		return Job{}, fmt.Errorf("peers: want 1 to %d samples of bytes from data set %s, not %d", data.Len(), data.Name, samples)
	}
	data = data.Slice(0, samples)
	job := Job{Network: network, Place: CPU, Weights: "weights.safetensors", Data: "data.safetensors", Scale: data.Scale, Optimizer: opt}
	err := net.SaveCheckpoint(filepath.Join(dir, job.Weights), &net.Checkpoint{
		Network: network,
		Recipe:  net.Recipe{Epochs: 1, Batch: 1, Optimizer: opt},
		Train:   data.ID(),
		State:   state,
	})
	if err != nil {
		return Job{}, err
	}
	if err := writeSamples(filepath.Join(dir, job.Data), data); err != nil {
		return Job{}, fmt.Errorf("peers: %w", err)
	}
	return job, nil
}

// writeSamples writes a data set's images and labels as safetensors.
func writeSamples(path string, data *net.Dataset) error {
	n := uint64(data.Len())
	images, err := safetensors.NewTensorView(safetensors.U8,
		[]uint64{n, uint64(data.Shape.C), uint64(data.Shape.H), uint64(data.Shape.W)}, data.Pixels)
	if err != nil {
		return err
	}
	bytes, err := binary.Append(nil, binary.LittleEndian, data.Labels)
	if err != nil {
		return err
	}
	labels, err := safetensors.NewTensorView(safetensors.I32, []uint64{n}, bytes)
	if err != nil {
		return err
	}
	b, err := safetensors.Serialize(map[string]safetensors.TensorView{"images": images, "labels": labels}, nil)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

// Distance returns the greatest difference between two lists of losses of the same length. It is NaN if a loss is NaN.
func Distance(ours, theirs []float64) float64 {
	var d float64
	for i := range ours {
		d = max(d, math.Abs(ours[i]-theirs[i])) // max keeps NaN
	}
	return d
}

// Agree returns nil if a peer's losses equal ours within the tolerance. Otherwise its error shows both. NaN never
// agrees.
func Agree(ours, theirs []float64, tolerance float64) error {
	if len(ours) != len(theirs) {
		return fmt.Errorf("does other work: %d losses, want %d", len(theirs), len(ours))
	}
	if d := Distance(ours, theirs); !(d <= tolerance) {
		return fmt.Errorf("does other work: its losses differ from ours by up to %g, more than %g:\n%.6f, want\n%.6f", d, tolerance, theirs, ours)
	}
	return nil
}
