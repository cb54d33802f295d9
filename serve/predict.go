package serve

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"

	"golang.org/x/sync/semaphore"

	"github.com/gputrain/gputrain/internal/shown"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// Predictions is the answer of POST /v1/predict.
type Predictions struct {
	Model       string       `json:"model"`       // Model.ID of the network that answered
	Predictions []Prediction `json:"predictions"` // one an image, in their order
}

// Prediction is the network's answer for one image.
type Prediction struct {
	Image   string       `json:"image,omitempty"` // the file's name, where it has one
	Classes []net.Ranked `json:"classes"`         // the most probable first
	Seen    string       `json:"seen,omitempty"`  // what the network sees of an image file, as a PNG file in a data URI; only with ?seen=true
}

// Activations is the answer of POST /v1/activations: the output of each layer for one
// image.
type Activations struct {
	Model   string       `json:"model"`
	Classes []net.Ranked `json:"classes"`
	Input   Activation   `json:"input"`          // what the network sees
	Layers  []Activation `json:"layers"`         // the layers' outputs. Layers whose output isn't kept in memory, or is that of the layer before, are left out
	Seen    string       `json:"seen,omitempty"` // as in Prediction
}

// Activation is a layer's output. It shows at most 64 channels of at most 64 x 64 values.
// Of larger channels it shows every n-th row and column, with the least n that is enough.
// Of a layer with one value in each channel it shows at most 4096 values.
type Activation struct {
	Name  string    `json:"name"`
	Type  string    `json:"type"`
	From  []string  `json:"from"`  // the layers that it is computed from, as far as they are in the answer; "input" is the image. Input itself has none
	Shape net.Shape `json:"shape"` // shape of the whole output
	Shown net.Shape `json:"shown"` // shape of the values that are shown
	Low   float64   `json:"low"`   // the value that a byte of 0 stands for
	High  float64   `json:"high"`  // the value that a byte of 255 stands for
	Data  string    `json:"data"`  // a byte for each value, by channel, row and column, in base64
}

// asked is a request that has been read and answered.
type asked struct {
	model   *Model
	samples *samples
	query   query
	answer  answer
	plan    *net.Plan
}

// ask reads a request, asks the network, and calls write to write the answer.
func (s *Server) ask(w http.ResponseWriter, r *http.Request, images int, trace bool, write func(*asked) error) error {
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	b, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	defer b.release()
	ctx, cancel := context.WithTimeout(r.Context(), s.options.Timeout)
	defer cancel()
	m := s.use()
	defer s.giveBack(m)
	if trace && !m.Activations {
		return problemf(http.StatusNotFound, "this server does not show activations")
	}
	entry := s.queue.announce()
	defer entry.withdraw()
	if q.prepare == picture.Auto {
		q.prepare = m.subject.prepare
	}
	d := decoder{in: m.Input, prepare: q.prepare, scale: m.subject.scale, maxImages: images, maxPixels: s.options.MaxPixels, pixelsFor: s.pixelsFor}
	a := asked{model: &m.Model, query: q, plan: m.plan}
	if a.samples, err = d.decode(ctx, r.Header.Get("Content-Type"), b.bytes); err != nil {
		return err
	}
	b.release()
	if a.answer, err = entry.ask(ctx, m, a.samples.values, a.samples.n, trace); err != nil {
		return err
	}
	return write(&a)
}

// pixelsFor returns the budget that an image's pixels are taken from while it is being
// decoded. Small images have one of their own, so that large ones, which take long
// and wait for each other, don't keep them waiting.
func (s *Server) pixelsFor(pixels int) *semaphore.Weighted {
	if pixels <= s.options.MaxPixels/16 {
		return s.small
	}
	return s.large
}

// ranked orders the classes of an answer's row.
func (a *asked) ranked(row int) ([]net.Ranked, error) {
	classes, err := net.Rank(a.answer.rows[row], a.model.Classes)
	if err == nil && a.query.top > 0 {
		classes = classes[:min(a.query.top, len(classes))]
	}
	return classes, err
}

// seen is an image as the network sees it, if the request asks for that.
func (a *asked) seen(image int) (string, error) {
	if !a.query.seen || a.samples.pixels == nil {
		return "", nil
	}
	file, err := pngOf(a.samples.pixels[image], a.model.Input)
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(file), err
}

func (s *Server) predict(w http.ResponseWriter, r *http.Request) error {
	return s.ask(w, r, s.options.MaxImages, false, func(a *asked) error {
		out := Predictions{Model: a.model.ID}
		for i := range a.answer.rows {
			p := Prediction{}
			if a.samples.names != nil {
				p.Image = a.samples.names[i]
			}
			var err error
			if p.Classes, err = a.ranked(i); err != nil {
				return err
			}
			if p.Seen, err = a.seen(i); err != nil {
				return err
			}
			out.Predictions = append(out.Predictions, p)
		}
		return writeJSON(w, out)
	})
}

func (s *Server) activations(w http.ResponseWriter, r *http.Request) error {
	return s.ask(w, r, 1, true, func(a *asked) error {
		classes, err := a.ranked(0)
		if err != nil {
			return err
		}
		out := Activations{Model: a.model.ID, Classes: classes,
			Input:  activationOf("input", "input", []string{}, a.model.Input, a.samples.values),
			Layers: activationsOf(a.plan, a.answer.trace)}
		if out.Seen, err = a.seen(0); err != nil {
			return err
		}
		return writeJSON(w, out)
	})
}

// activationsOf returns what a trace's layers computed for its first sample.
// Layers that a device computes as one with the next, and those that change no value
// in evaluation, are left out.
func activationsOf(plan *net.Plan, trace *net.Trace) []Activation {
	var out []Activation
	from := make([][]string, len(plan.Nodes)) // the names in the answer that a layer's values are known by
	for i, l := range plan.Nodes {
		var inputs []string
		for _, k := range l.Inputs {
			names := []string{plan.InputName(k)}
			if k != net.NetworkInput {
				names = from[k]
			}
			for _, name := range names {
				if !slices.Contains(inputs, name) {
					inputs = append(inputs, name)
				}
			}
		}
		output := trace.Layers[i].Output
		if output == nil || l.Keeps() {
			from[i] = inputs
			continue
		}
		from[i] = []string{l.Name}
		out = append(out, activationOf(l.Name, l.Layer.Kind(), inputs, l.Out, output.Float32s()))
	}
	return out
}

// activationOf brings a layer's values to what is shown of them.
func activationOf(name, kind string, from []string, shape net.Shape, values []float32) Activation {
	v := shown.Of(values, shape.C, shape.H, shape.W)
	return Activation{Name: name, Type: kind, From: from, Shape: shape, Shown: net.Shape{C: v.C, H: v.H, W: v.W}, Low: v.Low, High: v.High,
		Data: base64.StdEncoding.EncodeToString(v.Data)}
}
