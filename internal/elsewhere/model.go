// Package elsewhere writes trained networks as programs that need nothing of gputrain: a Go package, and a page that
// classifies in the browser.
package elsewhere

import (
	"fmt"
	"image"
	"math/rand/v2"
	"strings"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// Model is a trained network, and what its inputs and answers mean.
type Model struct {
	Plan    *net.Plan
	Weights map[string]*tensor.Dense // the Params of a [net.State]
	Classes []string                 // by label, one each
	Data    string                   // the name of the data that it was trained on
	Epochs  int                      // that it was trained for
	// Prepare says how a picture becomes an input, and Scale what its bytes are multiplied by. Prepare is "" for a network
	// that takes no pictures.
	Prepare picture.Preparation
	Scale   float32
}

// NewModel returns the model of a checkpoint. names are its classes' names; classes without one are called by their
// numbers.
func NewModel(c *net.Checkpoint, names []string) (*Model, error) {
	plan, err := c.Network.Plan()
	if err != nil {
		return nil, err
	}
	m := &Model{Plan: plan, Weights: c.Weights(), Data: strings.TrimSuffix(c.Train.Name, " training"), Epochs: c.Position.Epoch, Scale: 1. / 255}
	if c.Subject != nil {
		m.Data, m.Scale = c.Subject.Data, c.Subject.Scale
	}
	for k := range plan.Classes {
		m.Classes = append(m.Classes, net.ClassName(names, k))
	}
	how, err := picture.PreparationFor(c.Subject)
	if err != nil {
		return nil, err
	}
	if how, err = how.For(c.Network.Input); err == nil && m.Scale != 0 {
		m.Prepare = how
	}
	return m, nil
}

// in returns the shape of the network's input.
func (m *Model) in() net.Shape { return m.Plan.Network.Input }

// called says which network it is.
func (m *Model) called() string {
	name := m.Plan.Network.Name
	if name == "" {
		name = "without a name"
	}
	return strings.Join(strings.Fields(fmt.Sprintf("the network %s, trained on %s for %s", name, m.Data, count(m.Epochs, "epoch"))), " ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Samples returns inputs of the network: the first n of a data set or, if it is nil, noise. For a network that takes
// pictures one more follows: what is made of [bar].
func (m *Model) Samples(d *net.Dataset, n int) ([][]float32, error) {
	size := m.in().Size()
	var out [][]float32
	if d == nil {
		noise := rand.New(rand.NewPCG(1, 1))
		for range n {
			row := make([]float32, size)
			for i := range row {
				row[i] = noise.Float32()
			}
			out = append(out, row)
		}
	} else {
		for i := range int32(min(n, d.Len())) {
			row := make([]float32, size)
			if d.Pixels == nil {
				copy(row, d.Values[d.Row(i)*size:])
			} else {
				for k, b := range d.Pixels[d.Row(i)*size:][:size] {
					row[k] = float32(b) * d.Scale
				}
			}
			out = append(out, row)
		}
	}
	if m.Prepare == "" {
		return out, nil
	}
	pixels, err := m.Prepare.Pixels(bar(m.in().W, m.in().H), m.in())
	if err != nil {
		return nil, err
	}
	row := make([]float32, size)
	for k, b := range pixels {
		row[k] = float32(b) * m.Scale
	}
	return append(out, row), nil
}

// bar is a dark bar on white, twice as wide and three times as high as a network's input. The test of an exported package
// draws it too.
func bar(width, height int) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, 2*width, 3*height))
	for i := range img.Pix {
		img.Pix[i] = 255
		if x, y := i/4%(2*width), i/4/(2*width); i%4 < 3 && x > width/2 && x < width && y > height && y < 2*height {
			img.Pix[i] = 20
		}
	}
	return img
}
