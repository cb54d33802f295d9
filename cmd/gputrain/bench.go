package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/bench"
	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/internal/cpufeat"
	"github.com/gputrain/gputrain/net"
)

func (a *app) benchCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "model", Value: "tutorial", EnvVars: env("model"), Category: "Work", Usage: "`MODELS`: built-in models' names or JSON files, with commas"},
		&cli.Float64Flag{Name: "to-accuracy", EnvVars: env("to-accuracy"), Category: "Runs of a recipe", DefaultText: "time single steps", Usage: "train a recipe several times, and time how long it takes to a test accuracy of `PERCENT`, such as 94"},
		&cli.BoolFlag{Name: "suite", EnvVars: env("suite"), Category: "Work", Usage: "measure a suite of networks, those of FOLDER/*.json or gputrain's own, and compare them in tables; --model names some of them"},
		dataFlag(),
		&cli.StringFlag{Name: "mode", Value: "train,infer", EnvVars: env("mode"), Category: "Work", Usage: "`MODES`: train, infer or both"},
		&cli.StringFlag{Name: "batch", Value: "50,128", EnvVars: env("batch"), Category: "Work", Usage: "train in mini-batches of these `SIZES`"},
		&cli.StringFlag{Name: "infer-batch", Value: "1,50,1000", EnvVars: env("infer-batch"), Category: "Work", Usage: "infer in mini-batches of these `SIZES`"},
		&cli.IntFlag{Name: "repeats", Value: 20, EnvVars: env("repeats"), Category: "Work", Usage: "time each `N` times; what is very slow fewer times"},
		&cli.DurationFlag{Name: "repeat-time", Value: 200 * time.Millisecond, DefaultText: "200ms", EnvVars: env("repeat-time"), Category: "Work", Usage: "let a repeat take at least `TIME`, such as 500ms or 2s"},
		&cli.StringFlag{Name: "device", Value: "auto", EnvVars: env("device"), Category: "Machine", Usage: "`DEVICES`, with commas: cpu, reference, cuda, cuda:N; auto is the CPU, and a GPU that works"},
		&cli.StringFlag{Name: "threads", DefaultText: "one a fast core", EnvVars: env("threads"), Category: "Machine", Usage: "run the CPU device on these `NUMBERS` of threads, such as 1,2"},
		&cli.StringFlag{Name: "peers", DefaultText: "none", EnvVars: env("peers"), Category: "Peers", Usage: "time other frameworks too: `NAMES` of " + strings.Join(peers.Names, ", ") + ", or all"},
		&cli.StringFlag{Name: "peers-folder", DefaultText: "bench/peers of the sources", EnvVars: env("peers-folder"), Category: "Peers", Usage: "`FOLDER` where make bench-peers made them"},
		&cli.BoolFlag{Name: "json", EnvVars: env("json"), Category: "Output", Usage: "print the whole report as JSON on one line"},
		&cli.BoolFlag{Name: "csv", EnvVars: env("csv"), Category: "Output", Usage: "print CSV, a row a measurement"},
		&cli.StringFlag{Name: "html", EnvVars: env("html"), Category: "Output", Usage: "write a report with plots to `FILE`, which needs no network"},
		&cli.BoolFlag{Name: "share", EnvVars: env("share"), Category: "Output", Usage: "measure three networks on the CPU, and write the report to a file that can be sent"},
		&cli.StringFlag{Name: "plots", EnvVars: env("plots"), Category: "Output", Usage: "write the plots to `FOLDER`, as SVG"},
	}
	flags = append(flags, accuracyFlags()...)
	flags = append(flags, scalingFlags()...)
	for _, f := range deviceFlags() {
		if slices.Contains([]string{"precision", "memory-limit", "workspace", "algorithm-cache"}, f.Names()[0]) {
			flags = append(flags, f)
		}
	}
	return &cli.Command{
		Name:      "bench",
		Usage:     "time training and inference on devices, and in other frameworks",
		UsageText: "gputrain bench [FLAGS]\ngputrain bench --suite [FLAGS] [FOLDER]\ngputrain bench --to-accuracy PERCENT --recipe NAME [FLAGS]\ngputrain bench --scaling [FLAGS]",
		Description: `Compares each device with the reference first, and times only those that agree.
The devices take turns, so that other work on the machine slows all of them
alike. Times are medians, with the range that holds four of five repeats. The
report also shows where a training step's time goes, how much memory it takes,
and how near it comes to the machine's limits, measured in the same run.
Of a simulated GPU it shows counts, because the times would mean nothing.

Peers are other frameworks that do the same work from the same weights. They are
installed by make bench-peers, in the folder of gputrain's sources. Their losses
must agree with gputrain's before they are timed. With a GPU, torch and jax run
on that GPU, in the same precision. Where ` + cpufeat.Env + `=avx2 keeps gputrain
to AVX2, peers are kept to it too, as far as they have a setting for it.

--suite measures many networks and shows tables of the peers' times over
gputrain's. Without a folder they are gputrain's own: built-in models and those
in bench/networks. Networks that --data doesn't fit get random images.
Its sizes are --batch 50,128 and --infer-batch 1,50,256.

--share measures three networks on one thread, on one for each fast core, and on
one for each core. It writes the report as JSON to a file in this folder, to be
sent to the project: docs/arm64.md says who asks for it. The file names the
processor and the system, and neither the machine nor its user.

--to-accuracy trains a recipe several times, each time with the next seed, and
measures how long a test accuracy takes. The clock starts at the first step, and
stops at the end of the first evaluation that reached it. --data, --model,
--batch and the flags of train for recipes (--help --all) override the recipe.
It takes one device; auto is a GPU, or else the CPU. With --peers torch PyTorch
trains the same recipe after each run, with random numbers of its own.

--scaling measures nothing, and needs no GPU. It computes what to expect of
training on 1 to 1,024 GPUs: a step's time on one GPU from its data sheet or
from --images-per-second, and the sums of gradients and of batch normalisation
from a simplified form of NCCL's own model. --batch is the mini-batch of each
GPU (256); --global-batch is that of all, which they divide.

Ctrl-C ends early and shows what was measured so far.

Examples:
  gputrain bench
  gputrain bench --device cpu,reference --mode train --batch 10
  gputrain bench --threads 1,2 --html report.html
  gputrain bench --model tutorial,lenet5,mlp --csv >bench.csv
  gputrain bench --share
  gputrain bench --peers all
  gputrain bench --suite --peers tensorflow,jax,onnxruntime,openvino
  gputrain bench --device cuda --precision bf16 --peers torch,jax
  gputrain bench --to-accuracy 98 --recipe fast --runs 5
  gputrain bench --to-accuracy 90 --recipe mine.json --data photos --html a.html
  gputrain bench --to-accuracy 97 --recipe fast --epochs 1 --peers torch
  gputrain bench --scaling --model resnet18 --precision bf16
  gputrain bench --scaling --model resnet50 --link pcie4 --images-per-second 900
  gputrain bench --scaling --gpus 1,2,4 --gpus-per-machine 1 --network 25`,
		Flags:  flags,
		Action: a.bench,
	}
}

func (a *app) bench(c *cli.Context) (err error) {
	if c.Bool("scaling") {
		return a.benchScaling(c)
	}
	var scalingOnly []string
	for _, f := range scalingFlags() {
		scalingOnly = append(scalingOnly, f.Names()[0])
	}
	if err := a.refuseGiven(c, scalingOnly[1:], "is for the model of several GPUs: set --scaling too"); err != nil {
		return err
	}
	if c.IsSet("to-accuracy") {
		return a.benchAccuracy(c)
	}
	var recipeOnly []string
	for _, f := range accuracyFlags() {
		recipeOnly = append(recipeOnly, f.Names()[0])
	}
	if err := a.refuseGiven(c, recipeOnly, "is for whole runs: set --to-accuracy too"); err != nil {
		return err
	}
	if !c.Bool("suite") {
		if err := noArguments(c); err != nil {
			return err
		}
	}
	if err := a.takeBenchOutputs(c); err != nil {
		return err
	}
	if c.Bool("share") {
		if err := a.takeShare(c); err != nil {
			return err
		}
	}
	config, err := a.benchConfig(c)
	if err != nil {
		return err
	}
	if config.Subjects, err = openSubjects(c); err != nil {
		return err
	}
	defer func() {
		for _, s := range config.Subjects {
			err = errors.Join(err, s.Device.Close())
		}
	}()
	bar := &benchProgress{app: a, lastLine: time.Now()}
	config.Progress = bar.show
	report, failed := bench.Run(c.Context, config)
	bar.close()
	if errors.Is(failed, context.Canceled) {
		failed = errInterrupted
	}
	if len(report.Measurements) == 0 {
		return failed
	}
	if err := a.writeBench(c, report); err != nil {
		return errors.Join(failed, err)
	}
	if c.Bool("share") && !errors.Is(failed, errInterrupted) { // a part is nothing to send, and would be in the way of the whole
		return errors.Join(failed, a.share(report))
	}
	return failed
}

// shareName is the file that --share writes.
func shareName() string {
	return fmt.Sprintf("gputrain-bench-%s-%s.json", runtime.GOOS, runtime.GOARCH)
}

// takeShare checks that --share can write its file, and sets the flags that decide what is measured, unless they are given.
func (a *app) takeShare(c *cli.Context) error {
	if _, err := os.Lstat(shareName()); err == nil {
		return fmt.Errorf("--share: there is a file %s here: move it away, or run this in another folder", shareName())
	}
	if err := checkOutput(c, "share", shareName()); err != nil {
		return err
	}
	for flag, value := range map[string]string{
		"model": "tutorial,digits-l,resnet20", "batch": "50", "infer-batch": "1,50", "device": "cpu",
		"threads": fmt.Sprintf("1,%d,%d", cpufeat.Threads(), runtime.GOMAXPROCS(0)),
	} {
		if c.IsSet(flag) {
			continue
		}
		if err := c.Set(flag, value); err != nil {
			return err
		}
	}
	return nil
}

// share writes a report to a file of its own. It tells the day, but neither the hour nor the time zone.
func (a *app) share(r *bench.Report) error {
	r.Machine.Date = r.Machine.Date.UTC().Truncate(24 * time.Hour)
	_, err := a.writeOutput(shareName(), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.err, "Wrote %s; docs/arm64.md says where to send it.\n", shareName())
	return nil
}

// benchConfig reads the flags, except those for devices.
func (a *app) benchConfig(c *cli.Context) (config bench.Config, err error) {
	config = bench.Config{Optimizer: net.AdamDefault(1e-4), Seed: 1, Repeats: c.Int("repeats"), Least: c.Duration("repeat-time"),
		Machine: benchMachine()}
	if config.Repeats < 3 {
		return config, usagef("--repeats must be at least 3, got %d", config.Repeats)
	}
	if config.Least < time.Millisecond || config.Least > time.Minute {
		return config, usagef("--repeat-time must be from 1ms to 1m, got %v", config.Least)
	}
	wish := dataWish{seed: 1}
	if models := listOf(c, "model"); len(models) == 1 && !c.Bool("suite") {
		var err error
		if wish.input, err = inputOf(models[0]); err != nil {
			return config, err
		}
	}
	data, err := a.loadData(c, wish)
	if err != nil {
		return config, err
	}
	config.Data = data.train
	if config.Suite = c.Bool("suite"); config.Suite {
		config.Random = true
		config.Networks, err = suiteNetworks(c)
	} else {
		config.Networks, err = modelsOf(c, config.Data)
	}
	if err != nil {
		return config, err
	}
	for _, mode := range listOf(c, "mode") {
		if err := choose("mode", mode, []string{string(peers.Train), string(peers.Infer)}); err != nil {
			return config, err
		}
		sizes, flag := &config.Train, "batch"
		if mode == string(peers.Infer) {
			sizes, flag = &config.Infer, "infer-batch"
		}
		if *sizes, err = numbersOf(c, flag); err != nil {
			return config, err
		}
	}
	if config.Suite && len(config.Infer) > 0 && !c.IsSet("infer-batch") {
		config.Infer = []int{1, 50, 256}
	}
	names := listOf(c, "peers")
	if slices.Equal(names, []string{"all"}) {
		names = peers.Names
	}
	for _, name := range names {
		if err := choose("peers", name, append(slices.Clone(peers.Names), "all")); err != nil {
			return config, err
		}
		if name == "all" {
			return config, usagef("--peers: all stands alone")
		}
	}
	if config.Peers = names; len(names) > 0 {
		config.PeersDir, err = peersFolder(c.String("peers-folder"))
	}
	return config, err
}

// modelsOf returns the networks that --model names.
func modelsOf(c *cli.Context, data *net.Dataset) ([]*net.Network, error) {
	var out []*net.Network
	for _, name := range listOf(c, "model") {
		n, err := loadModel(name, data.Shape, data.Classes)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// suiteNetworks returns the networks of the suite: of the folder that is named, or else of the program. If --model is
// given, only those that it names.
func suiteNetworks(c *cli.Context) ([]*net.Network, error) {
	if c.NArg() > 1 {
		return nil, usagef("--suite takes one folder, got %d; %s", c.NArg(), helpHint(c))
	}
	all, err := bench.Suite()
	if dir := c.Args().First(); dir != "" {
		if all, err = bench.SuiteOf(os.DirFS(dir)); err != nil {
			return nil, fmt.Errorf("--suite: %s: %w", dir, err)
		}
	}
	if err != nil || !c.IsSet("model") {
		return all, err
	}
	var names []string
	for _, n := range all {
		names = append(names, n.Name)
	}
	var out []*net.Network
	for _, name := range listOf(c, "model") {
		if err := choose("model", name, names); err != nil {
			return nil, err
		}
		out = append(out, all[slices.Index(names, name)])
	}
	return out, nil
}

// listOf returns a flag's values, which are separated by commas, each once.
func listOf(c *cli.Context, flag string) []string {
	var out []string
	for _, word := range strings.FieldsFunc(c.String(flag), func(r rune) bool { return r == ',' || r == ' ' }) {
		if !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	return out
}

// numbersOf returns a flag's whole numbers, all at least 1.
func numbersOf(c *cli.Context, flag string) ([]int, error) {
	var out []int
	for _, word := range listOf(c, flag) {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return nil, usagef("--%s: %q is not a whole number of at least 1", flag, word)
		}
		out = append(out, n)
	}
	if len(out) == 0 {
		return nil, usagef("--%s is empty", flag)
	}
	return out, nil
}

// peersFolder returns the folder of the peers: the given one, or that of the source code, above or below the current
// folder.
func peersFolder(dir string) (string, error) {
	there := func(dir string) bool { _, err := os.Stat(filepath.Join(dir, "run")); return err == nil }
	if dir != "" {
		if !there(dir) {
			return "", usagef("--peers-folder: %s has no peers: name bench/peers of gputrain's sources", dir)
		}
		return dir, nil
	}
	at, err := os.Getwd()
	for err == nil {
		if dir := filepath.Join(at, "bench", "peers"); there(dir) {
			return dir, nil
		}
		if above := filepath.Dir(at); above != at {
			at = above
			continue
		}
		break
	}
	return "", usagef("--peers: no folder bench/peers here or above: run this in the folder of gputrain's sources, or name it by --peers-folder")
}

// openSubjects opens the devices that the flags ask for. It opens the CPU once for each number of threads, the highest
// first.
func openSubjects(c *cli.Context) (out []bench.Subject, err error) {
	defer func() {
		if err != nil {
			for _, s := range out {
				err = errors.Join(err, s.Device.Close())
			}
		}
	}()
	gpu, err := gpuOptions(c)
	if err != nil {
		return nil, err
	}
	threads := []int{cpufeat.Threads()}
	if c.IsSet("threads") {
		if threads, err = numbersOf(c, "threads"); err != nil {
			return nil, err
		}
		slices.Sort(threads)
		slices.Reverse(threads)
	}
	names := listOf(c, "device")
	if len(names) == 0 {
		return nil, usagef("--device is empty")
	}
	if i := slices.Index(names, "auto"); i >= 0 {
		auto := []string{"cpu"}
		if info := lookForCUDA(); info.Usable {
			auto = append(auto, "cuda")
		}
		names = slices.Replace(names, i, i+1, auto...)
	}
	for _, name := range names {
		for i, n := range threads {
			if i > 0 && name != "cpu" {
				break
			}
			device, _, err := openDeviceNamed(name, n, gpu)
			if err != nil {
				return out, err
			}
			s := bench.Subject{Name: name, Device: device}
			if name == "cpu" {
				s.Threads = n
				s.Tier = narrowTier()
			}
			if strings.HasPrefix(name, "cuda") {
				describeGPUSubject(&s, gpu.Precision)
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// narrowTier returns the instruction set to which the CPU device is kept though the processor has a wider one. It
// returns "" for any but AVX2, because peers can't be kept to another.
func narrowTier() string {
	available := cpufeat.Available()
	if tier, err := cpufeat.Select(); err == nil && tier == cpufeat.AVX2 && tier != available[len(available)-1] {
		return tier.String()
	}
	return ""
}

// describeGPUSubject sets what only a GPU has: its tolerance, its peers and what is inspected.
func describeGPUSubject(s *bench.Subject, p cuda.Precision) {
	// Factors have 10 bits after the point in TF32 and 7 in bfloat16. So they have errors of 2^-11 and 2^-8, which
	// average out in sums.
	switch p {
	case cuda.FP32:
	case cuda.BF16:
		s.Tolerance = 2e-2
	default:
		s.Tolerance = 2e-3
	}
	s.Peers = peers.Place{Device: s.Name, Precision: string(p)}
	if d, ok := s.Device.(interface{ Precision() cuda.Precision }); ok {
		s.Peers.Precision = string(d.Precision())
	}
	if simulated(s.Device.Name()) {
		s.Simulated = "software simulates this GPU, and its times would say nothing of one"
	}
	s.Inspect = func(p net.Program) (int64, []bench.Count) {
		g := gpuStatistics(p)
		if g == nil {
			return 0, nil
		}
		counts := []bench.Count{{What: "bytes of device memory, at most", N: g.Memory.Peak}, {What: "bytes of convolutions' workspace", N: g.Workspace}}
		if g.Graphs.Nodes > 0 {
			counts = append([]bench.Count{{What: "nodes in a training step's graph", N: int64(g.Graphs.Nodes)}}, counts...)
		}
		return g.Memory.Peak, counts
	}
}

// benchReport is a report of package bench: of steps, or of runs to an accuracy.
type benchReport interface {
	printedReport
	Plots() []bench.Plot
	WriteHTML(io.Writer) error
	WriteCSV(io.Writer) error
}

// writeBench prints a report, and writes the files that the flags ask for.
func (a *app) writeBench(c *cli.Context, r benchReport) error {
	if path := c.String("html"); path != "" {
		if _, err := a.writeOutput(path, r.WriteHTML); err != nil {
			return err
		}
	}
	if dir := c.String("plots"); dir != "" {
		for _, p := range r.Plots() {
			path := filepath.Join(dir, p.Name+".svg")
			if _, err := a.writeOutput(path, p.Drawing.WriteFile); err != nil {
				return err
			}
		}
	}
	switch {
	case c.Bool("json"):
		return a.printJSON(r, "")
	case c.Bool("csv"):
		return r.WriteCSV(a.out)
	}
	a.printBench(r)
	if path := c.String("html"); path != "" {
		fmt.Fprintf(a.out, "\nReport: %s\n", outputName(path))
	}
	return nil
}

// printedReport is what a report has for people.
type printedReport interface {
	Facts() [][2]string
	Tables() []bench.Table
	Legend() []string
}

// printBench prints a report for people.
func (a *app) printBench(r printedReport) {
	var f facts
	for _, fact := range r.Facts() {
		f.add(fact[0], fact[1])
	}
	f.write(a.out)
	for _, t := range r.Tables() {
		fmt.Fprintf(a.out, "\n%s\n", t.Title)
		out := table{align: t.Align}
		out.add(t.Head...)
		for _, row := range t.Rows {
			out.add(row...)
		}
		out.write(a.out)
	}
	fmt.Fprintln(a.out)
	for _, line := range r.Legend() {
		for _, part := range wrapped(line, 80) {
			fmt.Fprintln(a.out, part)
		}
	}
}
