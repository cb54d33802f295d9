package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/internal/runreport"
	"github.com/gputrain/gputrain/picture"
)

// defaultReport is the file to which report writes its page by default.
const defaultReport = "report.html"

func (a *app) reportCommand() *cli.Command {
	return &cli.Command{
		Name:      "report",
		Usage:     "write a page about a run: learning curves, mistakes, filters",
		UsageText: "gputrain report [FLAGS] [RUN...]",
		Description: `RUN is the name or folder of a run (its last checkpoint), a folder of runs
(the latest), or a checkpoint file; without one it is the latest run. Several
runs stand side by side. The page is one file. It needs no network and no
scripts.

It shows the learning curves, the confusion matrix, the worst mistakes, the
weights of the filters, one image's feature maps through the layers, the layer
table, the recipe and the versions. While a run is in progress, it shows how far
the run has come.

Examples:
  gputrain report                               # report.html, of the latest run
  gputrain report --image seven.png --output seven.html
  gputrain report run-1 run-2
  gputrain report --run runs/run-2/best.safetensors --plots plots
  gputrain report --data fashion-mnist --json`,
		Flags: append([]cli.Flag{
			trainedRunFlag(),
			runDataFlag(),
			&cli.StringFlag{Name: "split", Value: "test", EnvVars: env("split"), Category: "Data", Usage: "look for mistakes in `PART` of the data: " + orList(splitNames)},
			&cli.StringFlag{Name: "image", Value: "test:0", EnvVars: env("image"), Category: "Data", Usage: "follow `IMAGE` through the layers: a file, - or test:N"},
			&cli.StringFlag{Name: "prepare", Value: string(picture.Auto), EnvVars: env("prepare"), Category: "Data", Usage: "`HOW` a file becomes input: " + orList(preparations())},
			&cli.IntFlag{Name: "mistakes", Value: 24, EnvVars: env("mistakes"), Usage: "show the `N` worst mistakes"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: defaultReport, EnvVars: env("output"), Usage: "write the page to `FILE`, or - for standard output"},
			&cli.StringFlag{Name: "plots", EnvVars: env("plots"), DefaultText: "none", Usage: "write charts and pictures to `FOLDER` too, as SVG and PNG"},
			&cli.BoolFlag{Name: "json", EnvVars: env("json"), Usage: "print the report's data as one JSON object; no page unless --output names one"},
		}, deviceFlags()...),
		Action: a.report,
	}
}

func (a *app) report(c *cli.Context) error {
	for flag, choices := range map[string][]string{"split": splitNames, "prepare": preparations()} {
		if err := choose(flag, c.String(flag), choices); err != nil {
			return err
		}
	}
	if c.Int("mistakes") < 0 {
		return usagef("--mistakes must be at least 0, got %d", c.Int("mistakes"))
	}
	printed := c.Bool("json") && !c.IsSet("output") // instead of a page
	if err := a.takeOutputs(c, "output"); err != nil {
		return err
	}
	output := c.String("output")
	if printed {
		output = ""
	}
	r, err := a.loadReport(c)
	if err != nil {
		return err
	}
	var size int64
	if output != "" {
		if size, err = a.writeOutput(output, r.WritePage); err != nil {
			return err
		}
	}
	files := r.Files()
	plots := c.String("plots")
	if plots != "" {
		if err := a.writePlots(plots, files); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return a.printJSON(r, "")
	}
	var names []string
	for _, run := range r.Runs {
		names = append(names, run.Name)
	}
	fmt.Fprintf(a.out, "%s: %s, %s\n", outputName(output), strings.Join(names, ", "), megabytes(size))
	if plots != "" {
		fmt.Fprintf(a.out, "%s: %s\n", plots, counted(len(files), "file"))
	}
	return nil
}

// writePlots writes files into a folder, which is made if it doesn't exist.
func (a *app) writePlots(dir string, files []runreport.File) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("--plots: %w", err)
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		if _, err := a.writeOutput(path, f.Write); err != nil {
			return err
		}
	}
	return nil
}
