package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/internal/raster"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/pictures"
)

func (a *app) dataCommand() *cli.Command {
	return &cli.Command{
		Name:      "data",
		Usage:     "look at a data set: classes, samples, damaged files",
		UsageText: "gputrain data [FLAGS] [FOLDER]",
		Description: `FOLDER is what other commands take as --data: pictures in folders of classes
(FOLDER/CLASS/* or FOLDER/train/CLASS/*), a CSV file of paths and labels, IDX
files or CIFAR-10's. Without FOLDER the command shows the built-in MNIST.

Mean and deviation are of the training set's values. "Repeated" counts samples
that equal an earlier one. Pictures that can't be read are listed and left out.
--html and --png show samples of every class: in the first row as they are, in
the rows below as training sees them with --augment.

Examples:
  gputrain data flowers
  gputrain data flowers --html flowers.html --augment standard
  gputrain data labels.csv --image-size 48x64 --png grid.png
  gputrain data flowers --json
  gputrain data --clear-cache flowers       # forget its decoded pictures`,
		Flags: []cli.Flag{
			dataFlag(),
			&cli.StringFlag{Name: "augment", EnvVars: env("augment"), Category: "Samples", DefaultText: "none", Usage: "also show samples as training sees them: `NAME` (" + orList(augmentNames()) + ") or a JSON file"},
			&cli.IntFlag{Name: "samples", Value: 10, EnvVars: env("samples"), Category: "Samples", Usage: "show `N` samples of each class"},
			&cli.Uint64Flag{Name: "seed", Value: 1, EnvVars: env("seed"), Category: "Samples", Usage: "`N` that decides splits, and what augmentation does"},
			&cli.StringFlag{Name: "html", EnvVars: env("html"), Category: "Output", Usage: "write a page to `FILE`, which needs no network"},
			&cli.StringFlag{Name: "png", EnvVars: env("png"), Category: "Output", Usage: "write the samples to `FILE` as one picture"},
			&cli.BoolFlag{Name: "json", EnvVars: env("json"), Category: "Output", Usage: "print one JSON object"},
			&cli.BoolFlag{Name: "clear-cache", EnvVars: env("clear-cache"), Category: "Output", Usage: "remove the decoded pictures of FOLDER, or without it of all sets, and do no more"},
		},
		Action: a.data,
	}
}

// dataReport describes a data set. Its JSON is the output of the command.
type dataReport struct {
	Name      string     `json:"name"`
	Folder    string     `json:"folder"` // "": the built-in MNIST
	Shape     net.Shape  `json:"shape"`
	Values    string     `json:"values"` // "bytes" or "float32"
	Train     int        `json:"train"`
	Valid     int        `json:"validation"`
	Test      int        `json:"test"`
	Classes   []classRow `json:"classes"`
	Mean      []float64  `json:"mean"`      // of each channel of the training set
	Deviation []float64  `json:"deviation"` // standard deviation of each channel of the training set

	Originals *pictures.Originals `json:"pictures,omitempty"` // for people's own pictures
	Prepare   string              `json:"prepare,omitempty"`
	Cache     string              `json:"cache,omitempty"`
	Bad       []pictures.Bad      `json:"unreadable,omitempty"`
	Notes     []string            `json:"notes,omitempty"`
	Twins     *pictures.Twins     `json:"equal_samples"`
	Warnings  []string            `json:"warnings,omitempty"`
}

// classRow counts a class's samples.
type classRow struct {
	Class string `json:"class"`
	Train int    `json:"train"`
	Valid int    `json:"validation"`
	Test  int    `json:"test"`
}

func (a *app) data(c *cli.Context) error {
	folder := c.String("data")
	switch {
	case c.NArg() > 1, c.NArg() == 1 && c.IsSet("data") && folder != os.Getenv(env("data")[0]):
		return usagef("data takes one folder, got more; %s", helpHint(c))
	case c.NArg() == 1:
		folder = c.Args().First()
	}
	if c.Bool("clear-cache") {
		return a.clearCache(c, folder)
	}
	if c.Int("samples") < 1 || c.Int("samples") > 100 {
		return usagef("--samples must be from 1 to 100, got %d", c.Int("samples"))
	}
	augment, err := augmentation(c.String("augment"))
	if err != nil {
		return err
	}
	if err := a.takeOutputs(c, "html", "png"); err != nil {
		return err
	}
	d, err := a.loadFolder(c, folder, dataWish{seed: c.Uint64("seed"), showBad: true})
	if err != nil {
		return err
	}
	if err := augment.CheckFor(d.train); err != nil {
		return err
	}
	r := reportData(d)
	grid := gridOf(d.train, c.Int("samples"), net.Source{Data: d.train, Augment: augment, Seed: c.Uint64("seed"), Input: d.train.Shape})
	if path := c.String("html"); path != "" {
		page := func(w io.Writer) error { return r.writePage(w, grid, augment) }
		if _, err := a.writeOutput(path, page); err != nil {
			return err
		}
	}
	if path := c.String("png"); path != "" {
		picture := func(w io.Writer) error { return raster.Write(w, grid.draw()) }
		if _, err := a.writeOutput(path, picture); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return a.printJSON(r, "")
	}
	r.write(a.out)
	for _, flag := range []string{"html", "png"} {
		if path := c.String(flag); path != "" {
			fmt.Fprintf(a.out, "\n%s: %s of each class", outputName(path), counted(c.Int("samples"), "sample"))
		}
	}
	if c.IsSet("html") || c.IsSet("png") {
		fmt.Fprintln(a.out)
	}
	return nil
}

// clearCache removes the decoded pictures of a folder from the cache, or those
// of all folders if folder is empty.
func (a *app) clearCache(c *cli.Context, folder string) error {
	dir := c.String("data-cache")
	if dir == "off" {
		return usagef("--data-cache off keeps nothing that could be cleared")
	}
	files, size, err := pictures.ClearCache(dir, folder)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "removed %s, %s\n", counted(files, "cache file"), megabytes(size))
	return nil
}

// reportData examines a data set.
func reportData(d *dataset) *dataReport {
	r := &dataReport{
		Name: d.name, Folder: d.folder, Shape: d.train.Shape, Values: "bytes", Prepare: d.prepare,
		Train: d.train.Len(), Valid: d.validation.Len(), Test: d.test.Len(),
		Twins: pictures.FindTwins(d.train, d.validation, d.test),
	}
	if d.train.Pixels == nil {
		r.Values = "float32"
	}
	for k := range d.train.Classes {
		r.Classes = append(r.Classes, classRow{Class: net.ClassName(d.classNames, k)})
	}
	for _, l := range d.train.Labels {
		r.Classes[l].Train++
	}
	for _, l := range d.validation.Labels {
		r.Classes[l].Valid++
	}
	for _, l := range d.test.Labels {
		r.Classes[l].Test++
	}
	r.Mean, r.Deviation = moments(d.train)
	name := func(part string, i int) string { return fmt.Sprintf("%s:%d", part, i) }
	if s := d.pictures; s != nil {
		r.Originals, r.Cache, r.Bad, r.Notes = &s.Originals, s.CacheFile, s.Bad, s.Notes
		name = func(part string, i int) string { return s.File(d.part(part), i) }
	}
	names := make([]string, d.train.Classes)
	for k := range names {
		names[k] = r.Classes[k].Class
	}
	r.Warnings = r.Twins.Warnings(names, name)
	return r
}

// moments returns the mean and the standard deviation of each channel's values.
func moments(d *net.Dataset) (mean, deviation []float64) {
	n, area := d.Shape.Size(), d.Shape.H*d.Shape.W
	sum, squares := make([]float64, d.Shape.C), make([]float64, d.Shape.C)
	values := make([]float32, n)
	for i := range int32(d.Len()) {
		d.Gather(values, []int32{i})
		for k := range sum {
			for _, v := range values[k*area : (k+1)*area] {
				sum[k] += float64(v)
				squares[k] += float64(v) * float64(v)
			}
		}
	}
	of := float64(d.Len()) * float64(area)
	for k := range sum {
		m := sum[k] / of
		mean = append(mean, m)
		deviation = append(deviation, math.Sqrt(max(0, squares[k]/of-m*m)))
	}
	return mean, deviation
}

// facts returns the facts of the report as names and values.
func (r *dataReport) facts() facts {
	var f facts
	where := r.Folder
	if where == "" {
		where = "built in"
	}
	f.add("Data", fmt.Sprintf("%s: %s", r.Name, where))
	values := map[int]string{1: "grey", 3: "colour"}[r.Shape.C]
	if values == "" {
		values = counted(r.Shape.C, "channel")
	}
	f.add("Samples", fmt.Sprintf("%d x %d (height x width), %s, %s", r.Shape.H, r.Shape.W, values, r.Values))
	if o := r.Originals; o != nil {
		f.add("Pictures", describeOriginals(o))
		f.add("Prepared by", r.Prepare)
	}
	f.add("Mean", decimals(r.Mean))
	f.add("Deviation", decimals(r.Deviation))
	repeated := "none"
	if r.Twins.Repeated > 0 {
		repeated = thousands(r.Twins.Repeated)
	}
	f.add("Repeated", repeated)
	if r.Originals != nil {
		unreadable := "none"
		if len(r.Bad) > 0 {
			unreadable = thousands(len(r.Bad))
		}
		f.add("Unreadable", unreadable)
	}
	if r.Cache != "" {
		f.add("Cache", r.Cache)
	}
	return f
}

// decimals writes a list of numbers with three digits each.
func decimals(values []float64) string {
	var words []string
	for _, v := range values {
		words = append(words, fmt.Sprintf("%.3f", v))
	}
	return strings.Join(words, "  ")
}

// describeOriginals describes the files of the pictures.
func describeOriginals(o *pictures.Originals) string {
	var formats []string
	for format := range o.Formats {
		formats = append(formats, format)
	}
	slices.SortFunc(formats, func(a, b string) int { return o.Formats[b] - o.Formats[a] })
	for i, format := range formats {
		formats[i] = thousands(o.Formats[format]) + " " + format
	}
	sizes := fmt.Sprintf("%d x %d to %d x %d pixels, most often %d x %d", o.Least[0], o.Least[1], o.Most[0], o.Most[1], o.Sizes[0].Width, o.Sizes[0].Height)
	if o.Kinds == 1 {
		sizes = fmt.Sprintf("all %d x %d pixels", o.Sizes[0].Width, o.Sizes[0].Height)
	}
	text := strings.Join(formats, ", ") + "; " + sizes
	if o.Grey > 0 {
		text += fmt.Sprintf("; %s without colour", thousands(o.Grey))
	}
	return text
}

// write prints the report.
func (r *dataReport) write(s *stream) {
	r.facts().write(s)
	fmt.Fprintln(s)
	t := table{align: "lrrr"}
	t.add("Class", "Training", "Validation", "Test")
	for _, c := range r.Classes {
		t.add(c.Class, thousands(c.Train), thousands(c.Valid), thousands(c.Test))
	}
	t.add("all", thousands(r.Train), thousands(r.Valid), thousands(r.Test))
	t.write(s)
	if len(r.Notes)+len(r.Warnings) > 0 {
		fmt.Fprintln(s)
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(s, "%s %s\n", s.paint(red, "Warning:"), warning)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(s, "Note: %s\n", note)
	}
	if len(r.Bad) > 0 {
		fmt.Fprintln(s, "\nUnreadable:")
		for _, b := range r.Bad {
			fmt.Fprintf(s, "  %s\n", b)
		}
	}
}
