package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/internal/regularfile"
	"github.com/gputrain/gputrain/internal/replacefile"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/onnx"
)

// The formats that export writes, and the one that import writes. The files of export end
// in their format's name.
const (
	formatONNX        = "onnx"
	formatSafetensors = "safetensors"
	formatCheckpoint  = "checkpoint"
	formatGo          = "go"
	formatPage        = "page"
)

// formatNames are the formats as people are told of them.
var formatNames = map[string]string{formatONNX: "ONNX", formatSafetensors: "safetensors", formatCheckpoint: "checkpoint", formatGo: "Go package", formatPage: "page"}

func layoutFlag() cli.Flag {
	return &cli.StringFlag{Name: "layout", Value: string(net.ChannelsFirst), EnvVars: env("layout"), Category: "Format", Usage: "order of the safetensors' weights, `ORDER`: " + orList(layoutNames())}
}

func layoutNames() (names []string) {
	for _, l := range net.Layouts() {
		names = append(names, string(l))
	}
	return names
}

func (a *app) exportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write a trained network as ONNX, safetensors, Go, a page",
		UsageText: "gputrain export [FLAGS] [RUN]",
		Description: `Formats:
  onnx         the network with its weights, for ONNX Runtime, TensorRT,
               OpenVINO and browsers. Input "images" (batch, channels, height,
               width), float32, each byte of an image divided by 255; output
               "probabilities" (batch, classes). Its metadata have class_names,
               input, scale and prepare.
  safetensors  the weights alone, under their names (conv1.weight), for Python
               and others; 'gputrain import' reads them back
  go           a folder with a Go package that needs only Go's standard library.
               Its own test compares its answers with those of this program.
  page         a folder with the page of 'serve', without a server: the network
               runs in the browser. Open its index.html, or put it on the web.

--quantize writes whole numbers of eight bits where there were floats: a
quarter of the size, and faster where the processor has such arithmetic. Its
ranges are those of training images; the accuracy on the test images is told,
before and after. int8 is for ONNX Runtime and OpenVINO; int8-symmetric, whose
zero points are 0, is for TensorRT.

--layout channels-first is PyTorch's: convolutions (filters, channels, height,
width), dense layers (units, inputs). channels-last is TensorFlow's: (height,
width, channels, filters) and (inputs, units), flattened place by place.

The file's name chooses the format: FILE.onnx or FILE.safetensors. A folder
needs --format and --output DIR. It is made if it isn't there. Files in it that
are not of an earlier export are never replaced. See docs/export.md.

The names of the classes go to labels.txt beside the file, one a line. A
labels.txt that has other names is never replaced, unless --labels names it. A
pipe, a device and standard output get no labels.txt.

Examples:
  gputrain export                # model.onnx, of the latest run
  gputrain export --run runs/run-2/best.safetensors --output digits.onnx
  gputrain export --logits       # leave the softmax to the reader
  gputrain export --quantize int8 --output small.onnx
  gputrain export --format safetensors --layout channels-last
  gputrain export --format go --output digits    # try it: go -C digits test
  gputrain export --format page --output page    # open page/index.html`,
		Flags: append([]cli.Flag{
			trainedRunFlag(),
			&cli.StringFlag{Name: "format", Value: formatONNX, EnvVars: env("format"), Category: "Format", Usage: "`FORMAT`: onnx, safetensors, go or page; without it, that of the output's name"},
			&cli.StringFlag{Name: "package", EnvVars: env("package"), Category: "Format", DefaultText: "the folder's name", Usage: "call the Go package `NAME`"},
			&cli.BoolFlag{Name: "no-examples", EnvVars: env("no-examples"), Category: "Format", Usage: "put no test images into a page or a Go package"},
			&cli.BoolFlag{Name: "logits", EnvVars: env("logits"), Category: "Format", Usage: "let an ONNX model give logits instead of probabilities"},
			layoutFlag(),
			&cli.StringFlag{Name: "labels", EnvVars: env("labels"), DefaultText: labelsFile + " beside the output", Usage: "write the names of the classes to `FILE`; --labels= does not"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, EnvVars: env("output"), DefaultText: "model.onnx or model.safetensors", Usage: "write to `FILE`, or - for standard output; for go and page, a folder"},
			&cli.BoolFlag{Name: "json", EnvVars: env("json"), Usage: "print one JSON object"},
		}, quantizeFlags()...),
		Action: a.export,
	}
}

// exported describes what export or import has written. Its JSON is the output of the
// command.
type exported struct {
	File    string `json:"file"`
	Format  string `json:"format"`           // one of the formats below, or formatCheckpoint
	Labels  string `json:"labels,omitempty"` // the file with the classes' names
	From    string `json:"from"`
	Network string `json:"network"`
	Weights int    `json:"weights"` // number of weights
	Bytes   int64  `json:"bytes"`

	Eight *eightBits `json:"quantized,omitempty"`
}

func (a *app) export(c *cli.Context) error {
	named, err := a.namedRun(c)
	if err != nil {
		return err
	}
	format, layout := c.String("format"), c.String("layout")
	if err := choose("format", format, exportFormats); err != nil {
		return err
	}
	if slices.Contains(folderFormats, format) {
		return a.exportFolder(c, named, format)
	}
	if c.IsSet("package") {
		return usagef("--package is for --format %s", formatGo)
	}
	if err := choose("layout", layout, layoutNames()); err != nil {
		return err
	}
	if err := a.takeOutputs(c, "output", "labels"); err != nil {
		return err
	}
	output := c.String("output")
	if format, err = a.exportFormat(c, output); err != nil {
		return err
	}
	switch {
	case format == formatONNX && c.IsSet("layout"):
		return usagef("--layout is for --format safetensors: ONNX has an order of its own")
	case format == formatSafetensors && c.Bool("logits"):
		return usagef("--logits is for --format onnx: safetensors hold weights alone")
	}
	if err := a.checkQuantize(c, format); err != nil {
		return err
	}
	checkpoint, path, err := loadRun(c, named, "--run RUN")
	if err != nil {
		return err
	}
	plan, err := checkpoint.Network.Plan()
	if err != nil {
		return err
	}
	if output == "" {
		output = "model." + format
	}
	names, labels, err := exportedLabels(c, checkpoint, output)
	if err != nil {
		return err
	}
	o := onnx.Options{Logits: c.Bool("logits"), Producer: "gputrain", Version: version(), Metadata: exportedMetadata(checkpoint)}
	weights := checkpoint.Weights()
	count := plan.Parameters() // before layers are folded
	var told *eightBits
	if c.String("quantize") != "" && format == formatONNX {
		if o.Eight, told, err = a.quantize(c, checkpoint, plan); err != nil {
			return err
		}
		plan, weights = o.Eight.Plan, o.Eight.Weights
	}
	write := func(w io.Writer) error { return net.WriteWeights(w, plan, weights, net.Layout(layout)) }
	if format == formatONNX {
		if write, err = writerONNX(plan, weights, o); err != nil {
			return err
		}
	}
	size, err := a.writeOutput(output, write)
	if err != nil {
		return err
	}
	if labels != "" {
		_, err := a.writeOutput(labels, func(w io.Writer) error {
			_, err := io.WriteString(w, names)
			return err
		})
		if err != nil {
			return err
		}
	}
	return a.tellExported(c, exported{File: outputName(output), Format: format, Labels: labels, From: path, Network: checkpoint.Network.Name, Weights: count, Bytes: size, Eight: told})
}

// exportFormat returns the format in which export writes a file: that of --format in the
// command line, otherwise the one of the file's name. It fails if the two contradict each
// other, and for a name that ends like no format, unless --format is given.
func (a *app) exportFormat(c *cli.Context, output string) (string, error) {
	format, ending := c.String("format"), strings.ToLower(filepath.Ext(output))
	of := strings.TrimPrefix(ending, ".")
	switch given := a.given(c, "format"); {
	case output == "", output == standardOutput, ending == "", replacefile.IsStream(output):
		return format, nil
	case !writes(c, "output", output) && !given:
		return "", usagef("--output %s: export writes .%s and .%s files, none that end in %s; name the file so, or say with --format what to write to it", output, formatONNX, formatSafetensors, ending)
	case given && writes(c, "output", output) && of != format:
		return "", usagef("--format %s and --output %s contradict each other: leave --format out, or let the name end in .%[1]s", format, output)
	case given:
		return format, nil
	}
	return of, nil
}

// labelsFile is the name of the file with the classes of an exported network, one a
// line.
const labelsFile = "labels.txt"

// exportedLabels returns the names of the network's classes, one a line, and the name
// of the file for them. Both are "" if the run knows no names or --labels is empty. It
// fails if the file exists with other names, unless --labels names it.
func exportedLabels(c *cli.Context, saved *net.Checkpoint, output string) (names, file string, err error) {
	s := saved.Subject
	if s == nil || len(s.ClassNames) == 0 {
		if c.String("labels") != "" {
			return "", "", fmt.Errorf("--labels %s: the run doesn't know the names of its classes", c.String("labels"))
		}
		return "", "", nil
	}
	names = strings.Join(s.ClassNames, "\n") + "\n"
	if c.IsSet("labels") {
		return names, c.String("labels"), nil
	}
	if output == standardOutput || replacefile.IsStream(output) {
		return "", "", nil // whoever reads a stream looks for no file beside it
	}
	file = filepath.Join(filepath.Dir(output), labelsFile)
	there, err := regularfile.Read(file)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && string(there) == names:
		return names, file, nil
	case err != nil:
		return "", "", fileError(file, err)
	}
	return "", "", fmt.Errorf("%s has the names of other classes: write elsewhere with --output or --labels, replace it with --labels %[1]s, or do without: --labels=", quoted(file))
}

// exportedMetadata returns the metadata of an ONNX model: what it is, what it takes and
// what it returns.
func exportedMetadata(saved *net.Checkpoint) map[string]string {
	m := map[string]string{
		"network": saved.Network.Name, "recipe": saved.Recipe.Name, "trained_on": saved.Train.Name,
		"epochs": fmt.Sprint(saved.Position.Epoch), "input": "each byte of an image divided by 255",
	}
	s := saved.Subject
	if s == nil {
		return m
	}
	if len(s.ClassNames) > 0 {
		b, err := json.Marshal(s.ClassNames)
		if err != nil {
			panic(fmt.Sprintf("BUG: %v", err)) // strings can always be marshalled
		}
		m["class_names"] = string(b)
	}
	if s.Scale == 0 {
		m["input"] = "values as in the training data, which were no bytes; not scaled"
		return m
	}
	if s.Scale != 1./255 {
		m["input"] = fmt.Sprintf("each byte of an image multiplied by %v", s.Scale)
	}
	m["scale"] = fmt.Sprint(s.Scale)
	m["prepare"] = s.Prepare
	return m
}

// tellExported prints what has been written.
func (a *app) tellExported(c *cli.Context, e exported) error {
	if c.Bool("json") {
		return a.printJSON(e, "")
	}
	_, err := fmt.Fprintf(a.out, "%s: %s, network %s of %s, %s weights, %s\n", e.File, formatNames[e.Format], e.Network, e.From, thousands(int64(e.Weights)), megabytes(e.Bytes))
	if e.Eight != nil && err == nil {
		_, err = fmt.Fprintf(a.out, "%s: %s\n", e.File, e.Eight.line())
	}
	if e.Labels != "" && err == nil {
		_, err = fmt.Fprintf(a.out, "%s: the names of the classes\n", e.Labels)
	}
	return err
}

// megabytes formats a file's size.
func megabytes(n int64) string {
	if n < 1e6 {
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
