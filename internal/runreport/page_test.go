package runreport

import (
	"bytes"
	"encoding/json"
	"errors"
	"image/png"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/gputrain/gputrain/net"
)

// pages are reports of every kind.
func pages(t *testing.T) map[string]*Report {
	t.Helper()
	grey, colour := net.Shape{C: 1, H: 12, W: 10}, net.Shape{C: 3, H: 12, W: 10}
	perfect := exampleRun(t, small(grey), "perfect", 1, 1)
	perfect.Evaluation.Wrong, perfect.Evaluation.Mistakes, perfect.Evaluation.Confusion = 0, nil, net.NewConfusion(5)
	bare := exampleRun(t, small(grey), "bare", 3, 2)
	bare.Evaluation, bare.Image, bare.Without = nil, nil, "Nothing is told of mistakes."
	bare.Checkpoint.Validation = nil
	for i := range bare.Checkpoint.History {
		bare.Checkpoint.History[i].Validation, bare.Checkpoint.History[i].Test = nil, nil
	}
	begun := exampleRun(t, small(colour), "begun", 2, 0)
	begun.Checkpoint.Position.Step, begun.Checkpoint.State.Step = 3, 3
	begun.Steps = []net.Progress{{Epoch: 1, Step: 3, Steps: 10, Loss: 1.5, Accuracy: 0.2, ImagesPerSecond: 10, LearningRate: 0.01}}
	imported := exampleRun(t, small(colour), "imported", 2, 0)
	letters := exampleRun(t, &net.Network{Name: "letters", Input: grey, Layers: []net.Layer{
		&net.Conv{Filters: 70, Kernel: net.Square(3)}, &net.Flatten{}, &net.Dense{Units: 26}}}, "letters", 2, 2)
	flat := &net.Network{Name: "flat", Input: grey, Layers: []net.Layer{&net.Flatten{}, &net.Dense{Units: 3}}}
	one := exampleRun(t, flat, "flat", 1, 1)
	one.Image.Label = NoLabel
	hostile := exampleRun(t, small(grey), bad, 4, 4)
	hostile.ClassNames = []string{bad, bad}
	hostile.Checkpoint.Network.Name, hostile.Checkpoint.Recipe.Name, hostile.Checkpoint.Train.Name = bad, bad, bad
	hostile.Facts, hostile.Image.Name = []Fact{{bad, bad}}, bad
	hostile.Layers = append(hostile.Layers, LayerRow{Name: bad, From: []string{bad}, What: bad, Output: bad})
	return map[string]*Report{
		"one": exampleReport(exampleRun(t, small(colour), "one", 4, 3)), "several": exampleReport(perfect, bare, begun, one, hostile),
		"perfect": exampleReport(perfect), "bare": exampleReport(bare), "begun": exampleReport(begun), "flat": exampleReport(one),
		"hostile": exampleReport(hostile), "letters": exampleReport(letters), "imported": exampleReport(imported),
	}
}

const bad = `"><script>alert('x')</script><img src=http://example.com/x onerror=y> & {{.}}`

// voids are the elements that have no end.
var voids = []string{"meta", "img", "br", "link", "input", "hr"}

// TestPages reads pages as HTML: every element ends where it must, ids are unique
// and links lead to them, images have alternatives, nothing is loaded or run.
func TestPages(t *testing.T) {
	for name, r := range pages(t) {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := r.WritePage(&b); err != nil {
				t.Fatal(err)
			}
			var open, links, ids []string
			level, images := 0, 0
			z := html.NewTokenizer(bytes.NewReader(b.Bytes()))
			for {
				if z.Next() == html.ErrorToken {
					if !errors.Is(z.Err(), io.EOF) {
						t.Fatal(z.Err())
					}
					break
				}
				token := z.Token()
				switch token.Type {
				case html.StartTagToken:
					if !slices.Contains(voids, token.Data) {
						open = append(open, token.Data)
					}
				case html.EndTagToken:
					if len(open) == 0 || open[len(open)-1] != token.Data {
						t.Fatalf("</%s> ends %v", token.Data, open)
					}
					open = open[:len(open)-1]
				case html.TextToken:
					if len(open) > 0 && open[len(open)-1] == "style" && regexp.MustCompile(`url\(|@import`).MatchString(token.Data) {
						t.Error("the style loads something")
					}
				}
				if token.Type != html.StartTagToken && token.Type != html.SelfClosingTagToken {
					continue
				}
				attributes := map[string]string{}
				for _, a := range token.Attr {
					attributes[a.Key] = a.Val
					if strings.HasPrefix(a.Key, "on") {
						t.Errorf("<%s> has the handler %s", token.Data, a.Key)
					}
				}
				if id := attributes["id"]; id != "" {
					if slices.Contains(ids, id) {
						t.Errorf("id %s twice", id)
					}
					ids = append(ids, id)
				}
				links = append(links, strings.Fields(attributes["aria-labelledby"])...)
				switch token.Data {
				case "script", "link", "iframe", "object", "base", "form":
					t.Errorf("the page has <%s>", token.Data)
				case "a":
					to, ok := strings.CutPrefix(attributes["href"], "#")
					if !ok {
						t.Errorf("a link leads to %s", attributes["href"])
					}
					links = append(links, to)
				case "img":
					images++
					if _, ok := attributes["alt"]; !ok || !strings.HasPrefix(attributes["src"], "data:image/png;base64,") {
						t.Errorf("an image has attributes %.100v", attributes)
					}
				case "h1", "h2", "h3":
					n := int(token.Data[1] - '0')
					if n > level+1 {
						t.Errorf("<%s> follows level %d", token.Data, level)
					}
					level = n
				case "th":
					if attributes["scope"] == "" {
						t.Error("a heading of a table has no scope")
					}
				case "svg":
					if attributes["role"] != "img" || attributes["aria-label"] == "" {
						t.Errorf("a chart has attributes %v", attributes)
					}
				case "html":
					if attributes["lang"] == "" {
						t.Error("the page has no language")
					}
				}
			}
			if len(open) > 0 {
				t.Errorf("not ended: %v", open)
			}
			for _, l := range links {
				if !slices.Contains(ids, l) {
					t.Errorf("nothing has the id %s", l)
				}
			}
			if images == 0 {
				t.Error("no images")
			}
		})
	}
}

// text returns a page's text, words in single spaces.
func text(t *testing.T, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WritePage(&b); err != nil {
		t.Fatal(err)
	}
	root, err := html.Parse(&b)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for n := range root.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "style" {
			words = append(words, strings.Fields(n.Data)...)
		}
	}
	return strings.Join(words, " ")
}

// TestPagesTell looks for what a reader wants to know.
func TestPagesTell(t *testing.T) {
	all := pages(t)
	for name, want := range map[string][]string{
		"one": {"small on noise", "after 3 of 4 epochs.", "epochs, the best one 2", "Learning curves A ring marks", "The worst mistakes", "conv2, tanh1 6 maps of",
			"Learning rate", "total", "Made by gputrain v1 on 25 November 2026", "channels it reads", "Filters over colour images", "weights up to ±"},
		"several":  {"5 runs side by side", "Validation accuracy", "0 of 2 – – –"},
		"perfect":  {"recognises 40 (100.00 %)", "There are none."},
		"bare":     {"Nothing is told of mistakes.", "Layers Layer What"},
		"begun":    {"after 0 of 2 epochs and 3 of 10 steps of the next", "training, within epochs"},
		"imported": {"to be trained on 100 images of noise, in 2 epochs.", "No epoch is done yet."},
		"letters":  {"Every class Precision is", "64 of 70 filters", "64 of 70 maps"},
		"flat":     {"units over the image of 1 × 12 × 10"},
		"hostile":  {strings.Join(strings.Fields(bad), " ")},
	} {
		got := text(t, all[name])
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s lacks %q:\n%s", name, w, got)
			}
		}
	}
	if got := text(t, all["perfect"]); strings.Contains(got, "is wrong on") {
		t.Errorf("without mistakes: %s", got)
	}
}

// TestFiles writes the files of reports: SVG and PNG under names of their own that
// every system takes.
func TestFiles(t *testing.T) {
	for name, r := range pages(t) {
		seen := map[string]bool{}
		for _, f := range r.Files() {
			lower := strings.ToLower(f.Name)
			if seen[lower] || !regexp.MustCompile(`^[^\x00-\x1f/\\:*?"<>| ]+\.(svg|png)$`).MatchString(f.Name) {
				t.Errorf("%s: a file is called %q", name, f.Name)
			}
			seen[lower] = true
			var b bytes.Buffer
			if err := f.Write(&b); err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(f.Name, ".svg") {
				if !strings.HasPrefix(b.String(), "<?xml") {
					t.Errorf("%s begins with %.20s", f.Name, b.String())
				}
			} else if _, err := png.Decode(&b); err != nil {
				t.Errorf("%s: %v", f.Name, err)
			}
		}
		if len(seen) < 3 {
			t.Errorf("%s: %d files", name, len(seen))
		}
	}
}

// TestJSON reads a report's data back.
func TestJSON(t *testing.T) {
	run := exampleRun(t, small(net.Shape{C: 1, H: 12, W: 10}), "a", 4, 3)
	b, err := json.Marshal(exampleReport(run))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Program string
		Runs    []struct {
			Name       string
			Network    net.Network
			Recipe     net.Recipe
			Best       int
			History    []net.EpochResult
			Layers     []LayerRow
			Evaluation struct {
				Wrong     int
				Confusion net.Confusion
				Mistakes  []Mistake
			}
			Image struct{ Probabilities []float32 }
		}
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	r := got.Runs[0]
	if got.Program != "v1" || r.Name != "a" || r.Network.Name != "small" || r.Recipe.Epochs != 4 || r.Best != 2 || len(r.History) != 3 ||
		len(r.Layers) != 11 || !slices.Equal(r.Layers[1].From, []string{"conv1"}) || r.Evaluation.Wrong != run.Evaluation.Wrong || !slices.Equal(r.Evaluation.Mistakes, run.Evaluation.Mistakes) ||
		!slices.Equal(r.Image.Probabilities, run.Image.Probabilities) {
		t.Errorf("%s", b)
	}
}
