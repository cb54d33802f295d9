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
	network, err := cpu.NewInferrer(checkpoint, 1, cpu.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()
	classifier, err := picture.NewClassifier(network, checkpoint.Subject)
	if err != nil {
		log.Fatal(err)
	}

	img, err := picture.Read(drawnOne()) // or any image.Image
	if err != nil {
		log.Fatal(err)
	}
	classes, err := classifier.Classify(img)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, surely: %t\n", classes[0].Class, classes[0].Probability > 0.8)
	// Output: one, surely: true
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
		Subject: &net.Subject{ // what a Classifier is to know
			Data: "MNIST", Prepare: string(picture.Digit), Scale: data.Train.Scale,
			ClassNames: []string{"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"},
		},
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
