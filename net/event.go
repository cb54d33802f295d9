package net

import (
	"encoding/json"
	"fmt"
)

// Event is something that happened in a training run: a Started, Progress, EpochDone,
// CheckpointSaved or Done. [MarshalEvent] writes one as JSON.
type Event interface {
	// Kind is a short name for logs: "started", "progress", "epoch",
	// "checkpoint", "done".
	Kind() string
}

// Observer receives a run's events, in order. The goroutine that trains calls Observe.
// If Observe returns an error, training writes a checkpoint and stops with this error.
type Observer interface {
	Observe(Event) error
}

// ObserverFunc is a function that serves as an Observer.
type ObserverFunc func(Event) error

// Observe calls f.
func (f ObserverFunc) Observe(e Event) error { return f(e) }

// Started is the first event of every run.
type Started struct {
	Network       string `json:"network"`
	Recipe        Recipe `json:"recipe"`
	Device        string `json:"device,omitempty"`
	Weights       int    `json:"weights"`              // number of trained values
	Frozen        int    `json:"frozen,omitempty"`     // number of frozen values, without running statistics
	Train         int    `json:"train"`                // samples of the training set
	Validation    int    `json:"validation,omitempty"` // samples; 0 without a validation set
	Test          int    `json:"test,omitempty"`       // samples; 0 without a test set
	StepsPerEpoch int    `json:"steps_per_epoch"`
	// Resumed is where the run goes on; nil for a run from the start.
	Resumed *Position `json:"resumed,omitempty"`
}

// Progress comes every Config.Interval steps, and at the end of each epoch. If Interval
// is 0, it comes about four times a second.
type Progress struct {
	Epoch           int     `json:"epoch"`    // from 1
	Step            int     `json:"step"`     // steps done in the epoch
	Steps           int     `json:"steps"`    // steps in an epoch
	Loss            float64 `json:"loss"`     // mean over the samples since the last Progress
	Accuracy        float64 `json:"accuracy"` // over the samples since the last Progress
	ImagesPerSecond float64 `json:"images_per_second"`
	LearningRate    float64 `json:"learning_rate"` // the rate of the last step
}

// Score is the mean loss and accuracy over a data set, in evaluation mode.
type Score struct {
	Loss     float64 `json:"loss"`
	Accuracy float64 `json:"accuracy"`
	Top      float64 `json:"top,omitempty"` // share of samples whose label is among the Config.Top most probable classes; 0 if Top is 0 or 1
}

// EpochResult holds the figures of one epoch.
type EpochResult struct {
	Epoch int `json:"epoch"` // from 1
	// Cost is the mean training loss of the epoch's samples. Each sample's loss is computed
	// before the update that the sample takes part in. "Cost" is the tutorial's word.
	Cost       float64 `json:"cost"`
	Accuracy   float64 `json:"accuracy"`             // share of hits among the same samples, at the same moments
	Validation *Score  `json:"validation,omitempty"` // after the epoch; nil without a validation set
	Test       *Score  `json:"test,omitempty"`       // after the epoch; nil without a test set
}

// EpochDone comes after each epoch and its evaluations, before the checkpoint.
type EpochDone struct {
	EpochResult
	Best            bool    `json:"best,omitempty"`    // the best epoch so far on the validation set
	Seconds         float64 `json:"seconds"`           // time of training in this epoch, without evaluation; after a resume, the time since then
	ImagesPerSecond float64 `json:"images_per_second"` // speed of training in this epoch, without evaluation
}

// CheckpointReason says why a checkpoint was written.
type CheckpointReason string

// The reasons.
const (
	AtEpoch   CheckpointReason = "epoch"       // an epoch is done
	AtBest    CheckpointReason = "best"        // the best epoch so far on the validation set
	AtKept    CheckpointReason = "kept"        // an epoch is done, and Saving.Keep keeps its checkpoint in a file of its own
	AtPeriod  CheckpointReason = "period"      // Saving.EverySteps or Saving.Every is due
	AtTimeUp  CheckpointReason = "time up"     // Config.MaxTime has passed
	AtStopped CheckpointReason = "interrupted" // the context ended or an observer failed
)

// CheckpointSaved comes when a checkpoint has been written completely.
type CheckpointSaved struct {
	Path   string           `json:"path"`
	Reason CheckpointReason `json:"reason"`
	Epoch  int              `json:"epoch"` // epochs done
	Step   int              `json:"step"`  // steps done in the next one
}

// Done is the last event of a run that came to its end. Early stopping and
// Config.MaxTime end a run too.
type Done struct {
	Result
}

// MarshalEvent returns an event as a JSON object. Its first field is "event", with the
// event's Kind. The names of the other fields are those in the struct's json tags.
func MarshalEvent(e Event) ([]byte, error) {
	fields, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `{"event":%q,%s`, e.Kind(), fields[1:]), nil
}

// UnmarshalEvent reads what MarshalEvent returns. It ignores unknown fields.
func UnmarshalEvent(b []byte) (Event, error) {
	var kind struct{ Event string }
	if err := json.Unmarshal(b, &kind); err != nil {
		return nil, err
	}
	switch kind.Event {
	case Started{}.Kind():
		return unmarshalAs[Started](b)
	case Progress{}.Kind():
		return unmarshalAs[Progress](b)
	case EpochDone{}.Kind():
		return unmarshalAs[EpochDone](b)
	case CheckpointSaved{}.Kind():
		return unmarshalAs[CheckpointSaved](b)
	case Done{}.Kind():
		return unmarshalAs[Done](b)
	}
	return nil, fmt.Errorf("unknown event %q", kind.Event)
}

func unmarshalAs[E Event](b []byte) (Event, error) {
	var e E
	err := json.Unmarshal(b, &e)
	return e, err
}

// Kind returns "started".
func (Started) Kind() string { return "started" }

// Kind returns "progress".
func (Progress) Kind() string { return "progress" }

// Kind returns "epoch".
func (EpochDone) Kind() string { return "epoch" }

// Kind returns "checkpoint".
func (CheckpointSaved) Kind() string { return "checkpoint" }

// Kind returns "done".
func (Done) Kind() string { return "done" }
