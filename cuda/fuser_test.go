package cuda_test

import (
	"fmt"
	"testing"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/lower"
)

func TestFuser(t *testing.T) {
	relu := &net.Activation{Func: net.ReLU}
	conv := &net.Conv{Filters: 3, Kernel: net.Square(3)}
	halving := &net.Pool{Kernel: net.Square(2)}
	norm := &net.BatchNorm{}
	for name, c := range map[string]struct {
		layers []net.Layer
		want   string // the first group's nodes
	}{
		"convolution":              {[]net.Layer{conv, halving}, "[0]"},
		"and ReLU":                 {[]net.Layer{conv, relu}, "[0 1]"},
		"and pooling":              {[]net.Layer{conv, relu, halving}, "[0 1 2]"},
		"without a bias":           {[]net.Layer{&net.Conv{Filters: 3, Kernel: net.Square(3), NoBias: true}, relu, halving}, "[0]"},
		"in groups":                {[]net.Layer{&net.Conv{Filters: 4, Groups: 2, Kernel: net.Square(3)}, relu, halving}, "[0 1 2]"},
		"with a frozen bias":       {[]net.Layer{&net.Conv{Filters: 3, Kernel: net.Square(3), Frozen: net.Frozen{All: true}}, relu}, "[0 1]"},
		"another function":         {[]net.Layer{conv, &net.Activation{Func: net.Tanh}}, "[0]"},
		"means":                    {[]net.Layer{conv, relu, &net.Pool{Mode: net.MeanPool, Kernel: net.Square(2)}}, "[0 1]"},
		"larger blocks":            {[]net.Layer{conv, relu, &net.Pool{Kernel: net.Square(3), Stride: net.Square(2)}}, "[0 1]"},
		"blocks that overlap":      {[]net.Layer{conv, relu, &net.Pool{Kernel: net.Square(2), Stride: net.Square(1)}}, "[0 1]"},
		"padding before":           {[]net.Layer{conv, relu, &net.Pool{Kernel: net.Square(2), Padding: net.Pad(1, 0, 0, 0)}}, "[0 1]"},
		"padding behind":           {[]net.Layer{conv, relu, &net.Pool{Kernel: net.Square(2), Padding: net.Pad(0, 1, 0, 1)}}, "[0 1 2]"},
		"fully connected":          {[]net.Layer{&net.Flatten{}, &net.Dense{Units: 3}, relu}, "[1 2]"},
		"the same without a bias":  {[]net.Layer{&net.Flatten{}, &net.Dense{Units: 3, NoBias: true}, relu}, "[1]"},
		"what is taken twice":      {[]net.Layer{conv, relu, &net.Add{From: net.From{"conv1", "relu1"}}}, "[0]"},
		"normalisation":            {[]net.Layer{norm, relu}, "[0 1]"},
		"and another function":     {[]net.Layer{norm, &net.Activation{Func: net.Tanh}}, "[0]"},
		"and a sum":                {[]net.Layer{norm, &net.Add{From: net.From{"batchnorm1", "input"}}, relu}, "[0 1 2]"},
		"and a sum of three":       {[]net.Layer{norm, &net.Add{From: net.From{"batchnorm1", "input", "input"}}, relu}, "[0]"},
		"a sum":                    {[]net.Layer{&net.Add{From: net.From{"input", "input"}}, relu}, "[0 1]"},
		"a sum of three":           {[]net.Layer{&net.Add{From: net.From{"input", "input", "input"}}, relu}, "[0]"},
		"a ReLU that is taken too": {[]net.Layer{conv, relu, halving, &net.Pool{From: net.From{"relu1"}, Kernel: net.Square(2)}, &net.Add{From: net.From{"pool1", "pool2"}}}, "[0 1]"},
	} {
		n := &net.Network{Input: net.Shape{C: 2, H: 8, W: 8}, Layers: append(c.layers, &net.Flatten{}, &net.Dense{Units: 2})}
		plan, err := n.Plan()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := fmt.Sprint(lower.Lower(plan, cuda.Fuser{}).Groups[0].Nodes); got != c.want {
			t.Errorf("%s: the first group is %s, want %s", name, got, c.want)
		}
	}
}
