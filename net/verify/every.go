package verify

import "github.com/gputrain/gputrain/net"

// EveryKind returns a small network with every kind of layer and every activation
// function, for images of any shape. Every device must compute it correctly.
func EveryKind(in net.Shape, classes int) *net.Network {
	n := &net.Network{Name: "every-kind", Input: in, Layers: []net.Layer{
		&net.Conv{Name: "stem", Filters: 8, Kernel: net.Square(3), Stride: net.Square(2), Padding: net.PadSame},
		&net.BatchNorm{Name: "norm"},
	}}
	add := func(l ...net.Layer) { n.Layers = append(n.Layers, l...) }
	var functions net.From
	for _, f := range net.Functions() {
		name := "f_" + string(f.Name)
		functions = append(functions, name)
		add(&net.Activation{Name: name, From: net.From{"norm"}, Func: f.Name})
	}
	add(
		&net.Concat{Name: "functions", From: functions},
		&net.Conv{Name: "grouped", Filters: 12, Kernel: net.Square(3), Padding: net.PadSame, Groups: 4, NoBias: true},
		&net.Pool{Name: "max", Kernel: net.Square(3), Stride: net.Square(2), Padding: net.PadSame},
		&net.Conv{Name: "depthwise", Filters: 12, Kernel: net.Square(3), Padding: net.PadSame, Groups: 12},
		&net.Add{Name: "residual", From: net.From{"depthwise", "max"}},
		&net.Pool{Name: "mean", Mode: net.MeanPool, Global: true},
		&net.Dense{Name: "squeeze", Units: 12},
		&net.Activation{Name: "gate", Func: net.Sigmoid},
		&net.Multiply{Name: "gated", From: net.From{"residual", "gate"}},
		&net.Multiply{Name: "square", From: net.From{"gated", "gated"}},
		&net.Scale{Name: "half", Factor: 0.5},
		&net.Dropout{Name: "drop", Rate: 0.25},
		&net.Pool{Name: "norm2", Mode: net.L2Pool, Kernel: net.Square(2), Padding: net.PadSame},
		&net.Flatten{Name: "flat"},
		&net.Dense{Name: "logits", Units: classes},
	)
	return n
}
