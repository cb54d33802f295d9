package peers

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/gputrain/gputrain/net"
)

// RecipeNames lists the names of the peers that train whole recipes.
var RecipeNames = []string{"torch"}

// RecipeJob is the work of a peer that trains a network by a recipe, from the first step to the last evaluation.
// [WriteRecipe] makes one.
type RecipeJob struct {
	Network *net.Network `json:"network"`
	Recipe  net.Recipe   `json:"recipe"` // with class weights in place of Balance
	Place
	Tier    string  `json:"tier,omitempty"` // as in Job
	Threads int     `json:"threads"`        // number of threads that compute
	Weights string  `json:"weights"`        // path of the weights to begin with
	Train   string  `json:"train"`          // path of the training samples
	Test    string  `json:"test"`           // path of the test samples
	Scale   float32 `json:"scale"`          // a byte b stands for b*Scale
}

// Epoch is what a run has done up to the end of an epoch, its evaluation included.
type Epoch struct {
	Epoch   int     `json:"epoch"`   // from 1
	Seconds float64 `json:"seconds"` // since the first step
	// Training is Seconds without the time of evaluations.
	Training        float64    `json:"training_seconds"`
	ImagesPerSecond float64    `json:"images_per_second"` // speed of training in this epoch, without its evaluation
	Loss            float64    `json:"loss"`              // mean training loss of the epoch's samples
	Test            *net.Score `json:"test,omitempty"`    // nil if the epoch was not evaluated
}

// WriteRecipe writes to dir what a RecipeJob needs: the weights of state and the samples, which must be bytes with the
// same scale. It returns a job on the CPU, without Threads.
func WriteRecipe(dir string, network *net.Network, recipe net.Recipe, state net.State, train, test *net.Dataset) (RecipeJob, error) {
	if train.Pixels == nil || test.Pixels == nil || train.Scale != test.Scale {
		return RecipeJob{}, fmt.Errorf("peers: data sets %s and %s must be of bytes with one scale", train.Name, test.Name)
	}
	recipe.Loss, recipe.Balance = recipe.LossFor(train), false
	job := RecipeJob{Network: network, Recipe: recipe, Place: CPU, Weights: "weights.safetensors", Train: "train.safetensors", Test: "test.safetensors", Scale: train.Scale}
	err := net.SaveCheckpoint(filepath.Join(dir, job.Weights), &net.Checkpoint{Network: network, Recipe: net.Recipe{Epochs: 1, Batch: 1, Optimizer: net.SGDDefault(0)},
		Train: train.ID(), State: net.State{Params: state.Params}})
	if err != nil {
		return RecipeJob{}, err
	}
	for name, data := range map[string]*net.Dataset{job.Train: train, job.Test: test} {
		if err := writeSamples(filepath.Join(dir, name), inOrder(data)); err != nil {
			return RecipeJob{}, fmt.Errorf("peers: %w", err)
		}
	}
	return job, nil
}

// inOrder returns a data set of bytes whose samples are its rows in turn.
func inOrder(d *net.Dataset) *net.Dataset {
	if d.Rows == nil {
		return d
	}
	out, n := *d, d.Shape.Size()
	out.Rows, out.Pixels = nil, make([]uint8, 0, d.Len()*n)
	for i := range d.Labels {
		at := d.Row(int32(i)) * n
		out.Pixels = append(out.Pixels, d.Pixels[at:at+n]...)
	}
	return &out
}

// Write writes the job to path, for TrainRecipe.
func (j RecipeJob) Write(path string) error {
	b, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// CheckRecipe starts a peer on a job as [TrainRecipe] does, and ends it when it has told who it is. The error says why it can't
// train the recipe here. It is ErrUnavailable where the peer said so.
func CheckRecipe(ctx context.Context, dir, name, job string) error {
	p, err := startRecipe(ctx, dir, name, job)
	if err != nil {
		return err
	}
	p.kill()
	return nil
}

func (p *Peer) kill() {
	_ = p.cmd.Process.Kill() // fails only if the peer has ended
	_ = p.Close()            // says that it was killed
}

// startRecipe starts a peer on the job of a recipe, and returns when it has told who it is.
func startRecipe(ctx context.Context, dir, name, job string) (*Peer, error) {
	run, err := filepath.Abs(filepath.Join(dir, "run"))
	if err != nil {
		return nil, err
	}
	return greeted(name, exec.CommandContext(ctx, run, name, job, "recipe"))
}

// greeted starts cmd as a peer, and returns when it has told who it is.
func greeted(name string, cmd *exec.Cmd) (*Peer, error) {
	p, err := begin(name, cmd)
	if err != nil {
		return nil, err
	}
	if err := p.hello(); err != nil {
		return nil, p.failed(err)
	}
	return p, nil
}

// TrainRecipe lets a peer train a recipe. dir is the folder of this package, name is one of RecipeNames, and job is the
// path of a job file for that recipe's number of epochs. each is called at the end of each epoch; an error that it
// returns ends the run. The result is the peer, which is closed: its Version and Settings can be read. The error is
// ErrUnavailable if the peer can't train such a recipe here. When ctx ends, the peer is killed.
func TrainRecipe(ctx context.Context, dir, name, job string, epochs int, each func(Epoch) error) (*Peer, error) {
	p, err := startRecipe(ctx, dir, name, job)
	if err != nil {
		return nil, err
	}
	return p.train(epochs, each)
}

// train reads the epochs of a recipe.
func (p *Peer) train(epochs int, each func(Epoch) error) (*Peer, error) {
	fail := func(err error) (*Peer, error) {
		p.kill()
		return nil, err
	}
	for want := 1; want <= epochs; want++ {
		l, err := p.next()
		if err != nil {
			return nil, p.failed(err)
		}
		if l.Trained == nil || l.Trained.Epoch != want {
			return fail(fmt.Errorf("peer %s: a line that is not of epoch %d: %s", p.Name, want, p.out.Text()))
		}
		if err := each(*l.Trained); err != nil {
			return fail(err)
		}
	}
	return p, p.Close()
}
