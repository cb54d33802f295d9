package chart

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const hostile = `</text><script>alert("x")</script> & 'quoted' ` + "\x00\xff"

// examples are charts of every kind, usual and awkward.
func examples() map[string]*Drawing {
	epochs := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	loss := []float64{0.763, 0.189, 0.116, 0.084, 0.065, 0.054, 0.046, 0.039, 0.033, 0.029}
	long := "a very long name of a run that somebody gave it to remember what it was, without spaces_or_any_other_place_to_break"
	whole := Axis{Label: "epoch", Whole: true}
	grid := func(n int) (cells [][]Cell) {
		for i := range n {
			row := make([]Cell, n)
			for k := range row {
				row[k] = Cell{Share: float64(i*k) / float64(n*n), Text: strconv.Itoa(i * k * 100), About: hostile}
			}
			cells = append(cells, row)
		}
		return cells
	}
	classes := func(n int, name string) (names []string) {
		for i := range n {
			names = append(names, fmt.Sprint(name, i))
		}
		return names
	}
	return map[string]*Drawing{
		"lines":   Lines{Title: "Loss", X: whole, Y: Axis{Label: "mean loss"}, Series: []Series{{Name: "training", X: epochs, Y: loss, Ring: 3, RingText: "best"}}}.Draw(),
		"log":     Lines{Title: "Loss", X: whole, Y: Axis{Log: true}, Series: []Series{{X: epochs, Y: loss}, {Name: "zeros", X: epochs, Y: make([]float64, 10)}}}.Draw(),
		"percent": Lines{Title: "Accuracy", X: whole, Y: Axis{Format: Percent, Max: At(1)}, Series: []Series{{Name: "test", X: epochs, Y: loss, Dash: Dotted}}}.Draw(),
		"one":     Lines{Title: "One epoch", X: whole, Y: Axis{Format: Percent, Max: At(1)}, Series: []Series{{Name: "test", X: []float64{1}, Y: []float64{1}}}}.Draw(),
		"none":    Lines{Title: "Nothing", X: whole, Y: Axis{Log: true}}.Draw(),
		"nan":     Lines{Title: "Gaps", X: whole, Series: []Series{{X: epochs[:4], Y: []float64{1, math.NaN(), math.Inf(1), 2}}}}.Draw(),
		"hostile": Lines{Title: hostile, Description: hostile, X: Axis{Label: hostile}, Series: []Series{{Name: hostile, X: epochs, Y: loss}}}.Draw(),
		"long":    Lines{Title: long, X: whole, Series: []Series{{Name: long, X: epochs, Y: loss}, {Name: "長い名前" + long, X: epochs, Y: loss, Colour: 1, Dash: NoLine}}}.Draw(),
		"steps":   Lines{Title: "Steps", X: Axis{Label: "step"}, Series: []Series{{X: []float64{0, 1234567}, Y: []float64{1e-7, 1e12}}}}.Draw(),
		"bars": Bars{Title: "Throughput", X: Axis{Label: "images/s"}, Names: []string{"AVX-512", "portable", long}, Series: []BarSeries{
			{Name: "1 thread", Values: []float64{1028, 81, math.NaN()}, Low: []float64{900, 80, 1}, High: []float64{1100, 82, 2}},
			{Name: hostile, Values: []float64{1837, 151, 7}, Colour: 1},
		}}.Draw(),
		"log bars":  Bars{Title: "Ratio", X: Axis{Log: true}, Mark: At(1), Names: []string{"a", "b"}, Series: []BarSeries{{Values: []float64{0.01, 1000}}}}.Draw(),
		"below":     Bars{Title: "Change", Names: []string{"a", "b"}, Series: []BarSeries{{Values: []float64{-3, 2}}}}.Draw(),
		"heat":      Heat{Title: "Confusion", RowLabel: "label", ColumnLabel: "prediction", Rows: classes(10, ""), Columns: classes(10, ""), Cells: grid(10)}.Draw(),
		"two":       Heat{Title: "Confusion", RowLabel: "label of the image", ColumnLabel: "prediction of the network", Rows: classes(2, ""), Columns: classes(2, ""), Cells: grid(2), CellSize: 12}.Draw(),
		"hundred":   Heat{Title: "Confusion", Rows: classes(100, "class "), Columns: classes(100, "class "), Cells: grid(100)}.Draw(),
		"long heat": Heat{Title: long, RowLabel: long, ColumnLabel: long, Rows: []string{long, hostile}, Columns: []string{long, hostile}, Cells: grid(2)}.Draw(),
	}
}

// TestTextStaysInside reads each drawing as XML and holds every text's place, at
// the width that the package takes it for, against the drawing's edges.
func TestTextStaysInside(t *testing.T) {
	for name, d := range examples() {
		t.Run(name, func(t *testing.T) {
			texts := 0
			var at xml.StartElement
			decoder := xml.NewDecoder(strings.NewReader(string(d.SVG())))
			for {
				token, err := decoder.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("not XML: %v\n%s", err, d.SVG())
				}
				switch token := token.(type) {
				case xml.StartElement:
					at = token.Copy()
					if at.Name.Local == "script" {
						t.Error("a name became an element")
					}
				case xml.EndElement:
					at = xml.StartElement{}
				case xml.CharData:
					if at.Name.Local != "text" {
						continue
					}
					texts++
					size := textSize
					if s := attribute(at, "font-size"); s != "" {
						size = number(t, s)
					}
					w := textWidth(string(token), size)
					x, limit := 0.0, d.width
					if place := attribute(at, "transform"); place != "" {
						var x0, y0 float64
						if _, err := fmt.Sscanf(place, "translate(%f %f) rotate(-90)", &x0, &y0); err != nil {
							t.Fatal(err)
						}
						x, limit = d.height-y0, d.height
					} else {
						x = number(t, attribute(at, "x"))
						if y := number(t, attribute(at, "y")); y < size*0.8 || y > d.height-size*0.2 {
							t.Errorf("%q stands at y = %v, the drawing is %v high", token, y, d.height)
						}
					}
					lo := x - map[string]float64{"start": 0, "": 0, "middle": 0.5, "end": 1}[attribute(at, "text-anchor")]*w
					if lo < -0.01 || lo+w > limit+0.01 {
						t.Errorf("%q goes from %.1f to %.1f of %.1f", token, lo, lo+w, limit)
					}
				}
			}
			if texts < 2 {
				t.Errorf("%d texts", texts)
			}
		})
	}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestPlaces reads back where the values of a chart are drawn: in proportion to
// the axis' bounds.
func TestPlaces(t *testing.T) {
	c := Lines{Title: "t", X: Axis{Min: At(0), Max: At(10)}, Y: Axis{Min: At(1), Max: At(100), Log: true},
		Series: []Series{{X: []float64{0, 5, 10}, Y: []float64{1, 10, 100}, Points: NoPoints}}}
	svg := string(c.Draw().SVG())
	_, path, _ := strings.Cut(svg, `<path d="M`)
	path, _, _ = strings.Cut(path, `"`)
	var x, y [3]float64
	if _, err := fmt.Sscanf(path, "%f %fL%f %fL%f %f", &x[0], &y[0], &x[1], &y[1], &x[2], &y[2]); err != nil {
		t.Fatalf("%v in %q", err, path)
	}
	if math.Abs((x[0]+x[2])/2-x[1]) > 0.02 || math.Abs((y[0]+y[2])/2-y[1]) > 0.02 || x[0] >= x[2] || y[0] <= y[2] {
		t.Errorf("points at %v, %v are not on a line from left bottom to right top", x, y)
	}
}

func TestGapsInterruptTheLine(t *testing.T) {
	svg := string(Lines{Series: []Series{{X: []float64{1, 2, 3, 4}, Y: []float64{1, 2, math.NaN(), 3}}}}.Draw().SVG())
	_, path, _ := strings.Cut(svg, `<path d="`)
	path, _, _ = strings.Cut(path, `"`)
	if m, l := strings.Count(path, "M"), strings.Count(path, "L"); m != 2 || l != 1 {
		t.Errorf("path %s has %d beginnings and %d lines, want 2 and 1", path, m, l)
	}
}

// TestForms: what tells series apart where their colours don't.
func TestForms(t *testing.T) {
	seen := map[string]string{}
	for name, s := range map[string]Series{"solid": {}, "dashed": {Dash: Dashed}, "dotted": {Dash: Dotted}, "faint": {Faint: true}} {
		s.X, s.Y, s.Points = []float64{1, 2}, []float64{1, 2}, NoPoints
		svg := string(Lines{Series: []Series{s}}.Draw().SVG())
		_, path, found := strings.Cut(svg, "<path")
		path, _, _ = strings.Cut(path, "/>")
		if other, same := seen[path]; same || !found {
			t.Errorf("%s looks like %s: %s", name, other, path)
		}
		seen[path] = name
	}
	if svg := string(Lines{Series: []Series{{X: []float64{1}, Y: []float64{1}, Dash: NoLine}}}.Draw().SVG()); strings.Contains(svg, "<path") {
		t.Error("points alone have a line")
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		axis   Axis
		values []float64
		want   []string
	}{
		{Axis{}, []float64{0, 1}, []string{"0.00", "0.25", "0.50", "0.75", "1.00"}},
		{Axis{Whole: true}, []float64{1, 10}, []string{"2", "4", "6", "8", "10"}},
		{Axis{Whole: true}, []float64{1, 3}, []string{"1", "2", "3"}},
		{Axis{Whole: true}, []float64{1}, []string{"1"}},
		{Axis{}, []float64{1000, 9000}, []string{"2,000", "4,000", "6,000", "8,000"}},
		{Axis{Format: Percent}, []float64{0.93, 0.99}, []string{"94 %", "96 %", "98 %"}},
		{Axis{Log: true}, []float64{0.01, 100}, []string{"0.01", "0.1", "1", "10", "100"}},
		{Axis{Log: true}, []float64{0.2, 2}, []string{"0.2", "0.5", "1", "2"}},
		{Axis{Log: true}, []float64{1e-9, 1e-5}, []string{"10⁻⁹", "10⁻⁸", "10⁻⁷", "10⁻⁶", "10⁻⁵"}},
		{Axis{}, []float64{5, 5}, []string{"4.6", "4.8", "5.0", "5.2", "5.4"}},
		{Axis{Max: At(1)}, []float64{1}, nil},
	} {
		s := c.axis.scaleOf(c.values, 5)
		if c.want != nil && !slices.Equal(s.labels, c.want) {
			t.Errorf("%+v of %v has the marks %q, want %q", c.axis, c.values, s.labels, c.want)
		}
		if len(s.ticks) == 0 || !(s.lo < s.hi) {
			t.Errorf("%+v of %v goes from %v to %v with marks %v", c.axis, c.values, s.lo, s.hi, s.ticks)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		v        float64
		decimals int
		want     string
	}{
		{0, 0, "0"}, {1234567, 0, "1,234,567"}, {-1234.5, 1, "-1,234.5"}, {0.25, -1, "0.25"}, {0.123456, -1, "0.1235"},
		{1e-5, -1, "10⁻⁵"}, {2.5e10, -1, "2.5 × 10¹⁰"}, {999, -1, "999"}, {1000, -1, "1,000"}, {1.0 / 3 * 1e-6, -1, "3.33 × 10⁻⁷"},
	} {
		if got := Number(c.v, c.decimals); got != c.want {
			t.Errorf("Number(%v, %d) = %q, want %q", c.v, c.decimals, got, c.want)
		}
	}
	for share, want := range map[float64]string{1: "100 %", 0.986: "98.6 %", 0.98665: "98.665 %", 0: "0 %", 0.07: "7 %"} {
		if got := Percent(share); got != want {
			t.Errorf("Percent(%v) = %q, want %q", share, got, want)
		}
	}
}

// TestFile writes a drawing as a file: XML with a size and a background.
func TestFile(t *testing.T) {
	var b strings.Builder
	if err := examples()["heat"].WriteFile(&b); err != nil {
		t.Fatal(err)
	}
	var svg struct {
		XMLName xml.Name
		Width   float64 `xml:"width,attr"`
		Rects   []struct {
			Fill string `xml:"fill,attr"`
		} `xml:"rect"`
	}
	if err := xml.Unmarshal([]byte(b.String()), &svg); err != nil {
		t.Fatal(err)
	}
	if svg.XMLName.Space != "http://www.w3.org/2000/svg" || svg.Width < 100 || len(svg.Rects) == 0 || svg.Rects[0].Fill != paperColour {
		t.Errorf("the file is %+v", svg)
	}
}

func TestShortened(t *testing.T) {
	for room := 10.0; room < 300; room += 7 {
		s := shortened("a name that is far too long for its place", 12, room)
		if w := textWidth(s, 12); w > room && s != "…" {
			t.Errorf("%q is %v wide, has %v", s, w, room)
		}
	}
	if s := shortened("short", 12, 300); s != "short" {
		t.Errorf("shortened to %q without need", s)
	}
}
