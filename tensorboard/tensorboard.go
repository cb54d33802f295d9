// Package tensorboard writes event files of training runs for TensorBoard
// (https://www.tensorflow.org/tensorboard). It shows losses and accuracies, learning rate and
// speed, histograms of weights and gradients, the first layer's filters, the worst mistakes,
// and the graph of the network.
//
// To use it, put an [Observer] into net.Config.Observers. It doesn't change the
// training: the weights are the same, bit for bit.
package tensorboard

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/gputrain/gputrain/internal/protobuf"
	"github.com/gputrain/gputrain/internal/runreport"
	"github.com/gputrain/gputrain/net"
)

// The folders in the run's folder. TensorBoard shows each as a curve.
const (
	trainFolder      = "train"
	validationFolder = "validation"
	testFolder       = "test"
)

// Options say where the files go, and what the classes are called.
type Options struct {
	Dir        string   // the run's folder; its folders train, validation and test hold the files
	ClassNames []string // name of each class, in the order of the labels; a class without a name appears as its number
}

// How much is computed after an epoch.
const (
	mistakesAmong  = 2000 // samples among which mistakes are searched
	mostMistakes   = 16
	inferenceBatch = 250
)

// Observer writes the event files of one run. A step in them is a training step of the run.
// A resumed run goes on in new files, at the step where it stands. TensorBoard then drops
// what the old files have of later steps.
type Observer struct {
	options Options
	cfg     net.Config
	program net.Program
	plan    *net.Plan
	steps   int64 // in an epoch

	train, validation, test *eventFile // nil before the run has begun, or without a data set
	files                   []*eventFile
}

// New returns an observer for a run that trains program with cfg. At the start and after
// each epoch it reads the program's weights. If the program is a [net.Tracer], it also
// reads the gradients of the first mini-batch.
func New(program net.Program, cfg net.Config, o Options) *Observer {
	return &Observer{options: o, cfg: cfg, program: program, plan: program.Plan()}
}

// Observe writes an event to the files. If it fails, for example on a full disk, what was
// written before stays readable.
func (o *Observer) Observe(e net.Event) error {
	switch e := e.(type) {
	case net.Started:
		return o.started(e)
	case net.Progress:
		return o.progress(e)
	case net.EpochDone:
		return o.epoch(e)
	}
	return nil
}

func (o *Observer) started(e net.Started) error {
	o.steps = int64(e.StepsPerEpoch)
	for _, f := range []struct {
		folder  string
		samples int
		file    **eventFile
	}{
		{trainFolder, e.Train, &o.train}, {validationFolder, e.Validation, &o.validation}, {testFolder, e.Test, &o.test},
	} {
		if f.samples == 0 {
			continue
		}
		file, err := createEventFile(filepath.Join(o.options.Dir, f.folder))
		if file != nil {
			*f.file, o.files = file, append(o.files, file)
		}
		if err != nil {
			return err
		}
	}
	if p := e.Resumed; p != nil {
		at := int64(p.Epoch)*o.steps + int64(p.Step)
		for _, f := range o.files {
			// TensorBoard forgets what it has of this step and later.
			err := f.write(at+1, func(m *protobuf.Message) {
				m.Sub(eventSession, func(m *protobuf.Message) { m.Integer(sessionStatus, sessionStart) })
			})
			if err != nil {
				return err
			}
		}
	}
	graph := graphOf(o.plan)
	if err := o.train.write(0, func(m *protobuf.Message) { m.Bytes(eventGraph, graph) }); err != nil {
		return err
	}
	if e.Resumed != nil {
		return nil
	}
	var s summary
	if err := o.weights(&s); err != nil {
		return err
	}
	return o.train.writeSummary(0, &s)
}

func (o *Observer) progress(e net.Progress) error {
	if o.train == nil {
		return nil
	}
	var s summary
	s.scalar("step/loss", e.Loss)
	s.scalar("step/accuracy", e.Accuracy)
	s.scalar("step/learning_rate", e.LearningRate)
	s.scalar("step/images_per_second", e.ImagesPerSecond)
	return o.train.writeSummary(int64(e.Epoch-1)*o.steps+int64(e.Step), &s)
}

func (o *Observer) epoch(e net.EpochDone) error {
	if o.train == nil {
		return nil
	}
	at := int64(e.Epoch) * o.steps
	for _, of := range []struct {
		file  *eventFile
		score *net.Score
	}{{o.train, &net.Score{Loss: e.Cost, Accuracy: e.Accuracy}}, {o.validation, e.Validation}, {o.test, e.Test}} {
		if of.score == nil {
			continue
		}
		var s summary
		s.scalar("epoch/loss", of.score.Loss)
		s.scalar("epoch/accuracy", of.score.Accuracy)
		if o.cfg.Top > 1 && of.file != o.train { // training doesn't count it
			s.scalar(fmt.Sprintf("epoch/top_%d", o.cfg.Top), of.score.Top)
		}
		if err := of.file.writeSummary(at, &s); err != nil {
			return err
		}
	}
	var s summary
	if err := o.weights(&s); err != nil {
		return err
	}
	if err := o.mistakes(&s); err != nil {
		return err
	}
	return o.train.writeSummary(at, &s)
}

// weights adds histograms of weights and gradients, and the first filters.
func (o *Observer) weights(s *summary) error {
	state, err := o.program.State()
	if err != nil {
		return err
	}
	for _, p := range o.plan.Params {
		s.histogram("weights/"+p.Name, state.Params[p.Name].Float32s())
	}
	if picture, layer := firstFilters(o.plan, state); picture != nil {
		if err := s.image("filters/"+layer, "The weights of the first layer, one square a filter.", picture); err != nil {
			return err
		}
	}
	tracer, ok := o.program.(net.Tracer)
	if !ok {
		return nil
	}
	batch := net.Batch{Data: o.cfg.Train}
	for i := range min(o.cfg.Options().Batch, o.program.Options().Batch) {
		batch.Indices = append(batch.Indices, int32(i))
	}
	trace, err := tracer.Trace(batch, net.Training)
	if err != nil {
		return err
	}
	for _, p := range o.plan.Trained() {
		s.histogram("gradients/"+p.Name, trace.Layers[p.Layer].ParamGrads[p.Role].Float32s())
	}
	return nil
}

// mistakes adds a picture of the worst mistakes on the validation set, or on the test set if
// there is no validation set.
func (o *Observer) mistakes(s *summary) (err error) {
	data, part := o.cfg.Validation, validationFolder
	if data == nil {
		data, part = o.cfg.Test, testFolder
	}
	if data == nil {
		return nil
	}
	data = net.Sample(data, mistakesAmong, o.cfg.Recipe.Seed) // of all classes, whatever their order
	n := data.Len()
	e := runreport.NewEvaluation(data, part, o.plan.Classes, mostMistakes)
	if o.cfg.Recipe.Average > 0 {
		if err := o.program.SwapAverage(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, o.program.SwapAverage()) }()
	}
	for first := 0; first < n; first += inferenceBatch {
		batch := net.Batch{Data: data}
		for i := first; i < min(first+inferenceBatch, n); i++ {
			batch.Indices = append(batch.Indices, int32(i))
		}
		probabilities, err := o.program.Infer(batch)
		if err != nil {
			return err
		}
		if err := e.Add(first, probabilities.Float32s()); err != nil {
			return err
		}
	}
	if len(e.Mistakes) == 0 {
		return nil
	}
	about := fmt.Sprintf("The worst mistakes among %d images of %s: below each what it is, and what it was taken for with which probability.", n, data.Name)
	return s.image("mistakes/"+part, about, mistakesSheet(e, o.options.ClassNames))
}

// Close closes the files.
func (o *Observer) Close() error {
	var first error
	for _, f := range o.files {
		if err := f.file.Close(); err != nil && first == nil {
			first = fmt.Errorf("tensorboard: %w", err)
		}
	}
	return first
}

// Remove closes and removes the files that the observer wrote, for a run that should leave
// nothing behind.
func (o *Observer) Remove() {
	for _, f := range o.files {
		f.remove()
	}
}
