package lockstep

import "github.com/gputrain/gputrain/net"

// Everything returns a network with all that depends on a sample's place or on the whole
// mini-batch.
func Everything() *net.Network {
	return &net.Network{Name: "everything", Input: net.Shape{C: 3, H: 8, W: 8}, Layers: []net.Layer{
		&net.Conv{Name: "stem", Filters: 6, Kernel: net.Square(3), Padding: net.PadSame},
		&net.BatchNorm{}, &net.Activation{Func: net.ReLU},
		&net.Conv{Filters: 6, Kernel: net.Square(3), Padding: net.PadSame},
		&net.BatchNorm{Name: "norm"},
		&net.Add{From: net.From{"norm", "stem"}}, &net.Activation{Func: net.ReLU},
		&net.Dropout{Rate: 0.2}, &net.Pool{Kernel: net.Square(2)},
		&net.Flatten{}, &net.Dropout{Rate: 0.3}, &net.Dense{Units: 5},
	}}
}
