package bench

import (
	"math/rand/v2"

	"github.com/gputrain/gputrain/net"
)

// randomSamples returns so many images of random bytes with random labels for a network. The seed decides all of them.
// How long a step takes doesn't depend on what images show.
func randomSamples(plan *net.Plan, seed uint64, samples int) *net.Dataset {
	in := plan.Network.Input
	d := &net.Dataset{Name: "random images", Shape: in, Classes: plan.Classes, Scale: 1. / 255,
		Pixels: make([]uint8, samples*in.Size()), Labels: make([]int32, samples)}
	random := rand.NewPCG(seed, 0)
	for i := 0; i < len(d.Pixels); i += 8 {
		bits := random.Uint64()
		for k := i; k < min(i+8, len(d.Pixels)); k++ {
			d.Pixels[k] = uint8(bits)
			bits >>= 8
		}
	}
	labels := rand.New(random)
	for i := range d.Labels {
		d.Labels[i] = int32(labels.IntN(plan.Classes))
	}
	return d
}

// fits reports whether a data set has samples for a network.
func fits(data *net.Dataset, plan *net.Plan) bool {
	return data.Shape == plan.Network.Input && data.Classes <= plan.Classes
}

// withoutDropout returns the network with the rate of every dropout 0, and whether that changed it.
func withoutDropout(n *net.Network) (*net.Network, bool) {
	out, changed := *n, false
	out.Layers = append([]net.Layer(nil), n.Layers...)
	for i, l := range out.Layers {
		if d, ok := l.(*net.Dropout); ok && d.Rate > 0 {
			still := *d
			still.Rate, changed = 0, true
			out.Layers[i] = &still
		}
	}
	return &out, changed
}
