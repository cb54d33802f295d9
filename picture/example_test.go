package picture_test

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"log"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
	"github.com/gputrain/gputrain/picture"
)

// Ask a network what an image shows. The checkpoint would be net.LoadCheckpoint of a
// run, and the network cpu.NewInferrer of it, or checkpoint.Compile on another device.
func ExampleClassifier() {
	checkpoint := dayOrNight()
	network, err := checkpoint.Compile(reference.New(), 1)
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()
	classifier, err := picture.NewClassifier(network, checkpoint.Subject)
	if err != nil {
		log.Fatal(err)
	}

	sky := image.NewGray(image.Rect(0, 0, 300, 200))
	draw.Draw(sky, sky.Rect, image.NewUniform(color.Gray{230}), image.Point{}, draw.Src)
	classes, err := classifier.Classify(sky)
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range classes {
		fmt.Printf("%s %.2f\n", c.Class, c.Probability)
	}
	// Output:
	// day 0.98
	// night 0.02
}

// dayOrNight is a checkpoint of a network that knows bright from dark.
func dayOrNight() *net.Checkpoint {
	constant := func(v float64) net.Initializer { return net.Initializer{Method: net.Constant, Value: v} }
	network := &net.Network{Input: net.Shape{C: 1, H: 4, W: 4}, Layers: []net.Layer{
		&net.Pool{Name: "mean", Mode: net.MeanPool, Global: true},
		&net.Dense{Name: "bright", From: net.From{"mean"}, Units: 1, WeightInit: constant(10), BiasInit: constant(-5)},
		&net.Dense{Name: "dark", From: net.From{"mean"}, Units: 1, WeightInit: constant(0)},
		&net.Concat{From: net.From{"bright", "dark"}},
	}}
	plan, err := network.Plan()
	if err != nil {
		log.Fatal(err)
	}
	return &net.Checkpoint{
		Network: network, Recipe: net.Recipe{Batch: 1}, State: net.InitialState(plan, 1, nil),
		Subject: &net.Subject{Data: "skies", ClassNames: []string{"day", "night"}, Scale: 1. / 255, Prepare: string(picture.Crop)},
	}
}
