package picture

import (
	"fmt"
	"image"

	"github.com/gputrain/gputrain/net"
)

// Classifier asks a network what images show. It prepares them as the network's
// training pictures were prepared.
type Classifier struct {
	network net.Inferrer
	how     Preparation
	scale   float32
	names   []string
}

// NewClassifier returns a Classifier for a network: a [net.Program] or another
// [net.Inferrer]. about is the Subject of the network's checkpoint. If it is nil, inputs
// are bytes divided by 255, prepared by Auto, and classes are named by their numbers. A
// network whose inputs are no pictures gives an error. The caller closes the network.
//
// Only one goroutine at a time may use a Classifier and its network.
func NewClassifier(network net.Inferrer, about *net.Subject) (*Classifier, error) {
	c := &Classifier{network: network, how: Auto, scale: 1. / 255}
	if about != nil {
		if c.scale, c.names = about.Scale, about.ClassNames; c.scale == 0 {
			return nil, fmt.Errorf("the network was trained on %s, whose values are no bytes: nobody knows how pictures become such values", about.Data)
		}
	}
	var err error
	if c.how, err = PreparationFor(about); err != nil {
		return nil, err
	}
	if c.how, err = c.how.For(network.Plan().Network.Input); err != nil {
		return nil, err
	}
	return c, nil
}

// PreparationFor returns how the training pictures of a network were prepared, as its
// subject says. It returns Auto if about is nil or doesn't say.
func PreparationFor(about *net.Subject) (Preparation, error) {
	if about == nil || about.Prepare == "" {
		return Auto, nil
	}
	p, err := ParsePreparation(about.Prepare)
	if err != nil {
		return "", fmt.Errorf("the checkpoint's subject: %w", err)
	}
	return p, nil
}

// Classify returns the classes of an image, the most probable first. An image in which
// there is nothing to see gives an error.
func (c *Classifier) Classify(img image.Image) ([]net.Ranked, error) {
	answers, err := c.ClassifyAll([]image.Image{img})
	if err != nil {
		return nil, err
	}
	return answers[0], nil
}

// ClassifyAll is Classify for several images, which the network computes together. It
// stops at the first image with an error. If there are several images, the error tells its
// index.
func (c *Classifier) ClassifyAll(images []image.Image) ([][]net.Ranked, error) {
	if len(images) == 0 {
		return nil, nil
	}
	plan := c.network.Plan()
	d := &net.Dataset{Name: "images", Shape: plan.Network.Input, Classes: plan.Classes, Scale: c.scale, Labels: make([]int32, len(images))}
	d.Pixels = make([]uint8, len(images)*d.Shape.Size())
	indices := make([]int32, len(images))
	for i, img := range images {
		if err := c.how.PixelsTo(d.Pixels[i*d.Shape.Size():][:d.Shape.Size()], img, d.Shape); err != nil {
			if len(images) > 1 {
				err = fmt.Errorf("image %d: %w", i, err)
			}
			return nil, err
		}
		indices[i] = int32(i)
	}
	rows, err := net.Probabilities(c.network, net.Batch{Data: d, Indices: indices})
	if err != nil {
		return nil, err
	}
	answers := make([][]net.Ranked, len(rows))
	for i, row := range rows {
		if answers[i], err = net.Rank(row, c.names); err != nil {
			return nil, err
		}
	}
	return answers, nil
}
