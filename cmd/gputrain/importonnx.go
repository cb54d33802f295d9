package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/internal/regularfile"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/onnx"
	"github.com/gputrain/gputrain/picture"
)

// importONNXFlags are the flags of import that only ONNX models have.
func importONNXFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "labels", EnvVars: env("labels"), Category: "ONNX", DefaultText: "the model's, if it has any", Usage: "take the names of the classes from `FILE`, one a line"},
		&cli.BoolFlag{Name: "explain", EnvVars: env("explain"), Category: "ONNX", Usage: "say what becomes of the model, list all nodes that can't be read, and write nothing"},
	}
}

// isONNX reports whether a path is one of an ONNX model, by its ending.
func isONNX(path string) bool { return strings.EqualFold(filepath.Ext(path), "."+formatONNX) }

// readONNX reads an ONNX model. The network takes images of the shape of input, where the model leaves that open.
func readONNX(path string, input net.Shape) (*onnx.Model, error) {
	model, err := onnx.ReadFile(path, onnx.ReadOptions{Name: strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), Input: input})
	if errors.Is(err, onnx.ErrOpenInput) {
		return nil, fmt.Errorf("%w: say it with gputrain import --input CxHxW, as in --input 3x224x224", err)
	}
	var unsupported *onnx.UnsupportedError
	if errors.As(err, &unsupported) && len(unsupported.Nodes) > 1 {
		return nil, fmt.Errorf("%w (gputrain import --explain lists all)", err)
	}
	return model, err
}

// onnxCheckpoint returns an ONNX model as the checkpoint of a run that has not begun. names are those of the classes, or nil
// for the model's.
func onnxCheckpoint(model *onnx.Model, recipe net.Recipe, names []string) (*net.Checkpoint, error) {
	plan, err := model.Network.Plan()
	if err != nil {
		return nil, err
	}
	id, subject := unknownSubject()
	if _, ours := model.Metadata["input"]; ours && model.Metadata["scale"] == "" {
		subject.Scale, subject.Prepare = 0, "" // its values were no bytes
	}
	if scale, err := strconv.ParseFloat(model.Metadata["scale"], 32); err == nil && scale > 0 && !math.IsInf(scale, 0) {
		subject.Scale = float32(scale)
	}
	for _, p := range picture.Preparations() {
		if model.Metadata["prepare"] == string(p) {
			subject.Prepare = string(p)
		}
	}
	if names == nil {
		text := model.Metadata["class_names"]
		if text != "" && json.Unmarshal([]byte(text), &names) != nil || len(names) != plan.Classes {
			names = nil // of another program, which means something else by it
		}
	}
	subject.ClassNames = names
	return &net.Checkpoint{Network: model.Network, Recipe: recipe, Device: importedDevice, Train: id, Subject: subject, State: importedState(plan, recipe, model.Weights)}, nil
}

// importONNX makes a run of an ONNX model.
func (a *app) importONNX(c *cli.Context, from string) error {
	for _, name := range []string{"model", "layout", "name", "map", "skip-extra"} {
		if a.given(c, name) {
			return usagef("--%s is for safetensors: an ONNX model says itself what its network is", name)
		}
	}
	var input net.Shape
	if text := c.String("input"); text != "" {
		var err error
		if input, err = parseShape(text); err != nil {
			return err
		}
	}
	mean, deviation, err := normalisation(c)
	if err != nil {
		return err
	}
	model, err := readONNX(from, input)
	var unsupported *onnx.UnsupportedError
	switch {
	case errors.As(err, &unsupported) && c.Bool("explain"):
		for _, n := range unsupported.Nodes {
			fmt.Fprintln(a.out, n)
		}
		return fmt.Errorf("%s: %s can't be read", quoted(from), counted(len(unsupported.Nodes), "node"))
	case err != nil:
		return err
	}
	if mean != nil {
		if model.Network, model.Weights, err = net.Normalize(model.Network, model.Weights, mean, deviation); err != nil {
			return err
		}
	}
	plan, err := model.Network.Plan()
	if err != nil {
		return err
	}
	names, err := labelsOf(c.String("labels"), plan.Classes)
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
	checkpoint, err := onnxCheckpoint(model, recipe.Recipe, names)
	if err != nil {
		return err
	}
	if c.String("data") != "" {
		data, err := a.loadData(c, dataWish{seed: recipe.Seed, input: plan.Network.Input, prepare: checkpoint.Subject.Prepare})
		if err != nil {
			return err
		}
		if err := checkFit(plan, data); err != nil {
			return err
		}
		data.numberBy(checkpoint.Subject.ClassNames)
		validation := data.validation.ID()
		checkpoint.Train, checkpoint.Validation, checkpoint.Subject = data.train.ID(), &validation, data.subject(0)
	}
	return a.writeImported(c, checkpoint, from)
}

// labelsOf reads the names of classes from a file, one a line. Without a file it returns nil.
func labelsOf(file string, classes int) (names []string, err error) {
	if file == "" {
		return nil, nil
	}
	b, err := regularfile.Read(file)
	if err != nil {
		return nil, fileError(file, err)
	}
	for line := range strings.Lines(strings.TrimPrefix(string(b), "\ufeff")) {
		names = append(names, strings.TrimRight(line, "\r\n"))
	}
	if len(names) != classes {
		return nil, fmt.Errorf("%s: %s for %d classes", quoted(file), counted(len(names), "name"), classes)
	}
	return names, nil
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
