package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/regularfile"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/onnx"
	"github.com/gputrain/gputrain/picture"
)

// importONNXFlags are the flags of import that only ONNX models have.
func importONNXFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "normalize", EnvVars: env("normalize"), Category: "ONNX", DefaultText: "none: pixels from 0 to 1", Usage: "bring pixels to what the model was trained on, `HOW`: " + orList(normalizationNames()) + ", or MEAN,.../STD,... of pixels from 0 to 1"},
		&cli.StringFlag{Name: "labels", EnvVars: env("labels"), Category: "ONNX", DefaultText: "the model's, if it has any", Usage: "take the names of the classes from `FILE`, one a line"},
		&cli.BoolFlag{Name: "explain", EnvVars: env("explain"), Category: "ONNX", Usage: "say what becomes of the model, list all nodes that can't be read, and write nothing"},
	}
}

// normalization brings pixels from 0 to 1 to what a network was trained on: (pixel - mean) / deviation, of each channel.
type normalization struct {
	name, about     string
	mean, deviation []float32 // of the channels that the network takes, or one value for all of them
	reversed        bool      // whether the network takes blue, green, red
}

// normalizations are those in common use.
func normalizations() []normalization {
	return []normalization{
		{name: "imagenet", about: "ImageNet's mean and deviation, as torchvision and most of timm", mean: []float32{0.485, 0.456, 0.406}, deviation: []float32{0.229, 0.224, 0.225}},
		{name: "symmetric", about: "from -1 to 1", mean: []float32{0.5}, deviation: []float32{0.5}},
		{name: "bytes", about: "from 0 to 255", mean: []float32{0}, deviation: []float32{1. / 255}},
		{name: "caffe", about: "blue, green, red from 0 to 255 minus ImageNet's mean, as old networks of Caffe and Keras", mean: []float32{103.939 / 255, 116.779 / 255, 123.68 / 255}, deviation: []float32{1. / 255}, reversed: true},
	}
}

func normalizationNames() (names []string) {
	for _, n := range normalizations() {
		names = append(names, n.name)
	}
	return names
}

// normalizationOf reads --normalize for images of so many channels. It returns nil if pixels stay as they are.
func normalizationOf(text string, channels int) (*normalization, error) {
	if text == "" {
		return nil, nil
	}
	n := normalization{}
	for _, known := range normalizations() {
		if known.name == text {
			n = known
		}
	}
	if n.name == "" {
		mean, deviation, ok := strings.Cut(text, "/")
		var err, err2 error
		n.mean, err = numbers(mean)
		n.deviation, err2 = numbers(deviation)
		if !ok || err != nil || err2 != nil {
			return nil, usagef("--normalize: want %s, or MEAN,.../STD,... as in 0.485,0.456,0.406/0.229,0.224,0.225, got %q", orList(normalizationNames()), text)
		}
	}
	for _, list := range []*[]float32{&n.mean, &n.deviation} {
		for len(*list) == 1 && channels > 1 {
			for range channels - 1 {
				*list = append(*list, (*list)[0])
			}
		}
		if len(*list) != channels {
			return nil, usagef("--normalize: %s for images of %s", counted(len(*list), "number"), counted(channels, "channel"))
		}
	}
	for _, d := range n.deviation {
		if d == 0 {
			return nil, usagef("--normalize: a deviation of 0")
		}
	}
	return &n, nil
}

// numbers reads numbers with commas between them.
func numbers(text string) (list []float32, err error) {
	for part := range strings.SplitSeq(text, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(part), 32)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%q is no number", part)
		}
		list = append(list, float32(v))
	}
	return list, nil
}

// apply puts a layer before the network that normalises images.
func (n *normalization) apply(m *onnx.Model) error {
	c := len(n.mean)
	weight, bias := make([]float32, c*c), make([]float32, c)
	for i := range c {
		from := i
		if n.reversed {
			from = c - 1 - i
		}
		weight[i*c+from], bias[i] = 1/n.deviation[i], -n.mean[i]/n.deviation[i]
	}
	l := &net.Conv{Name: "normalize", Filters: c, Kernel: net.Square(1), Frozen: net.Frozen{All: true}}
	return m.Prepend(l, map[net.Role]*tensor.Dense{
		net.Weight: tensor.New(tensor.WithShape(c, c, 1, 1), tensor.WithBacking(weight)),
		net.Bias:   tensor.New(tensor.WithShape(c), tensor.WithBacking(bias)),
	})
}

// importONNX makes a run of an ONNX model.
func (a *app) importONNX(c *cli.Context, from string) error {
	for _, name := range []string{"model", "layout", "name"} {
		if a.given(c, name) {
			return usagef("--%s is for safetensors: an ONNX model says itself what its network is", name)
		}
	}
	options := onnx.ReadOptions{Name: strings.TrimSuffix(filepath.Base(from), filepath.Ext(from))}
	options.Input.C = c.Int("channels")
	var err error
	if c.IsSet("image-size") {
		if options.Input.H, options.Input.W, err = imageSize(c.String("image-size")); err != nil {
			return err
		}
	}
	model, err := onnx.ReadFile(from, options)
	var unsupported *onnx.UnsupportedError
	switch {
	case errors.As(err, &unsupported):
		if c.Bool("explain") {
			for _, n := range unsupported.Nodes {
				fmt.Fprintln(a.out, n)
			}
			return fmt.Errorf("%s: %s can't be read", quoted(from), counted(len(unsupported.Nodes), "node"))
		}
		if len(unsupported.Nodes) > 1 {
			return fmt.Errorf("%w (--explain lists all)", err)
		}
		return err
	case errors.Is(err, onnx.ErrOpenInput):
		return fmt.Errorf("%w: say it with --image-size N, and --channels N", err)
	case err != nil:
		return err
	}
	normalize, err := normalizationOf(c.String("normalize"), model.Network.Input.C)
	if err != nil {
		return err
	}
	if normalize != nil {
		if err := normalize.apply(model); err != nil {
			return err
		}
	}
	plan, err := model.Network.Plan()
	if err != nil {
		return err
	}
	subject, err := a.importedSubject(c, model, plan.Classes)
	if err != nil {
		return err
	}
	if c.Bool("explain") {
		return a.explainImport(plan, model)
	}
	for _, note := range model.Notes {
		a.note(note)
	}
	name := c.String("recipe")
	if !c.IsSet("recipe") && plan.Network.Input != net.Models()[0].Input {
		name = pictureRecipe
	}
	recipe, ok := net.RecipeNamed(name)
	if !ok {
		return choose("recipe", name, recipeNames())
	}
	checkpoint := &net.Checkpoint{Network: model.Network, Recipe: recipe.Recipe, Device: importedDevice, Subject: subject, State: importedState(plan, recipe.Recipe, model.Weights)}
	if c.String("data") != "" {
		data, err := a.loadData(c, dataWish{seed: recipe.Seed, input: plan.Network.Input, prepare: subject.Prepare})
		if err != nil {
			return err
		}
		if err := checkFit(plan, data); err != nil {
			return err
		}
		if len(subject.ClassNames) > 0 {
			data.numberBy(subject.ClassNames)
		}
		validation := data.validation.ID()
		checkpoint.Train, checkpoint.Validation, checkpoint.Subject = data.train.ID(), &validation, data.subject(0)
	}
	return a.writeImported(c, checkpoint, from)
}

// importedSubject says what a model's input is made of, and what its answers mean.
func (a *app) importedSubject(c *cli.Context, m *onnx.Model, classes int) (*net.Subject, error) {
	s := &net.Subject{Scale: 1. / 255, Prepare: string(picture.Crop)}
	if _, ours := m.Metadata["input"]; ours && m.Metadata["scale"] == "" {
		s.Scale, s.Prepare = 0, "" // its values were no bytes
	}
	if scale, err := strconv.ParseFloat(m.Metadata["scale"], 32); err == nil && scale > 0 && !math.IsInf(scale, 0) {
		s.Scale = float32(scale)
	}
	for _, p := range picture.Preparations() {
		if m.Metadata["prepare"] == string(p) {
			s.Prepare = string(p)
		}
	}
	names, from := []string(nil), "its class_names"
	if text := m.Metadata["class_names"]; text != "" && json.Unmarshal([]byte(text), &names) != nil {
		names = nil // of another program, which means something else by it
	}
	if file := c.String("labels"); file != "" {
		b, err := regularfile.Read(file)
		if err != nil {
			return nil, fileError(file, err)
		}
		from, names = quoted(file), nil
		for line := range strings.Lines(strings.TrimPrefix(string(b), "\ufeff")) {
			names = append(names, strings.TrimRight(line, "\r\n"))
		}
	}
	if len(names) > 0 && len(names) != classes {
		return nil, fmt.Errorf("%s: %s for %s", from, counted(len(names), "name"), counted(classes, "class"))
	}
	s.ClassNames = names
	return s, nil
}

// explainImport says what a model becomes.
func (a *app) explainImport(plan *net.Plan, m *onnx.Model) error {
	fmt.Fprintf(a.out, "All of it can be read: %s with %s weights, from images of %v to %d classes.\n", counted(len(plan.Nodes), "layer"), thousands(int64(plan.Parameters())), plan.Network.Input, plan.Classes)
	fmt.Fprintf(a.out, "It is of ONNX's opset %d, written by %s.\n", m.Opset, orUnknown(m.Producer))
	if m.Softmax {
		fmt.Fprintln(a.out, "Its softmax at the end is left out: a network's output are logits.")
	}
	for _, note := range m.Notes {
		fmt.Fprintf(a.out, "Note: %s.\n", note)
	}
	return nil
}

func orUnknown(text string) string {
	if text == "" {
		return "a program that doesn't say its name"
	}
	return strconv.Quote(text)
}

// importedState is a state as at the beginning of a run, with these weights.
func importedState(plan *net.Plan, recipe net.Recipe, weights map[string]*tensor.Dense) net.State {
	state := net.State{Params: weights, Optimizer: map[string]*tensor.Dense{}}
	for _, p := range plan.Trained() {
		for _, moment := range recipe.Optimizer.Moments() {
			state.Optimizer[p.Name+"."+moment] = tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(p.Dims...))
		}
	}
	return state
}

// writeImported writes the checkpoint of a new run, and tells of it.
func (a *app) writeImported(c *cli.Context, checkpoint *net.Checkpoint, from string) error {
	dir, fresh, err := newRunFolder(c.String("run"))
	if err != nil {
		return err
	}
	if fresh {
		defer removeEmpty(dir)
	}
	path := filepath.Join(dir, net.LastCheckpoint)
	if err := net.SaveCheckpoint(path, checkpoint); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	plan, err := checkpoint.Network.Plan()
	if err != nil {
		return err
	}
	return a.tellExported(c, exported{File: path, Format: formatCheckpoint, From: from, Network: checkpoint.Network.Name, Weights: plan.Weights(), Bytes: info.Size()})
}
