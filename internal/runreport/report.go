// Package runreport makes reports of training runs: as one HTML page that needs
// nothing else, as files with its charts and pictures, and as JSON.
//
// The package reads no files. The caller loads the checkpoints, opens a device
// and computes what the report needs. [Evaluation.Add] takes the probabilities
// for a data set, [FiltersOf] takes a network's weights, and [LayersOf] takes a
// trace of one image.
package runreport

import (
	"time"

	"github.com/gputrain/gputrain/net"
)

// Report describes one run, or several runs side by side.
type Report struct {
	Program string    `json:"program"` // the program's version
	Made    time.Time `json:"made"`
	Runs    []*Run    `json:"runs"`
}

// Run is one run.
type Run struct {
	Name       string          `json:"name"` // unique in a report
	Checkpoint *net.Checkpoint `json:"-"`
	Plan       *net.Plan       `json:"-"`
	Facts      []Fact          `json:"-"` // recipe and versions, for people to read
	Layers     []LayerRow      `json:"layers"`
	ClassNames []string        `json:"class_names,omitempty"`
	Steps      []net.Progress  `json:"-"` // progress within the epochs, in order; may be empty

	Evaluation *Evaluation `json:"evaluation,omitempty"` // nil without a data set
	Without    string      `json:"-"`                    // why there is no evaluation; empty if there is one
	Filters    []Filters   `json:"-"`
	Image      *Image      `json:"image,omitempty"` // nil without an image
}

// Fact is a name and its value.
type Fact struct{ Name, Value string }

// LayerRow is a row of the table of layers.
type LayerRow struct {
	Name    string   `json:"name"`
	From    []string `json:"from"` // names of its inputs, "input" for the network's; the page shows them in What
	What    string   `json:"what"`
	Output  string   `json:"output"`
	Weights int      `json:"weights"`
	MulAdds int64    `json:"multiply_adds"`
}

// className returns the name of a class.
func (r *Run) className(class int) string { return net.ClassName(r.ClassNames, class) }

// stepsPerEpoch returns the number of mini-batches in an epoch of the run.
func (r *Run) stepsPerEpoch() int {
	return r.Checkpoint.Recipe.StepsPerEpoch(r.Checkpoint.Train.Samples)
}
