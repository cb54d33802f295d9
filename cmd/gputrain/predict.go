package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
	"github.com/gputrain/gputrain/pictures"
)

func (a *app) predictCommand() *cli.Command {
	return &cli.Command{
		Name:      "predict",
		Usage:     "classify images with a trained network",
		UsageText: "gputrain predict [FLAGS] IMAGE...",
		Description: `IMAGE is a JPEG, PNG, GIF, BMP, TIFF or WebP file, a folder with such files, -
for standard input, or test:N for image N of the test set, counted from 0.
One that can't be read is named, and the others are answered; the exit status
is then 1.

--prepare says how a file becomes the network's input:
  digit   as MNIST's digits were made: what differs from the background, which
          is the most common colour along the edges, is ink, so dark on light,
          light on dark and colours are all the same. Cut to the ink, scaled to
          fit 20 x 20 pixels, its centre of mass in the middle of 28 x 28, the
          strongest stroke white on black.
  stretch all of the picture, stretched to the network's input size, grey or in
          colour
  fit     all of the picture with its aspect kept, in the middle of black
  crop    the middle of the picture, as much as has the input's aspect
  auto    as the run remembers: digit for digits, else stretch, or as its own
          pictures were. Where it remembers nothing, digit if the network
          takes 1 x 28 x 28 values

Examples:
  gputrain predict seven.png
  gputrain predict holiday --json
  gputrain predict test:0 test:1 --top 1
  gputrain predict photo.jpg --verbose               # also show what it sees
  curl -s https://example.com/3.png | gputrain predict - --json`,
		Flags: append([]cli.Flag{
			trainedRunFlag(),
			runDataFlag(),
			&cli.StringFlag{Name: "prepare", Value: string(picture.Auto), EnvVars: env("prepare"), Category: "Data", Usage: "`HOW` files become input: " + orList(preparations())},
			&cli.IntFlag{Name: "top", Value: 3, EnvVars: env("top"), Usage: "show the `N` most probable classes"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, EnvVars: env("verbose"), DefaultText: "on a terminal", Usage: "show the image as the network sees it, and how a GPU was used"},
			&cli.BoolFlag{Name: "json", EnvVars: env("json"), Usage: "print one JSON object an image"},
		}, deviceFlags()...),
		Action: a.predict,
	}
}

// preparations returns the choices of --prepare.
func preparations() []string {
	var names []string
	for _, p := range picture.Preparations() {
		names = append(names, string(p))
	}
	return names
}

// introduce tells which run was found, and how files are prepared for it.
func (m *model) introduce(c *cli.Context, out *stream, how picture.Preparation) {
	var f facts
	if !c.IsSet("run") {
		f.add("Checkpoint", m.describe())
	}
	if s := m.checkpoint.Subject; s != nil && s.Folder != "" && s.Scale > 0 && !c.IsSet("prepare") && slices.ContainsFunc(c.Args().Slice(), func(arg string) bool { return !isTestImage(arg) }) {
		f.add("Pictures", describePreparation(how, m.plan.Network.Input))
	}
	if len(f) > 0 {
		f.write(out)
		fmt.Fprintln(out)
	}
}

// choosePreparation returns an error if name is not a preparation.
func choosePreparation(name string) error {
	if _, err := picture.ParsePreparation(name); err != nil {
		return choose("prepare", name, preparations())
	}
	return nil
}

// question is one image for the network.
type question struct {
	name    string
	pixels  []uint8
	scale   float32             // of pixels
	values  []float32           // used instead of pixels for test images that aren't bytes
	label   int                 // -1 if unknown
	prepare picture.Preparation // how a file is prepared; "" for a test image
}

// dataset returns the image as a data set with one sample. Its label has no
// meaning.
func (q question) dataset(plan *net.Plan) *net.Dataset {
	return &net.Dataset{
		Name: q.name, Shape: plan.Network.Input, Classes: plan.Classes,
		Pixels: q.pixels, Scale: q.scale, Values: q.values, Labels: []int32{0},
	}
}

func (a *app) predict(c *cli.Context) (err error) {
	if c.NArg() == 0 {
		return usagef("predict needs an image: a file, - or test:N; %s", helpHint(c))
	}
	if err := choosePreparation(c.String("prepare")); err != nil {
		return err
	}
	if c.Int("top") < 1 {
		return usagef("--top must be at least 1, got %d", c.Int("top"))
	}
	m, err := openModel(c, c.String("run"), 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	var data *dataset
	if c.IsSet("data") || slices.ContainsFunc(c.Args().Slice(), isTestImage) {
		var changed string
		if data, changed, err = a.runData(c, m.checkpoint); err != nil {
			return err
		}
		a.note(changed)
		a.note(m.otherNames(data))
	}
	images, err := withoutFolders(c.Context, c.Args().Slice())
	if err != nil {
		return err
	}
	how := preparation(c, m.checkpoint)
	if !c.Bool("json") {
		m.introduce(c, a.out, how)
	}
	answered, bad := 0, 0
	for _, arg := range images {
		if c.Context.Err() != nil {
			return errInterrupted
		}
		q, err := a.ask(arg, data, m, how)
		if _, usage := errors.AsType[*usageError](err); err != nil && (usage || len(images) == 1) {
			return err
		}
		if err != nil {
			fmt.Fprintln(a.err, oneLine(err.Error()))
			bad++
			continue
		}
		answer, err := m.answer(q, m.classNames(data))
		if err != nil {
			return err
		}
		answer.Classes = answer.Classes[:min(c.Int("top"), len(answer.Classes))]
		if c.Bool("json") {
			if err := a.printJSON(answer, ""); err != nil {
				return err
			}
			continue
		}
		if answered > 0 {
			fmt.Fprintln(a.out)
		}
		answered++
		var picture []string
		if c.Bool("verbose") || a.out.terminal && !c.IsSet("verbose") {
			picture = drawPixels(q, m.plan.Network.Input, a.out)
		}
		a.printAnswer(answer, picture)
	}
	(&captureWatch{app: a}).look(m.program)
	gpu := gpuStatistics(m.program)
	switch {
	case gpu == nil || !c.Bool("verbose"):
	case c.Bool("json"):
		err = a.printJSON(map[string]any{"gpu": gpu}, "")
	default:
		a.printGPU(gpu)
	}
	if bad > 0 && err == nil {
		return fmt.Errorf("%s of %s can't be answered", thousands(bad), counted(len(images), "image"))
	}
	return err
}

// withoutFolders returns the images. A folder is replaced by the images in it.
func withoutFolders(ctx context.Context, images []string) (out []string, err error) {
	for _, arg := range images {
		if isTestImage(arg) || !isFolder(arg) {
			out = append(out, arg)
			continue
		}
		files, err := pictures.Files(ctx, arg)
		if err != nil {
			return nil, err
		}
		if len(files) == 0 {
			advice := ""
			if text := pictures.Unread(ctx, arg); text != "" {
				advice = "; " + text
			}
			return nil, fmt.Errorf("%s: there is no picture in this folder%s", arg, advice)
		}
		out = append(out, files...)
	}
	return out, nil
}

func isTestImage(arg string) bool { return strings.HasPrefix(arg, "test:") }

// ask reads the image that arg names.
func (a *app) ask(arg string, data *dataset, m *model, how picture.Preparation) (question, error) {
	if isTestImage(arg) {
		return testImage(arg, data, m.plan)
	}
	scale, err := pictureScale(m.checkpoint)
	if err != nil {
		return question{}, fmt.Errorf("%s: %w", arg, err)
	}
	in, name := a.in, "standard input"
	if arg != "-" {
		f, err := os.Open(arg)
		if err != nil {
			return question{}, fileError(arg, err)
		}
		defer f.Close()
		in, name = io.Reader(f), arg
	}
	img, err := picture.Read(in)
	if err != nil {
		return question{}, fileError(name, err)
	}
	pixels, err := how.Pixels(img, m.plan.Network.Input)
	if err != nil {
		return question{}, fmt.Errorf("%s: %w", name, err)
	}
	return question{name: name, pixels: pixels, scale: scale, prepare: how, label: -1}, nil
}

// fileError tells in our words why a file can't be read.
func fileError(name string, err error) error {
	info, statErr := os.Stat(name)
	var system *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if target, err := os.Readlink(name); err == nil {
			return fmt.Errorf("%s: a link to %s, which is not there", name, target)
		}
		return fmt.Errorf("%s: there is no such file", name)
	case statErr == nil && info.IsDir():
		return fmt.Errorf("%s: a folder, want a file in it", name)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: no permission to read it", name)
	case errors.As(err, &system):
		err = system.Err // the rest of its text repeats the name
	}
	return fmt.Errorf("%s: %w", name, err)
}

// testImage returns the image of the test set that arg names, such as test:7.
func testImage(arg string, data *dataset, plan *net.Plan) (question, error) {
	test := data.test
	if err := checkFit(plan, data); err != nil {
		return question{}, err
	}
	i, err := strconv.Atoi(strings.TrimPrefix(arg, "test:"))
	if err != nil || i < 0 || i >= test.Len() {
		return question{}, usagef("%s: the test set has images test:0 to test:%d", arg, test.Len()-1)
	}
	q := question{name: arg, scale: test.Scale, label: int(test.Labels[i])}
	n, at := test.Shape.Size(), test.Row(int32(i))*test.Shape.Size()
	if test.Pixels != nil {
		q.pixels = test.Pixels[at : at+n]
	} else {
		q.values = test.Values[at : at+n]
	}
	return q, nil
}

// answer is what a network computes for an image. Its JSON is the output of the
// command.
type answer struct {
	Image   string       `json:"image"`
	Label   *string      `json:"label,omitempty"`   // the label of a test image
	Prepare string       `json:"prepare,omitempty"` // how a file became the network's input
	Classes []net.Ranked `json:"classes"`           // the most probable first
}

// answer runs the network on one image.
func (m *model) answer(q question, names []string) (*answer, error) {
	t, err := m.program.Infer(net.Batch{Data: q.dataset(m.plan), Indices: []int32{0}})
	if err != nil {
		return nil, err
	}
	a := &answer{Image: q.name, Prepare: string(q.prepare)}
	if q.label >= 0 {
		name := net.ClassName(names, q.label)
		a.Label = &name
	}
	if a.Classes, err = net.Rank(t.Float32s(), names); err != nil {
		return nil, fmt.Errorf("%s: %w", m.path, err)
	}
	return a, nil
}

// barLength is the width in columns of a bar for a probability of 1.
const barLength = 20

// printAnswer prints an answer. If there is a picture, it stands on the left.
func (a *app) printAnswer(answer *answer, picture []string) {
	best := answer.Classes[0]
	head := fmt.Sprintf("%s: %s", answer.Image, best.Class)
	if answer.Label != nil {
		verdict := a.out.paint(green, "right")
		if *answer.Label != best.Class {
			verdict = a.out.paint(red, "wrong, it is "+*answer.Label)
		}
		head += " (" + verdict + ")"
	}
	t := table{align: "lrl"}
	for _, p := range answer.Classes {
		t.add(p.Class, fmt.Sprintf("%.1f %%", 100*p.Probability), bar(p.Probability))
	}
	var text strings.Builder
	t.write(&text)
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	fmt.Fprintln(a.out, head)
	gap := max(0, len(picture)-len(lines)) / 2
	for i := range max(len(picture), len(lines)) {
		var left, right string
		if i < len(picture) {
			left = picture[i]
		}
		if k := i - gap; k >= 0 && k < len(lines) {
			right = "  " + lines[k]
		}
		fmt.Fprintln(a.out, left+right)
	}
}

// bar draws a share of 1 as a bar, in steps of an eighth of a column.
func bar(share float64) string {
	eighths := int(share*8*barLength + 0.5)
	s := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		s += string(rune('█' + 8 - rest)) // U+2588 is a full block, U+258F one eighth
	}
	return s
}
