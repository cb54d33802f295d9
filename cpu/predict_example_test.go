package cpu_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"log"
	"os"
	"path/filepath"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// Example_predict asks a trained network what an image file shows. The network
// comes from a checkpoint, such as gputrain train writes too.
func Example_predict() {
	folder, err := os.MkdirTemp("", "predict")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	trainInto(folder)

	checkpoint, err := net.LoadCheckpoint(filepath.Join(folder, net.LastCheckpoint))
	if err != nil {
		log.Fatal(err)
	}
	device, err := cpu.New(cpu.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer device.Close()
	program, err := device.Compile(checkpoint.Network, net.Options{Batch: 1, Optimizer: checkpoint.Recipe.Optimizer})
	if err != nil {
		log.Fatal(err)
	}
	defer program.Close()
	if err := program.SetState(net.State{Params: checkpoint.State.Params}); err != nil {
		log.Fatal(err)
	}

	img, err := picture.Read(drawnOne())
	if err != nil {
		log.Fatal(err)
	}
	shape := checkpoint.Network.Input
	pixels, err := picture.Auto.Pixels(img, shape)
	if err != nil {
		log.Fatal(err)
	}
	// A data set of one sample, whose label nobody looks at.
	sample := &net.Dataset{Shape: shape, Classes: 10, Pixels: pixels, Scale: 1. / 255, Labels: []int32{0}}
	probabilities, err := program.Infer(net.Batch{Data: sample, Indices: []int32{0}})
	if err != nil {
		log.Fatal(err)
	}
	ranked, err := net.Rank(probabilities.Data().([]float32), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("a %s, surely: %t\n", ranked[0].Class, ranked[0].Probability > 0.8)
	// Output: a 1, surely: true
}

// trainInto trains a network on some of the embedded images and leaves its
// checkpoint in a folder.
func trainInto(folder string) {
	data, err := mnist.Tutorial()
	if err != nil {
		log.Fatal(err)
	}
	device, err := cpu.New(cpu.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer device.Close()
	cfg := net.Config{
		Recipe: net.Recipe{Epochs: 2, Batch: 50, Optimizer: net.AdamDefault(1e-3), Seed: 1},
		Train:  data.Train.Slice(0, 10000),
		Saving: net.Saving{Dir: folder},
	}
	program, err := device.Compile(net.BuiltIn("mlp"), cfg.Options())
	if err != nil {
		log.Fatal(err)
	}
	defer program.Close()
	if _, err := net.Train(context.Background(), program, cfg); err != nil {
		log.Fatal(err)
	}
}

// drawnOne returns a PNG file: a thick black line, down a white sheet.
func drawnOne() *bytes.Buffer {
	sheet := image.NewGray(image.Rect(0, 0, 200, 300))
	draw.Draw(sheet, sheet.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(sheet, image.Rect(90, 40, 112, 260), image.NewUniform(color.Black), image.Point{}, draw.Src)
	var file bytes.Buffer
	if err := png.Encode(&file, sheet); err != nil {
		log.Fatal(err)
	}
	return &file
}
