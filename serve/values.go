package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gputrain/gputrain/net"
)

// arrays is a JSON body of samples as a network takes them: bytes from 0 to 255,
// or values in the network's own scale. Exactly one of them is there.
type arrays struct {
	Pixels json.RawMessage `json:"pixels"`
	Values json.RawMessage `json:"values"`
}

// decodeArrays returns the samples of a JSON body, one after the other in CHW
// order; scale brings bytes to the network's values. A sample is a flat array, or one
// of channels, rows and columns, or, of a network with one channel, of rows and
// columns.
func decodeArrays(body []byte, in net.Shape, scale float32, most int) ([]float32, error) {
	body = bytes.TrimPrefix(body, byteOrderMark)
	var a arrays
	if err := strictUnmarshal(body, &a); err != nil {
		return nil, problemf(400, `the body is not a JSON object such as {"pixels": [[0, 255, ...], ...]}: %s`, strings.TrimPrefix(err.Error(), "json: "))
	}
	if (a.Pixels == nil) == (a.Values == nil) {
		return nil, problemf(400, `the JSON object needs either "pixels" (bytes from 0 to 255) or "values" (numbers in the network's own scale)`)
	}
	name, raw, number := "pixels", a.Pixels, pixel(scale)
	if a.Values != nil {
		name, raw, number = "values", a.Values, value
	}
	if name == "pixels" && scale == 0 {
		return nil, problemf(422, "%s", noScale)
	}
	s := arrayScanner{rest: raw, number: number, size: in.Size(), most: most, nested: [][]int{{in.Size()}, {in.C, in.H, in.W}}}
	if in.C == 1 {
		s.nested = append(s.nested, []int{in.H, in.W})
	}
	if err := s.samples(); err != nil {
		var p *problem
		if errors.As(err, &p) {
			return nil, p
		}
		return nil, problemf(422, "%s: %v; a sample is an array of %d numbers, or of %v", name, err, in.Size(), s.nested[len(s.nested)-1])
	}
	return s.out, nil
}

// byteOrderMark is what some programs put before a text in UTF-8.
var byteOrderMark = []byte("\xef\xbb\xbf")

// withArticle puts "a" or "an" before a kind of JSON value.
func withArticle(kind string) string {
	if strings.HasPrefix(kind, "a") || strings.HasPrefix(kind, "o") { // array, object
		return "an " + kind
	}
	return "a " + kind
}

// strictUnmarshal decodes one JSON value and refuses unknown fields, and anything
// after the value.
func strictUnmarshal(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var kind *json.UnmarshalTypeError
	if err := d.Decode(v); errors.As(err, &kind) {
		return fmt.Errorf("it is %s", withArticle(kind.Value)) // without the names of our types
	} else if err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is something behind it")
	}
	return nil
}

// pixel reads a byte, as images have them, and brings it to the network's values in
// the way of a net.Dataset with that Scale.
func pixel(scale float32) func(text []byte) (float32, error) {
	return func(text []byte) (float32, error) {
		n, err := strconv.ParseUint(string(text), 10, 8)
		if err != nil {
			return 0, fmt.Errorf("%.20s is not a whole number from 0 to 255", text)
		}
		return float32(n) * scale, nil
	}
}

func value(text []byte) (float32, error) {
	v, err := strconv.ParseFloat(string(text), 32)
	if err != nil || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%.20s is not a number that fits float32", text)
	}
	return float32(v), nil
}

// arrayScanner takes an array of samples apart. What it reads is known to be one
// valid JSON value, so that the only question is which.
type arrayScanner struct {
	rest   []byte
	number func([]byte) (float32, error)
	size   int     // values of a sample
	most   int     // samples
	nested [][]int // how a sample's arrays may be nested
	out    []float32
}

// peek returns the first byte of what is left, after white space.
func (s *arrayScanner) peek() byte {
	for {
		switch c := s.rest[0]; c {
		case ' ', '\t', '\r', '\n':
			s.rest = s.rest[1:]
		default:
			return c
		}
	}
}

// next takes that byte.
func (s *arrayScanner) next() byte {
	c := s.peek()
	s.rest = s.rest[1:]
	return c
}

// elements calls f for each element of an array.
func (s *arrayScanner) elements(f func() error) error {
	if c := s.peek(); c != '[' {
		return fmt.Errorf("want an array, got %.20s", s.rest)
	}
	s.next()
	if s.peek() == ']' {
		s.next()
		return nil
	}
	for {
		if err := f(); err != nil {
			return err
		}
		if s.next() == ']' { // else a comma
			return nil
		}
	}
}

func (s *arrayScanner) samples() error {
	n := 0
	err := s.elements(func() error {
		if n == s.most {
			return problemf(413, "more than %d images; ask about them in several requests", s.most)
		}
		s.out = slices.Grow(s.out, s.size)
		before := len(s.out)
		dims, err := s.array(3)
		if err != nil {
			return fmt.Errorf("sample %d: %w", n+1, err)
		}
		if !slices.ContainsFunc(s.nested, func(d []int) bool { return slices.Equal(d, dims) }) {
			return fmt.Errorf("sample %d is an array of %v, %d numbers", n+1, dims, len(s.out)-before)
		}
		n++
		return nil
	})
	if err == nil && n == 0 {
		return errors.New("there is no sample")
	}
	return err
}

// array reads numbers, or arrays of them that are all alike, and returns the
// numbers of elements from the outside in.
func (s *arrayScanner) array(deepest int) ([]int, error) {
	if deepest == 0 {
		return nil, errors.New("too many arrays in each other")
	}
	var inner []int
	n := 0
	start := len(s.out)
	err := s.elements(func() error {
		var dims []int
		if s.peek() == '[' {
			var err error
			if dims, err = s.array(deepest - 1); err != nil {
				return err
			}
		} else if err := s.one(); err != nil {
			return err
		}
		if n > 0 && !slices.Equal(dims, inner) {
			return errors.New("it has arrays of different lengths")
		}
		if len(s.out)-start > s.size {
			return fmt.Errorf("it has more than %d numbers", s.size)
		}
		inner = dims
		n++
		return nil
	})
	return append([]int{n}, inner...), err
}

// one reads a number.
func (s *arrayScanner) one() error {
	end := bytes.IndexAny(s.rest, ",] \t\r\n")
	if end < 0 {
		end = len(s.rest)
	}
	v, err := s.number(s.rest[:end])
	if err != nil {
		return err
	}
	s.out = append(s.out, v)
	s.rest = s.rest[end:]
	return nil
}
