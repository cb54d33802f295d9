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

// importONNX makes a run of an ONNX model.
func (a *app) importONNX(c *cli.Context, from string) error {
	for _, name := range []string{"model", "layout", "name", "map", "skip-extra"} {
		if a.given(c, name) {
			return usagef("--%s is for safetensors: an ONNX model says itself what its network is", name)
		}
	}
	options := onnx.ReadOptions{Name: strings.TrimSuffix(filepath.Base(from), filepath.Ext(from))}
	if text := c.String("input"); text != "" {
		var err error
		if options.Input, err = parseShape(text); err != nil {
			return err
		}
	}
	mean, deviation, err := normalisation(c)
	if err != nil {
		return err
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
		return fmt.Errorf("%w: say it with --input CxHxW, as in --input 3x224x224", err)
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
	checkpoint := &net.Checkpoint{Network: model.Network, Recipe: recipe.Recipe, Device: importedDevice, Train: net.DatasetID{Name: unknownData}, Subject: subject, State: importedState(plan, recipe.Recipe, model.Weights)}
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
	_, s := unknownSubject()
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
		return nil, fmt.Errorf("%s: %s for %d classes", from, counted(len(names), "name"), classes)
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
