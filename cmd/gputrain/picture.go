package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gputrain/gputrain/net"
)

// drawPixels draws a network's input as text, with two rows of pixels in a line
// by half blocks. If the stream shows colours, it draws greys or colours,
// otherwise black and white. An image that is wider than half of the stream is
// drawn smaller.
func drawPixels(q question, shape net.Shape, s *stream) []string {
	sample := brightness(q, shape)
	step := 1
	for shape.W/step > max(1, s.width()/2) {
		step++
	}
	at := func(channel, y, x int) float64 {
		if y >= shape.H {
			return 0
		}
		return sample[(channel*shape.H+y)*shape.W+x]
	}
	var lines []string
	for y := 0; y < shape.H; y += 2 * step {
		var b strings.Builder
		for x := 0; x+step <= shape.W; x += step {
			if s.colour {
				fmt.Fprintf(&b, "\x1b[38;5;%d;48;5;%dm▀", paletteColour(at, shape.C, y, x), paletteColour(at, shape.C, y+step, x))
				continue
			}
			upper, lower := at(0, y, x) >= 0.5, at(0, y+step, x) >= 0.5
			b.WriteString(map[[2]bool]string{{true, true}: "█", {true, false}: "▀", {false, true}: "▄", {false, false}: " "}[[2]bool{upper, lower}])
		}
		if s.colour {
			b.WriteString("\x1b[0m")
		}
		lines = append(lines, b.String())
	}
	return lines
}

// paletteColour returns a pixel's colour in the palette of 256 colours that
// terminals have. From 16 on it is a cube with six levels for each channel, and
// from 232 on it has 24 greys.
func paletteColour(at func(channel, y, x int) float64, channels, y, x int) int {
	level := func(channel, levels int) int { return int(math.Round(at(channel, y, x) * float64(levels-1))) }
	if channels == 3 {
		return 16 + 36*level(0, 6) + 6*level(1, 6) + level(2, 6)
	}
	return 232 + level(0, 24)
}

// brightness returns an image's values from 0 to 1. Values that aren't pixels
// are scaled from their own range.
func brightness(q question, shape net.Shape) []float64 {
	out := make([]float64, shape.Size())
	if q.values == nil {
		for i, v := range q.pixels {
			out[i] = float64(v) / 255
		}
		return out
	}
	lo, hi := slices.Min(q.values), slices.Max(q.values)
	for i, v := range q.values {
		if hi > lo {
			out[i] = float64(v-lo) / float64(hi-lo)
		}
	}
	return out
}
