package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/internal/regularfile"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// unknownData is what an imported network was trained on if nobody says.
const unknownData = "unknown data of another program"

// importedNames returns the tensors' names of --name and --map, by parameter.
func importedNames(c *cli.Context) (map[string]string, error) {
	names := map[string]string{}
	if path := c.String("map"); path != "" {
		b, err := regularfile.Read(path)
		if err != nil {
			return nil, fileError(path, err)
		}
		if err := parseNames(b, names); err != nil {
			return nil, fmt.Errorf("%s: %w", quoted(path), err)
		}
	}
	for _, pair := range c.StringSlice("name") {
		parameter, other, ok := strings.Cut(pair, "=")
		if !ok || names[parameter] != "" {
			return nil, usagef("--name: want PARAMETER=TENSOR, once a parameter, as in conv1.weight=layer1_W, got %q", pair)
		}
		names[parameter] = other
	}
	return names, nil
}

// parseNames reads the file of --map: a JSON object, or lines PARAMETER=TENSOR. Lines that
// begin with # are comments.
func parseNames(b []byte, names map[string]string) error {
	text := strings.TrimPrefix(string(b), "\ufeff")
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		if err := json.Unmarshal([]byte(text), &names); err != nil {
			return fmt.Errorf(`want a JSON object of names, {"PARAMETER": "TENSOR"}: %w`, err)
		}
		return nil
	}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parameter, other, ok := strings.Cut(line, "=")
		parameter, other = strings.TrimSpace(parameter), strings.TrimSpace(other)
		if !ok || parameter == "" || other == "" || names[parameter] != "" {
			return fmt.Errorf("line %d: want PARAMETER=TENSOR, once a parameter, got %q", i+1, line)
		}
		names[parameter] = other
	}
	return nil
}

// importedPlan returns the network of the flags as it fits a file of weights, and which
// tensor is which parameter. If data is nil, a built-in model takes images of its usual
// shape, or else of MNIST's, and has as many classes as the file.
func importedPlan(c *cli.Context, file *net.WeightsFile, o net.WeightsOptions, data *dataset) (*net.Plan, *net.Matching, error) {
	name := c.String("model")
	m, builtIn := net.ModelNamed(name)
	if !builtIn && c.IsSet("input") {
		return nil, nil, usagef("--input is for built-in models; %s says itself what it takes", name)
	}
	match := func(input net.Shape, classes int) (*net.Plan, *net.Matching, error) {
		network, err := loadModel(name, input, classes)
		if err != nil {
			return nil, nil, err
		}
		plan, err := network.Plan()
		if err != nil {
			return nil, nil, err
		}
		matching, err := file.Match(plan, o)
		return plan, matching, err
	}
	if data != nil || !builtIn {
		var input net.Shape
		classes := 0
		if data != nil {
			input, classes = data.train.Shape, data.train.Classes
		}
		return match(input, classes)
	}
	shapes := []net.Shape{m.Input}
	if text := c.String("input"); text != "" {
		input, err := parseShape(text)
		if err != nil {
			return nil, nil, err
		}
		shapes[0] = input
	} else if mnist := net.Models()[0].Input; mnist != m.Input {
		shapes = append(shapes, mnist)
	}
	var first error
	for _, input := range shapes {
		network, err := m.Build(input, m.Classes)
		if err != nil {
			first = firstError(first, err)
			continue
		}
		plan, err := network.Plan()
		if err != nil {
			return nil, nil, err
		}
		for _, classes := range file.OutputSizes(plan, o) {
			plan, matching, err := match(input, classes)
			if err == nil {
				return plan, matching, nil
			}
			first = firstError(first, err)
		}
	}
	return nil, nil, first
}

// firstError returns the first error.
func firstError(first, err error) error {
	if first != nil {
		return first
	}
	return err
}

// matchError lists the names that don't fit and returns the error with what to do.
func (a *app) matchError(c *cli.Context, file *net.WeightsFile, o net.WeightsOptions, err error) error {
	var mismatch *net.MismatchError
	if !errors.As(err, &mismatch) {
		return err
	}
	const most = 40
	var titles []string
	for _, l := range mismatch.Lists() {
		titles = append(titles, l.Title)
		fmt.Fprintln(a.err, l.Title+":")
		for _, text := range l.Of[:min(most, len(l.Of))] {
			fmt.Fprintln(a.err, "  "+text)
		}
		if more := len(l.Of) - most; more > 0 {
			fmt.Fprintf(a.err, "  and %d more\n", more)
		}
	}
	advice := "say which tensor is which parameter, with --name PARAMETER=TENSOR or --map FILE, or choose another --model"
	switch other := fittingModel(file, o); {
	case other != "" && other != c.String("model"):
		advice = "they fit --model " + other
	case len(mismatch.Missing)+len(mismatch.Wrong) == 0:
		advice = "if the network is whole without them, --skip-extra leaves them out"
	case len(mismatch.Missing) == 0:
		advice = "choose another --model, --input, --data or --layout"
	case len(mismatch.Extra) == 0:
		advice = "choose another --model"
	}
	return fmt.Errorf("weights %s: %w: network %s has %d parameters; %s, listed above; %s", mismatch.Path, net.ErrWeights, mismatch.Network, mismatch.Params, strings.Join(titles, ", "), advice)
}

// fittingModel returns the name of a built-in model that the file fits for its usual
// input, or "".
func fittingModel(file *net.WeightsFile, o net.WeightsOptions) string {
	for _, m := range net.Models() {
		plan, err := m.Network().Plan()
		if err != nil {
			panic(fmt.Sprintf("BUG: model %s: %v", m.Name, err))
		}
		sizes := file.OutputSizes(plan, o)
		network, err := m.Build(m.Input, sizes[0])
		if err != nil {
			continue
		}
		if plan, err = network.Plan(); err != nil {
			continue
		}
		if _, err := file.Match(plan, o); err == nil {
			return m.Name
		}
	}
	return ""
}

// normalisation returns the values of --mean and --std; nil without them.
func normalisation(c *cli.Context) (mean, deviation []float64, err error) {
	if (c.String("mean") == "") != (c.String("std") == "") {
		return nil, nil, usagef("--mean and --std belong together: a number for each channel, as in --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225")
	}
	for _, flag := range []struct {
		name string
		to   *[]float64
	}{{"mean", &mean}, {"std", &deviation}} {
		for _, text := range strings.Split(c.String(flag.name), ",") {
			if c.String(flag.name) == "" {
				continue
			}
			x, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				return nil, nil, usagef("--%s: want numbers with commas between them, as in 0.485,0.456,0.406, got %q", flag.name, c.String(flag.name))
			}
			*flag.to = append(*flag.to, x)
		}
	}
	return mean, deviation, nil
}

// noteMatching tells how the tensors were recognised, and which were left out.
func (a *app) noteMatching(m *net.Matching) {
	if m.How != "" {
		a.note("the tensors are recognised by " + m.How)
	}
	const most = 10
	for _, left := range []struct {
		what string
		of   []string
	}{{"single values that no parameter can hold", m.Scalars}, {"tensors of no parameter", m.Skipped}} {
		if n := len(left.of); n > 0 {
			text := strings.Join(left.of[:min(most, n)], ", ")
			if n > most {
				text += fmt.Sprintf(" and %d more", n-most)
			}
			a.note("left out, " + left.what + ": " + text)
		}
	}
}

// unknownSubject is what is known of the data of an imported network, if nobody names them.
// Pictures are prepared as usual for the models that others train.
func unknownSubject() (net.DatasetID, *net.Subject) {
	return net.DatasetID{Name: unknownData}, &net.Subject{Data: unknownData, Scale: 1. / 255, Prepare: string(picture.Crop)}
}

// isMNIST reports whether a network takes and gives what the built-in data set has.
func isMNIST(plan *net.Plan) bool {
	m := net.Models()[0]
	return plan.Network.Input == m.Input && plan.Classes == m.Classes
}
