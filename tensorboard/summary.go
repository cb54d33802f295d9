package tensorboard

import (
	"bytes"
	"image"
	"image/draw"
	"image/png"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/gputrain/gputrain/internal/protobuf"
)

// The numbers of fields below are those of summary.proto and histogram.proto
// (https://github.com/tensorflow/tensorboard/tree/master/tensorboard/compat/proto).

// summary holds the summaries of one event.
type summary struct{ m protobuf.Message }

// value adds a Summary.Value under a tag.
func (s *summary) value(tag string, f func(m *protobuf.Message)) {
	s.m.Sub(1, func(m *protobuf.Message) {
		m.Text(1, tag)
		f(m)
	})
}

func (s *summary) scalar(tag string, v float64) {
	s.value(tag, func(m *protobuf.Message) { m.Float(2, float32(v)) })
}

// histogram adds the distribution of values. If none is finite, it adds nothing.
func (s *summary) histogram(tag string, values []float32) {
	h, ok := histogramOf(values)
	if !ok {
		return
	}
	s.value(tag, func(m *protobuf.Message) {
		m.Sub(5, func(m *protobuf.Message) {
			for i, v := range []float64{h.min, h.max, h.num, h.sum, h.sumSquares} {
				m.Double(protowire.Number(1+i), v)
			}
			m.Doubles(6, h.limits)
			m.Doubles(7, h.counts)
		})
	})
}

// image adds a picture. Transparent parts become white.
func (s *summary) image(tag, description string, img image.Image) error {
	opaque := image.NewNRGBA(img.Bounds())
	draw.Draw(opaque, opaque.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(opaque, opaque.Bounds(), img, img.Bounds().Min, draw.Over)
	var b bytes.Buffer
	if err := png.Encode(&b, opaque); err != nil {
		return err
	}
	s.value(tag, func(m *protobuf.Message) {
		m.Sub(9, func(m *protobuf.Message) { // SummaryMetadata
			m.Sub(1, func(m *protobuf.Message) { m.Text(1, "images") }) // the plugin
			m.Text(3, description)
		})
		m.Sub(4, func(m *protobuf.Message) {
			m.Integer(1, int64(opaque.Bounds().Dy()))
			m.Integer(2, int64(opaque.Bounds().Dx()))
			m.Integer(3, 4) // RGBA
			m.Bytes(4, b.Bytes())
		})
	})
	return nil
}

// writeSummary appends an event with summaries. Without summaries it does nothing.
func (e *eventFile) writeSummary(step int64, s *summary) error {
	if len(s.m) == 0 {
		return nil
	}
	return e.write(step, func(m *protobuf.Message) { m.Bytes(eventSummary, s.m) })
}
