package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
)

// importedDevice is the device's name in checkpoints that were imported.
const importedDevice = "none: imported"

func (a *app) importCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "make a checkpoint of another framework's weights (safetensors)",
		UsageText: "gputrain import [FLAGS] FILE.safetensors",
		Description: `Writes a checkpoint at epoch 0, for eval, predict and export, and to go on
training with train --resume, or with train --from and other settings. The
file's tensors are float32 and have the names of the network's parameters
('gputrain models show MODEL' lists the layers: conv1.weight, conv1.bias, ...);
--name maps others.

From the TensorFlow program of the tutorial, with its variables saved by
  from safetensors.numpy import save_file
  save_file({"layer1_W": w1, "layer1_b": b1, ...}, "tf.safetensors")
  gputrain import tf.safetensors --layout channels-last \
    --name conv1.weight=layer1_W --name conv1.bias=layer1_b \
    --name conv2.weight=layer2_W --name conv2.bias=layer2_b \
    --name dense1.weight=wd1 --name dense1.bias=bd1 \
    --name dense2.weight=wd2 --name dense2.bias=bd2

Examples:
  gputrain import model.safetensors
  gputrain import weights.safetensors --model mine.json --run imported`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "model", Value: net.Models()[0].Name, EnvVars: env("model"), Usage: "the weights' network, `MODEL`: a built-in model's name, or a JSON file"},
			layoutFlag(),
			&cli.StringSliceFlag{Name: "name", EnvVars: env("name"), Category: "Format", Usage: "take a parameter's values from another tensor, `PARAMETER=TENSOR`; may be repeated"},
			&cli.StringFlag{Name: "recipe", Value: net.Recipes()[0].Name, EnvVars: env("recipe"), Usage: "settings for going on, by `NAME`: " + orList(recipeNames())},
			dataFlag(),
			newRunFlag(""),
			&cli.BoolFlag{Name: "json", EnvVars: env("json"), Usage: "print one JSON object"},
		},
		Action: a.importWeights,
	}
}

func (a *app) importWeights(c *cli.Context) (err error) {
	if c.NArg() != 1 {
		return usagef("import takes one argument, a safetensors file; %s", helpHint(c))
	}
	if err := choose("layout", c.String("layout"), layoutNames()); err != nil {
		return err
	}
	recipe, ok := net.RecipeNamed(c.String("recipe"))
	if !ok {
		return choose("recipe", c.String("recipe"), recipeNames())
	}
	names := map[string]string{}
	for _, pair := range c.StringSlice("name") {
		parameter, other, ok := strings.Cut(pair, "=")
		if !ok || names[parameter] != "" {
			return usagef("--name: want PARAMETER=TENSOR, once a parameter, as in conv1.weight=layer1_W, got %q", pair)
		}
		names[parameter] = other
	}
	data, err := a.loadData(c, dataWish{seed: recipe.Seed})
	if err != nil {
		return err
	}
	network, err := loadModel(c.String("model"), data.train.Shape, data.train.Classes)
	if err != nil {
		return err
	}
	plan, err := network.Plan()
	if err != nil {
		return err
	}
	from := c.Args().First()
	weights, err := net.LoadWeights(from, plan, net.Layout(c.String("layout")), names)
	if err != nil {
		return err
	}
	if err := checkFit(plan, data); err != nil {
		return err
	}
	// A state as at the beginning of a run, but with other weights.
	state := net.State{Params: weights, Optimizer: map[string]*tensor.Dense{}}
	for _, p := range plan.Trained() {
		for _, moment := range recipe.Optimizer.Moments() {
			state.Optimizer[p.Name+"."+moment] = tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(p.Dims...))
		}
	}
	validation := data.validation.ID()
	checkpoint := &net.Checkpoint{Network: network, Recipe: recipe.Recipe, Device: importedDevice, Train: data.train.ID(),
		Validation: &validation, Subject: data.subject(0), State: state}
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
	return a.tellExported(c, exported{File: path, Format: formatCheckpoint, From: from, Network: network.Name, Weights: plan.Weights(), Bytes: info.Size()})
}
