// Package runreport tells what training runs came to: as one HTML page that needs
// nothing else, as files of its charts and pictures, and as data.
//
// Whoever makes a report loads the checkpoints, opens a device and hands over what
// comes of them: [Evaluation.Add] takes the answers for a data set, [FiltersOf] a
// network's weights, [LayersOf] a trace of one image. The package reads no files.
package runreport

import (
	"time"

	"github.com/gputrain/gputrain/net"
)

// Report is what is told of one run, or of several side by side.
type Report struct {
	Program string    `json:"program"` // the version that made the report
	Made    time.Time `json:"made"`
	Runs    []*Run    `json:"runs"`
}

// Run is one run.
type Run struct {
	Name       string          `json:"name"` // unique in a report
	Checkpoint *net.Checkpoint `json:"-"`
	Plan       *net.Plan       `json:"-"`
	Facts      []Fact          `json:"-"` // recipe and versions, for people
	Layers     []LayerRow      `json:"layers"`
	ClassNames []string        `json:"class_names,omitempty"`
	Steps      []net.Progress  `json:"-"` // within the epochs, in order; may be empty

	Evaluation *Evaluation `json:"evaluation,omitempty"` // nil where there was no data set
	Without    string      `json:"-"`                    // why there is no evaluation
	Filters    []Filters   `json:"-"`
	Image      *Image      `json:"image,omitempty"` // nil without an image
}

// Fact is a name and what it stands for.
type Fact struct{ Name, Value string }

// LayerRow is a line of the table of layers.
type LayerRow struct {
	Name    string   `json:"name"`
	From    []string `json:"from"` // the layers that it takes, "input" for the network's input; the page has them in What
	What    string   `json:"what"`
	Output  string   `json:"output"`
	Weights int      `json:"weights"`
	MulAdds int64    `json:"multiply_adds"`
}

// className names a class of the run's.
func (r *Run) className(class int) string { return net.ClassName(r.ClassNames, class) }

// stepsPerEpoch is the number of mini-batches in an epoch of the run.
func (r *Run) stepsPerEpoch() int {
	return r.Checkpoint.Recipe.StepsPerEpoch(r.Checkpoint.Train.Samples)
}
