//go:build js && wasm

// Command engine is what computes in an exported page: it prepares pictures and runs the network, both by the code that
// everything else of gputrain uses. It is compiled to WebAssembly, once for all networks.
package main

import (
	"image"
	"syscall/js"

	"github.com/gputrain/gputrain/internal/plain"
	"github.com/gputrain/gputrain/internal/prepare"
	"github.com/gputrain/gputrain/internal/shown"
)

var (
	in      plain.Shape
	steps   []plain.Step
	scale   float32
	network *plain.Network
)

func main() {
	exports := js.Global().Get("Object").New()
	export := func(name string, f func(args []js.Value) (any, error)) {
		exports.Set(name, js.FuncOf(func(_ js.Value, args []js.Value) (result any) {
			defer func() {
				switch r := recover().(type) {
				case nil:
				case error:
					result = map[string]any{"error": r.Error()}
				case string:
					result = map[string]any{"error": r}
				default:
					panic(r)
				}
			}()
			v, err := f(args)
			if err != nil {
				return map[string]any{"error": err.Error()}
			}
			return v
		}))
	}
	// load(model, weights as Uint8Array): the model is what package elsewhere writes as JSON
	export("load", func(args []js.Value) (any, error) {
		in, scale, steps = shapeOf(args[0].Get("In")), float32(args[0].Get("Scale").Float()), nil
		each(args[0].Get("Steps"), func(s js.Value) {
			step := plain.Step{Name: s.Get("Name").String(), Op: s.Get("Op").String(), In: shapeOf(s.Get("In")), Out: shapeOf(s.Get("Out")),
				Groups: s.Get("Groups").Int(), Func: s.Get("Func").String(), Parameter: float32(s.Get("Parameter").Float())}
			each(s.Get("From"), func(v js.Value) { step.From = append(step.From, v.Int()) })
			k := s.Get("Kernel")
			of := func(name string) int { return k.Get(name).Int() }
			step.Kernel = plain.Kernel{H: of("H"), W: of("W"), StrideH: of("StrideH"), StrideW: of("StrideW"),
				DilationH: of("DilationH"), DilationW: of("DilationW"), Top: of("Top"), Left: of("Left")}
			steps = append(steps, step)
		})
		network = plain.New(in, steps, string(bytesOf(args[1])))
		return nil, nil
	})
	// classify(red, green, blue and alpha of each pixel as Uint8Array, width, height, preparation, whether to show layers)
	export("classify", func(args []js.Value) (any, error) {
		img := &image.NRGBA{Pix: bytesOf(args[0]), Stride: 4 * args[1].Int(), Rect: image.Rect(0, 0, args[1].Int(), args[2].Int())}
		return classify(img, args[3].String(), args[4].Bool())
	})
	js.Global().Set("network", exports)
	js.Global().Call("networkReady")
	select {}
}

// bytesOf copies a Uint8Array.
func bytesOf(v js.Value) []byte {
	b := make([]byte, v.Length())
	js.CopyBytesToGo(b, v)
	return b
}

// arrayOf copies bytes to a Uint8Array.
func arrayOf(b []byte) js.Value {
	v := js.Global().Get("Uint8Array").New(len(b))
	js.CopyBytesToJS(v, b)
	return v
}

func each(list js.Value, do func(js.Value)) {
	for i := range list.Length() {
		do(list.Index(i))
	}
}

func shapeOf(v js.Value) plain.Shape {
	return plain.Shape{C: v.Get("C").Int(), H: v.Get("H").Int(), W: v.Get("W").Int()}
}

// classify returns the probabilities of the classes, what the network sees and, with trace, what its layers make of it: as
// serve.Activation tells it, except that data are bytes.
func classify(img image.Image, how string, trace bool) (any, error) {
	pixels := make([]byte, in.C*in.H*in.W)
	if err := prepare.PixelsTo(pixels, img, how, in.C, in.H, in.W); err != nil {
		return nil, err
	}
	values := make([]float32, len(pixels))
	for i, b := range pixels {
		values[i] = float32(b) * scale
	}
	answer := map[string]any{"pixels": arrayOf(pixels)}
	shape := func(c, h, w int) any { return map[string]any{"channels": c, "height": h, "width": w} }
	layer := func(name, kind string, from []int, s plain.Shape, values []float32) any {
		names := []any{}
		for _, k := range from {
			if k < 0 {
				names = append(names, "input")
			} else {
				names = append(names, steps[k].Name)
			}
		}
		v := shown.Of(values, s.C, s.H, s.W)
		return map[string]any{"name": name, "type": kind, "from": names, "shape": shape(s.C, s.H, s.W), "shown": shape(v.C, v.H, v.W),
			"low": v.Low, "high": v.High, "data": arrayOf(v.Data)}
	}
	var probabilities []float32
	if trace {
		layers := []any{}
		probabilities = plain.Trace(network, values, func(i int, output []float32) {
			layers = append(layers, layer(steps[i].Name, steps[i].Op, steps[i].From, steps[i].Out, output))
		})
		answer["input"], answer["layers"] = layer("input", "input", nil, in, values), layers
	} else {
		probabilities = network.Classify(values)
	}
	list := make([]any, len(probabilities))
	for i, p := range probabilities {
		list[i] = p
	}
	answer["probabilities"] = list
	return answer, nil
}
