package main

import (
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"
	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
)

// importedDevice is the device's name in checkpoints that were imported.
const importedDevice = "none: imported"

func (a *app) importCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "make a run of another program's network or weights",
		UsageText: "gputrain import [FLAGS] FILE.onnx|FILE.safetensors",
		Description: `Writes a checkpoint at epoch 0, for eval, predict, serve and export, and to
train on: train --from RUN --data FOLDER.

An ONNX model is a network with its weights: an image classifier of PyTorch,
Keras or others. Its operators become layers that compute the same. If one
can't, a line names it and says why; --explain lists all such.

A safetensors file holds weights alone, of the network that --model names. Its
tensors are float32, float16, bfloat16 or float64, and recognised by
  - the names of the network's parameters ('gputrain models show MODEL' lists
    the layers: conv1.weight, conv1.bias, ...), or torchvision's and timm's for
    the built-in models that they have too, or Keras's kernel, gamma and so on
  - these behind a prefix, such as module. or backbone.
  - the numbers of PyTorch's Sequential, or dimensions, if they fit in one way
  - --name and --map, which come first
Counters and single values are left out. What doesn't fit is listed. Without
--data, a built-in model has its usual input and the file's classes.

Most networks for photographs want normalised images. --mean and --std add a
layer that normalises, so the network takes images as they are:
  safetensors.torch.save_file(model.state_dict(), "resnet18.safetensors")
  gputrain import resnet18.safetensors --model resnet18 \
    --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225

From the TensorFlow program of the tutorial, with its variables saved by
  from safetensors.numpy import save_file
  save_file({"layer1_W": w1, "layer1_b": b1, ...}, "tf.safetensors")
  gputrain import tf.safetensors --layout channels-last \
    --name conv1.weight=layer1_W --name conv1.bias=layer1_b \
    --name conv2.weight=layer2_W --name conv2.bias=layer2_b \
    --name dense1.weight=wd1 --name dense1.bias=bd1 \
    --name dense2.weight=wd2 --name dense2.bias=bd2

Examples:
  gputrain import model.onnx --run pretrained
  gputrain import model.onnx --explain
  gputrain import model.safetensors
  gputrain import squeezenet.safetensors --model squeezenet --run squeezed
  gputrain import model.safetensors --map names.txt --skip-extra
  gputrain import weights.safetensors --model mine.json --run imported`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "model", Value: net.Models()[0].Name, EnvVars: env("model"), Usage: "the weights' network, `MODEL`: a built-in model's name, or a JSON file"},
			layoutFlag(),
			&cli.StringSliceFlag{Name: "name", EnvVars: env("name"), Category: "Format", Usage: "take a parameter's values from another tensor, `PARAMETER=TENSOR`; may be repeated"},
			&cli.StringFlag{Name: "map", EnvVars: env("map"), Category: "Format", Usage: "take the pairs of --name from `FILE`: lines PARAMETER=TENSOR, or a JSON object"},
			&cli.BoolFlag{Name: "skip-extra", EnvVars: env("skip-extra"), Category: "Format", Usage: "leave out tensors that belong to no parameter"},
			&cli.StringFlag{Name: "mean", EnvVars: env("mean"), Category: "Input", Usage: "the weights want inputs from which `MEANS` are subtracted, M,M,M, a number a channel"},
			&cli.StringFlag{Name: "std", EnvVars: env("std"), Category: "Input", Usage: "the weights want inputs that are divided by `DEVIATIONS`, after --mean"},
			&cli.StringFlag{Name: "input", EnvVars: env("input"), Category: "Input", DefaultText: "the data's, or the model's usual", Usage: "build a built-in model, or an ONNX model that takes any size, for images of `CxHxW`: channels, rows, columns"},
			&cli.StringFlag{Name: "recipe", Value: net.Recipes()[0].Name, EnvVars: env("recipe"), Usage: "settings for going on, by `NAME`: " + orList(recipeNames())},
			dataFlag(),
			newRunFlag(""),
			&cli.BoolFlag{Name: "json", EnvVars: env("json"), Usage: "print one JSON object"},
		}, importONNXFlags()...),
		Action: a.importWeights,
	}
}

func (a *app) importWeights(c *cli.Context) (err error) {
	if c.NArg() != 1 {
		return usagef("import takes one argument, an ONNX model or a safetensors file; %s", helpHint(c))
	}
	from := c.Args().First()
	if isONNX(from) {
		return a.importONNX(c, from)
	}
	for _, flag := range importONNXFlags() {
		if name := flag.Names()[0]; a.given(c, name) {
			return usagef("--%s is for ONNX models, whose files end in .%s", name, formatONNX)
		}
	}
	if err := choose("layout", c.String("layout"), layoutNames()); err != nil {
		return err
	}
	recipe, ok := net.RecipeNamed(c.String("recipe"))
	if !ok {
		return choose("recipe", c.String("recipe"), recipeNames())
	}
	names, err := importedNames(c)
	if err != nil {
		return err
	}
	mean, deviation, err := normalisation(c)
	if err != nil {
		return err
	}
	file, err := net.OpenWeights(from)
	if err != nil {
		return err
	}
	var data *dataset // nil: nobody says what the network was trained on
	if c.IsSet("data") {
		if data, err = a.loadData(c, dataWish{seed: recipe.Seed}); err != nil {
			return err
		}
	}
	options := net.WeightsOptions{Layout: net.Layout(c.String("layout")), Names: names, SkipExtra: c.Bool("skip-extra")}
	plan, matching, err := importedPlan(c, file, options, data)
	if err != nil {
		return a.matchError(c, file, options, err)
	}
	if data == nil && isMNIST(plan) {
		if data, err = a.loadData(c, dataWish{seed: recipe.Seed}); err != nil {
			return err
		}
	}
	if data != nil {
		if err := checkFit(plan, data); err != nil {
			return err
		}
	}
	weights, err := file.Weights(plan, matching)
	if err != nil {
		return err
	}
	network := plan.Network
	if mean != nil {
		if network, weights, err = net.Normalize(network, weights, mean, deviation); err != nil {
			return err
		}
		if plan, err = network.Plan(); err != nil {
			return err
		}
	}
	a.noteMatching(matching)
	checkpoint := &net.Checkpoint{Network: network, Recipe: recipe.Recipe, Device: importedDevice, State: importedState(plan, recipe.Recipe, weights)}
	if checkpoint.Train, checkpoint.Subject = unknownSubject(); data != nil {
		validation := data.validation.ID()
		checkpoint.Train, checkpoint.Validation, checkpoint.Subject = data.train.ID(), &validation, data.subject(0)
	}
	return a.writeImported(c, checkpoint, from)
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
	return a.tellExported(c, exported{File: path, Format: formatCheckpoint, From: from, Network: checkpoint.Network.Name, Weights: plan.Parameters(), Bytes: info.Size()})
}
