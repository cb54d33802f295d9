package serve

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
)

// Model tells which network answers, in GET /v1/model.
type Model struct {
	ID          string        `json:"id"` // identifies the weights: it changes when others are loaded
	Name        string        `json:"name"`
	Device      string        `json:"device"`
	Loaded      time.Time     `json:"loaded"`
	Input       net.Shape     `json:"input"`
	Classes     []string      `json:"classes"`
	Weights     int           `json:"weights"`       // trained values
	MulAdds     int64         `json:"multiply_adds"` // multiply-adds for one image
	Data        string        `json:"data"`          // the name of the data that it was trained on
	Subject     string        `json:"subject"`       // what people show it: "digit", "character", "drawing", "picture" or "values", see subject
	Epochs      int           `json:"epochs"`        // number of epochs that it was trained for
	Network     *net.Network  `json:"network"`
	Preparation string        `json:"preparation"` // how image files are prepared, unless a request asks for another way; "auto" if the network takes no image files
	Activations bool          `json:"activations"` // whether POST /v1/activations is there
	Examples    []Example     `json:"examples"`    // images that the page offers
	Limits      RequestLimits `json:"limits"`
}

// Example is an image that the page offers.
type Example struct {
	Image string `json:"image"` // its address, below the page's
	Class string `json:"class"` // what it shows
}

// RequestLimits are the limits on one request: the most images, the most bytes in its
// body, and the most pixels in each image.
type RequestLimits struct {
	Images    int   `json:"images"`
	BodyBytes int64 `json:"body_bytes"`
	Pixels    int   `json:"pixels"`
}

// model is a network on the device. When another one takes its place, it is retired. It
// is closed when it is retired and its last user has given it back.
type model struct {
	Model
	plan    *net.Plan
	program net.Program
	batch   int // images that are best computed together
	subject subject
	page    []byte // the page for it

	users   int // guarded by Server.mu
	retired bool
}

// newModel compiles a checkpoint's network and computes one image with it. It must be
// called by the goroutine that uses the device, see queue.call.
func (s *Server) newModel(c *net.Checkpoint) (*model, error) {
	plan, err := c.Network.Plan()
	if err != nil {
		return nil, err
	}
	m := &model{plan: plan, batch: min(s.options.MaxBatch, c.Recipe.Batch)}
	if m.program, err = c.Compile(s.device, m.batch); err != nil {
		return nil, err
	}
	if err := m.try(); err != nil {
		return nil, errors.Join(err, m.program.Close())
	}
	if m.subject, err = s.subjectOf(c, plan); err != nil {
		return nil, errors.Join(err, m.program.Close())
	}
	_, traces := m.program.(net.Tracer)
	s.describe(m, c, s.device.Name())
	m.Loaded, m.Activations = time.Now().UTC(), traces && !s.options.NoActivations
	m.page = m.subject.page("")
	if s.first == nil {
		s.first = &m.subject
	}
	return m, nil
}

// describe fills what a model tells of itself.
func (s *Server) describe(m *model, c *net.Checkpoint, device string) {
	m.Model = Model{
		ID: fingerprint(c.Weights()), Name: c.Network.Name, Device: device,
		Input: c.Network.Input, Classes: m.subject.classes, Weights: m.plan.Weights(), MulAdds: m.plan.MulAdds(), Data: m.subject.data, Subject: m.subject.kind,
		Epochs: c.Position.Epoch, Network: c.Network, Preparation: string(m.subject.prepare),
		Examples: []Example{}, Limits: RequestLimits{s.options.MaxImages, s.options.MaxBody, s.options.MaxPixels},
	}
	if e := s.options.Examples; e != nil && e.Shape == m.Input && m.subject.isAbout(s.first) {
		for i, label := range e.Labels {
			m.Examples = append(m.Examples, Example{fmt.Sprintf("examples/%d.png", i), net.ClassName(m.Classes, int(label))})
		}
	}
}

// try asks the network about a black image. So a network that can't answer is
// refused before a client asks it.
func (m *model) try() error {
	rows, err := m.infer(make([]float32, m.plan.Network.Input.Size()), 1)
	if err != nil {
		return err
	}
	_, err = net.Rank(rows[0], nil)
	return err
}

// infer returns the class probabilities of n samples.
func (m *model) infer(values []float32, n int) ([][]float32, error) {
	t, err := m.program.Infer(m.batchOf(values, n))
	if err != nil {
		return nil, err
	}
	return slices.Collect(slices.Chunk(t.Float32s(), m.plan.Classes)), nil
}

// batchOf makes a batch of samples. Its memory must be fresh: a device may keep it.
func (m *model) batchOf(values []float32, n int) net.Batch {
	d := &net.Dataset{
		Name: "request", Shape: m.plan.Network.Input, Classes: m.plan.Classes, Values: values, Labels: make([]int32, n),
	}
	indices := make([]int32, n)
	for i := range indices {
		indices[i] = int32(i)
	}
	return net.Batch{Data: d, Indices: indices}
}

// fingerprint names weights by a part of their hash.
func fingerprint(params map[string]*tensor.Dense) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(params)) {
		fmt.Fprintf(h, "%q %v\n", name, params[name].Shape())
		for piece := range slices.Chunk(params[name].Float32s(), 1<<14) {
			if err := binary.Write(h, binary.LittleEndian, piece); err != nil {
				panic(fmt.Sprintf("BUG: hashing: %v", err))
			}
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}

// use returns the model that answers now. The caller must give it back.
func (s *Server) use() *model {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current.users++
	return s.current
}

// giveBack ends a use of a model.
func (s *Server) giveBack(m *model) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.users--
	s.closeIfUnused(m)
}

// adopt makes a model the one that answers, and retires the one before.
func (s *Server) adopt(m *model) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.models = append(s.models, m)
	old := s.current
	s.current = m
	if old != nil {
		old.retired = true
		s.closeIfUnused(old)
	}
}

// closeIfUnused does nothing if the model is not retired or has users. Otherwise the
// model is closed between two batches. The caller holds s.mu.
func (s *Server) closeIfUnused(m *model) {
	if !m.retired || m.users > 0 {
		return
	}
	s.models = slices.DeleteFunc(s.models, func(x *model) bool { return x == m })
	s.queue.later(func() {
		if err := m.program.Close(); err != nil {
			s.log.Error("closing a model failed", "model", m.ID, "error", err)
		}
	})
}

// Replace puts the network of another checkpoint in place of the one that answers.
// Requests that came before are still answered by the earlier network. If the new one
// can't be used, Replace returns an error and the earlier one stays.
func (s *Server) Replace(c *net.Checkpoint) error {
	var m *model
	err := s.queue.call(func() (err error) {
		m, err = s.newModel(c)
		return err
	})
	if err != nil {
		return err
	}
	s.adopt(m)
	s.metrics.serves(&m.Model)
	return nil
}
