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
// [net.Inferrer]. about is what the run remembers, Subject of its checkpoint; nil means
// that inputs are bytes divided by 255, prepared as Auto says, and that classes have
// numbers for names. A network whose inputs are no pictures is refused. The caller
// closes the network.
//
// A Classifier is used by one goroutine at a time, as its network is.
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

// PreparationFor returns how a picture becomes a sample for a network about a subject,
// as its training pictures did; Auto where nobody said.
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

// Classify returns the classes of an image with the most probable first. It refuses an
// image in which there is nothing to see.
func (c *Classifier) Classify(img image.Image) ([]net.Ranked, error) {
	answers, err := c.ClassifyAll([]image.Image{img})
	if err != nil {
		return nil, err
	}
	return answers[0], nil
}

// ClassifyAll is Classify for several images, which the network computes together. An
// error names the first image that is refused by its index.
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
