package net

import (
	"fmt"
	"maps"

	"gorgonia.org/tensor"
)

// normalizeLayer is the name of the layer that Normalize adds.
const normalizeLayer = "normalize"

// Normalize returns a network that first computes (x - mean[c]) / deviation[c] of each
// value x of channel c of its input, and then all that n computes. So it takes inputs as
// they are, where n takes them normalised, as many programs for PyTorch make them. It also
// returns weights with the new layer's parameters added; n and weights stay as they are.
//
// The layer is a convolution of one pixel for each channel, which comes before any padding
// and doesn't learn. mean and deviation have a value for each channel of the input.
func Normalize(n *Network, weights map[string]*tensor.Dense, mean, deviation []float64) (*Network, map[string]*tensor.Dense, error) {
	channels := n.Input.C
	if len(mean) != channels || len(deviation) != channels {
		return nil, nil, fmt.Errorf("normalisation by %d means and %d deviations: want one for each of the %d channels", len(mean), len(deviation), channels)
	}
	scale, shift := make([]float32, channels), make([]float32, channels)
	for c := range channels {
		scale[c], shift[c] = float32(1/deviation[c]), float32(-mean[c]/deviation[c])
		if !(deviation[c] > 0) || scale[c]-scale[c] != 0 || shift[c]-shift[c] != 0 {
			return nil, nil, fmt.Errorf("normalisation by the mean %v and the deviation %v: want finite numbers, and a deviation above 0", mean[c], deviation[c])
		}
	}
	plan, err := n.Plan()
	if err != nil {
		return nil, nil, err
	}
	for _, node := range plan.Nodes {
		if node.Name == normalizeLayer {
			return nil, nil, fmt.Errorf("network %s already has a layer %s", n.Name, normalizeLayer)
		}
	}
	file, layers, err := plan.describe(func(node int) string {
		if node == NetworkInput {
			return normalizeLayer
		}
		return plan.Nodes[node].Name
	})
	if err != nil {
		return nil, nil, err
	}
	layer := map[string]any{"type": "conv", "name": normalizeLayer, "filters": channels, "kernel": 1, "groups": channels, "frozen": alwaysFrozen}
	out, err := file.parse(append([]map[string]any{layer}, layers...))
	if err != nil {
		return nil, nil, err
	}
	all := maps.Clone(weights)
	all[normalizeLayer+".weight"] = tensor.New(tensor.WithShape(channels, 1, 1, 1), tensor.WithBacking(scale))
	all[normalizeLayer+".bias"] = tensor.New(tensor.WithShape(channels), tensor.WithBacking(shift))
	return out, all, nil
}
