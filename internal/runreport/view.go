package runreport

import (
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/gputrain/gputrain/internal/chart"
	"github.com/gputrain/gputrain/net"
)

// runView is what the page shows of a run.
type runView struct {
	Name, ID string
	Several  bool // the page shows several runs
	Colour   int  // index in the palette, from 1
	Status   string
	Cards    []Fact

	// The cells of the run's row in the table of runs.
	Network, Data, Recipe, Epochs, Best, Validation, Test string

	HistoryHead []string
	History     [][]string

	Without    string
	Evaluation *evaluationView
	Coloured   bool // the images have colours
	Filters    []layerView
	Image      *imageView
	Layers     []struct{ Name, What, Output, Weights, MulAdds string }

	Weights, MulAdds string
	Facts            []Fact
}

// Anchor returns the id of a part of the run on the page.
func (v *runView) Anchor(part string) string {
	if v.Several {
		return v.ID + "-" + part
	}
	return part
}

// Heading returns a heading for a part of the run.
func (v *runView) Heading() func(part, text string) template.HTML {
	level := 2
	if v.Several {
		level = 3
	}
	return func(part, text string) template.HTML {
		return template.HTML(fmt.Sprintf(`<h%d id="%s">%s</h%[1]d>`, level, v.Anchor(part), template.HTMLEscapeString(text)))
	}
}

func (r *Report) runView(i int) (*runView, error) {
	run := r.Runs[i]
	c := run.Checkpoint
	v := &runView{
		Name: run.Name, ID: fmt.Sprintf("run-%d", i+1), Several: len(r.Runs) > 1, Colour: i%8 + 1,
		Status: run.status(), Network: orUnnamed(c.Network.Name), Data: dataName(c), Recipe: orUnnamed(c.Recipe.Name),
		Epochs: fmt.Sprintf("%d of %d", c.Position.Epoch, c.Recipe.Epochs), Best: "–", Validation: "–", Test: "–",
		Without: run.Without, Coloured: run.Plan.Network.Input.C == 3,
		Weights: whole(run.Plan.Weights()), MulAdds: whole(run.Plan.MulAdds()), Facts: run.Facts,
	}
	if best := c.Best(); best > 0 {
		v.Best = whole(best)
	}
	if n := len(c.History); n > 0 {
		v.Validation, v.Test = scores(c.History[n-1], accuracyFigures[1]), scores(c.History[n-1], accuracyFigures[2])
	}
	run.history(v)
	for _, l := range run.Layers {
		row := struct{ Name, What, Output, Weights, MulAdds string }{Name: l.Name, What: l.What, Output: strings.ReplaceAll(l.Output, " x ", " × ")}
		if l.Weights > 0 {
			row.Weights = whole(l.Weights)
		}
		if l.MulAdds > 0 {
			row.MulAdds = whole(l.MulAdds)
		}
		v.Layers = append(v.Layers, row)
	}
	var err error
	if v.Evaluation, err = run.evaluationView(); err != nil {
		return nil, err
	}
	if v.Filters, err = run.filterViews(); err != nil {
		return nil, err
	}
	if v.Image, err = run.imageView(); err != nil {
		return nil, err
	}
	v.Cards = v.cards(run)
	return v, nil
}

func orUnnamed(name string) string {
	if name == "" {
		return "unnamed"
	}
	return name
}

// dataName returns the name of the data set that a run was trained on.
func dataName(c *net.Checkpoint) string { return strings.TrimSuffix(c.Train.Name, " training") }

// status tells in a sentence how far a run is.
func (r *Run) status() string {
	c := r.Checkpoint
	data := fmt.Sprintf("%s images of %s", whole(c.Train.Samples), dataName(c))
	if c.State.Step == 0 {
		return fmt.Sprintf("Network %s, to be trained on %s, in %s.", orUnnamed(c.Network.Name), data, counted(c.Recipe.Epochs, "epoch"))
	}
	text := fmt.Sprintf("Network %s, trained on %s, after %d of %s", orUnnamed(c.Network.Name), data, c.Position.Epoch, counted(c.Recipe.Epochs, "epoch"))
	if c.Position.Step > 0 {
		text += fmt.Sprintf(" and %s of %s steps of the next", whole(c.Position.Step), whole(r.stepsPerEpoch()))
	}
	return text + "."
}

// counted writes a number and a noun, which is singular if the number is one.
func counted(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return whole(n) + " " + thing
}

// cards returns the figures at the head of the page.
func (v *runView) cards(run *Run) []Fact {
	var out []Fact
	add := func(name, value string) { out = append(out, Fact{name, value}) }
	if e := run.Evaluation; e != nil {
		add(fmt.Sprintf("of %s %s images recognised, %s", whole(e.Images), e.Split, counted(e.Wrong, "mistake")), percent(e.Accuracy()))
	}
	if v.Validation != "–" {
		add("on the validation set", v.Validation)
	}
	epochs := "epochs"
	if v.Best != "–" {
		epochs += fmt.Sprintf(", the best one %s (by validation %s)", v.Best, run.watched())
	}
	add(epochs, v.Epochs)
	add("parameters", v.Weights)
	add("multiply-adds an image", brief(run.Plan.MulAdds()))
	return out
}

// brief writes a large number in millions or more.
func brief(n int64) string {
	if n < 1e6 {
		return whole(n)
	}
	units := []string{" million", " billion", " trillion"}
	v, k := float64(n)/1e6, 0
	for ; v >= 999.95 && k < len(units)-1; k++ {
		v /= 1000
	}
	return chart.Number(v, 1) + units[k]
}

// history fills the table of epochs. It shows the figures that at least one
// epoch has.
func (r *Run) history(v *runView) {
	history := r.Checkpoint.History
	var shown []figure
	for _, of := range []struct {
		what    string
		figures []figure
	}{{"loss", lossFigures}, {"accuracy", accuracyFigures}} {
		for _, f := range of.figures {
			if slices.ContainsFunc(history, func(e net.EpochResult) bool { x := f.value(e); return x == x }) {
				shown = append(shown, f)
				v.HistoryHead = append(v.HistoryHead, title(f.name+" "+of.what))
			}
		}
	}
	for _, e := range history {
		row := []string{whole(e.Epoch)}
		for _, f := range shown {
			row = append(row, scores(e, f))
		}
		v.History = append(v.History, row)
	}
}

// title turns the name of a file or a figure into a heading.
func title(s string) string {
	s = strings.ReplaceAll(s, "-", " ")
	return strings.ToUpper(s[:1]) + s[1:]
}
