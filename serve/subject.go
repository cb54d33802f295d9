package serve

import (
	"bytes"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// subject is what a network is about: what people show it, and what its answers mean.
type subject struct {
	kind    string // what people show it, one of the kinds below
	data    string // that it was trained on
	classes []string
	prepare picture.Preparation // of image files; Auto where none is of use
	scale   float32             // of bytes; 0 where nobody knows how bytes become the network's values
}

// The kinds of what people show a network.
const (
	kindDigit     = "digit"     // drawn digits, prepared as digits
	kindCharacter = "character" // drawn letters or signs, prepared as digits
	kindDrawing   = "drawing"   // drawn things, prepared as digits
	kindPicture   = "picture"
	kindValues    = "values" // neither: its inputs are no pictures
)

// subjectOf is what a checkpoint remembers, or else what its network and the options
// suggest.
func (s *Server) subjectOf(c *net.Checkpoint, plan *net.Plan) (subject, error) {
	out := subject{kind: kindPicture, data: strings.TrimSuffix(c.Train.Name, " training"), prepare: s.options.Preparation, scale: 1. / 255}
	if r := c.Subject; r != nil {
		out.data, out.scale = r.Data, r.Scale
		if out.prepare == picture.Auto {
			var err error
			if out.prepare, err = picture.PreparationFor(r); err != nil {
				return out, err
			}
		}
	}
	var names []string
	switch {
	case c.Subject != nil && len(c.Subject.ClassNames) > 0:
		names = c.Subject.ClassNames
	case s.first == nil || s.first.data == out.data:
		names = s.options.ClassNames
	}
	for k := range plan.Classes {
		out.classes = append(out.classes, net.ClassName(names, k))
	}
	said := out.prepare != picture.Auto
	p, err := out.prepare.For(plan.Network.Input)
	switch {
	case err != nil || out.scale == 0:
		out.kind, out.prepare = kindValues, picture.Auto
		return out, nil
	case p == picture.Digit:
		out.kind = out.drawn(said)
	}
	out.prepare = p
	return out, nil
}

// isAbout tells whether the images that belong to another subject, nil for this one, show
// what this one's classes are.
func (s *subject) isAbout(other *subject) bool {
	return other == nil || s.data == other.data && slices.Equal(s.classes, other.classes)
}

// drawn is the kind of a network whose input is prepared as digits are. Where nobody has
// said that it is to be, the input's shape alone suggests it, and numbers as names may be
// no digits: then only MNIST is about digits.
func (s *subject) drawn(said bool) string {
	numbers := true
	for k, name := range s.classes {
		numbers = numbers && name == strconv.Itoa(k)
	}
	long := func(name string) bool { return utf8.RuneCountInString(name) > 2 }
	switch {
	case numbers && len(s.classes) == 10 && (said || strings.HasPrefix(s.data, "MNIST")):
		return kindDigit
	case numbers || slices.ContainsFunc(s.classes, long):
		return kindDrawing
	}
	return kindCharacter
}

// headings are the page's, and say what its drawing area is for.
var headings = map[string]string{
	kindDigit: "Draw a digit", kindCharacter: "Draw a character", kindDrawing: "Draw something",
	kindPicture: "Show a picture", kindValues: "No network for pictures",
}

var pageTemplate = template.Must(template.ParseFS(files, "page/index.html"))

// page renders the page. Who has no token may see it, so it tells nothing of the
// network but the kind of what is shown to it. policy is "", or what a page without a server may load.
func (s *subject) page(policy string) []byte {
	var b bytes.Buffer
	heading := headings[s.kind]
	draws := s.kind != kindPicture && s.kind != kindValues
	err := pageTemplate.Execute(&b, struct {
		Kind, Heading, Title string
		Draws, Takes         bool   // has a drawing area; takes pictures
		Policy               string // of a page without a server
	}{s.kind, heading, "gputrain: " + strings.ToLower(heading[:1]) + heading[1:], draws, s.kind != kindValues, policy})
	if err != nil {
		panic(fmt.Sprintf("BUG: the page: %v", err))
	}
	return b.Bytes()
}
