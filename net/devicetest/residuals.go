package devicetest

import "github.com/gputrain/gputrain/net"

// Residuals returns a network of blocks such as those of residual networks. In it a sum and a rectifier follow a normalisation
// in every way they can, and one group of layers takes some values twice. The convolutions have the given number of filters.
func Residuals(input net.Shape, filters int) *net.Network {
	conv := func(name string, from ...string) net.Layer {
		return &net.Conv{Name: name, From: from, Filters: filters, Kernel: net.Square(3), Padding: net.PadSame, NoBias: true}
	}
	norm := func(name string, frozen ...net.Role) net.Layer {
		return &net.BatchNorm{Name: name, Frozen: net.Frozen{Roles: frozen}}
	}
	rectifier := func(name string, f net.ActivationFunc) net.Layer { return &net.Activation{Name: name, Func: f} }
	sum := func(name string, from ...string) net.Layer { return &net.Add{Name: name, From: from} }
	return &net.Network{Name: "residuals", Input: input, Layers: []net.Layer{
		conv("a"), norm("an"), rectifier("ar", net.ReLU),
		conv("b"), norm("bn"), rectifier("br", net.ReLU6),
		conv("c"), norm("cn", net.Weight), sum("cs", "cn", "ar"), rectifier("cr", net.ReLU),
		norm("dn"), sum("ds", "dn", "cr"), rectifier("dr", net.ReLU), // one value, normalised and as it is
		conv("e"), sum("es", "e", "dr"), rectifier("er", net.ReLU),
		sum("fs", "er", "er"), rectifier("fr", net.ReLU),
		conv("g", "input"), norm("gn"), sum("gs", "gn", "fr"), rectifier("gr", net.ReLU6),
		&net.BatchNorm{Name: "hn", From: net.From{"input"}, Frozen: net.Frozen{All: true}},
		&net.Conv{Name: "h", Filters: filters, Kernel: net.Square(1)}, &net.Add{Name: "hs", From: net.From{"gr", "h", "ar"}}, rectifier("hr", net.ReLU),
		norm("in"), sum("is", "in", "hr"), &net.Pool{Mode: net.MeanPool, Global: true}, &net.Flatten{}, &net.Dense{Units: 4},
	}}
}
