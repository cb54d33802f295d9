package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// suite holds what the steps share.
type suite struct {
	root     string // root of the module; empty in a kit
	programs string // the folder of the programs to test
	built    bool   // the programs are there already
	commit   string
	scratch  string   // folder for checkpoints and the like
	env      []string // added to the environment of every command: where to look for libraries
	gpu      gpu
	size     size
}

// size tells how much the steps do.
type size struct {
	verify       []string // flags for verify
	limit        int      // number of training images, where a few are enough
	tests        string   // tests to run, as -run takes them
	train        []string // more flags for train
	fast         []string // more flags for the fast recipe, after those
	accuracy     float64  // accuracy in per cent that the tutorial's recipe must reach
	fastAccuracy float64  // accuracy that the fast recipe must reach
	benchmark    string   // benchmarks to run, as -bench takes them
	benchtime    string   // time of each benchmark
	simulated    bool     // accept a simulated GPU too; only for tests of this program
}

// full is for a GPU. The CPU device reaches 98.6 % with the tutorial's recipe and 99.5 % or more with the fast one. The
// accuracies here are so low that every seed should reach them.
var full = size{
	limit: 5000, tests: ".", accuracy: 98.2, fastAccuracy: 99.3, benchmark: "^BenchmarkStep$/^(tutorial|resnet20|resnet18|vgg11|mobilenetv2)$", benchtime: "300ms",
}

// gpu is what `gputrain devices --json` tells about CUDA.
type gpu struct {
	Available bool
	Note      string
	Problem   string
	ToDo      string `json:"to_do"`
	Libraries []struct {
		Library, Version, Release, Path, Problem string
		ToDo                                     string `json:"to_do"`
	}
	GPUs []struct {
		Name              string
		ComputeCapability string `json:"compute_capability"`
		Memory            int64
		Simulated         bool
		Problem           string
	}
}

// The folders of the module with tests that run on a GPU, and the programs that hold them.
var testPrograms = map[string]string{"cuda": "cuda.test", "cuda/sim": "cuda-sim.test"}

const product = "gputrain"

// newSuite finds the module, or a kit: a folder with the programs beside this one.
func newSuite() (*suite, error) {
	s := &suite{size: full}
	var err error
	if s.scratch, err = os.MkdirTemp("", "gputrain-test-gpu-"); err != nil {
		return nil, err
	}
	if self, err := os.Executable(); err == nil {
		dir := filepath.Dir(self)
		if commit, err := os.ReadFile(filepath.Join(dir, commitFile)); err == nil {
			s.programs, s.built, s.commit = dir, true, strings.TrimSpace(string(commit))
			return s, nil
		}
	}
	if s.root, err = moduleRoot(); err != nil {
		s.close()
		return nil, err
	}
	s.programs, s.commit = filepath.Join(s.scratch, "programs"), commitOf(s.root)
	return s, nil
}

func (s *suite) close() { os.RemoveAll(s.scratch) }

// steps returns the steps, the most important first, so that a run that ends early has shown what matters most.
func (s *suite) steps() []step {
	const minute = time.Minute
	return []step{
		{"machine", "nothing; it says what the machine is", minute, s.machine},
		{"build", "gputrain builds with CUDA", 10 * minute, s.build(product)},
		{"gpu", "the driver, cuDNN, cuBLAS and a GPU are found, and the GPU is none in software", minute, s.find},
		{"verify", "every layer's output and gradients are those of float64 arithmetic, within float32's and bfloat16's rounding", 5 * minute, s.verify},
		{"accuracy", fmt.Sprintf("the tutorial's network learns MNIST, to %g %% of the test images", s.size.accuracy), 5 * minute, s.accuracy},
		{"same bytes", "with --deterministic two runs with one seed give the same weights, bit for bit", 3 * minute, s.sameBytes},
		{"resumed", "a resumed run's weights are those of an uninterrupted one", 3 * minute, s.resumed},
		{"build of the tests", "they build with CUDA", 10 * minute, s.build(testPrograms["cuda"], testPrograms["cuda/sim"])},
		{"tests: device", "the suite that every device passes, and the device's own tests", 5 * minute, s.tests("cuda")},
		{"tests: libraries", "cuDNN and cuBLAS by way of gorgonia's packages, streams, a captured graph, a kernel", 3 * minute, s.tests("cuda/sim")},
		{"speed", "nothing; its figures are images/s in training steps, and in brackets the same with one thing changed", 10 * minute, s.speed},
		{"fastest arithmetic", fmt.Sprintf("the fast recipe learns MNIST in bfloat16, where the GPU has it, to %g %%", s.size.fastAccuracy), 3 * minute, s.fastest},
		{"memcheck", "no kernel of training steps touches memory that is not its own", 3 * minute, s.sanitizer("memcheck")},
		{"initcheck", "none reads memory that nobody wrote", 3 * minute, s.sanitizer("initcheck")},
		{"racecheck", "no threads of a kernel race in shared memory", 3 * minute, s.sanitizer("racecheck")},
		{"synccheck", "no thread misses a barrier", 3 * minute, s.sanitizer("synccheck")},
	}
}

// optional runs a command that not every machine has.
func optional(ctx context.Context, t *transcript, args ...string) {
	if _, err := exec.LookPath(args[0]); err != nil {
		t.printf("\n$ %s\n(not installed)\n", strings.Join(args, " "))
		return
	}
	_, _ = t.run(ctx, command{args: args}) // the transcript has what went wrong
}

func (s *suite) machine(ctx context.Context, t *transcript) (string, error) {
	optional(ctx, t, "uname", "-srm")
	optional(ctx, t, "sh", "-c", `. /etc/os-release; echo "$PRETTY_NAME"; nproc; grep -m1 "model name" /proc/cpuinfo; grep MemTotal /proc/meminfo`)
	optional(ctx, t, "nvidia-smi")
	optional(ctx, t, "nvidia-smi", "--format=csv", "--query-gpu=name,driver_version,pci.bus_id,memory.total,compute_cap,"+
		"power.limit,clocks.max.sm,clocks.max.memory,ecc.mode.current,mig.mode.current,compute_mode")
	for _, v := range []string{"CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "GPUTRAIN_CUDA_LIBS"} {
		t.printf("%s=%s\n", v, os.Getenv(v))
	}
	if _, err := exec.LookPath("nvidia-smi"); err != nil {
		return "there is no nvidia-smi", nil
	}
	return "", nil
}

// build returns a step that builds programs, if they didn't come with this one.
func (s *suite) build(names ...string) func(context.Context, *transcript) (string, error) {
	return func(ctx context.Context, t *transcript) (string, error) {
		if s.built {
			return "came with the kit", nil
		}
		return "", build(ctx, t, s.root, s.programs, names...)
	}
}

// gputrain runs the program under test.
func (s *suite) gputrain(ctx context.Context, t *transcript, args ...string) (string, error) {
	return t.run(ctx, command{args: append([]string{filepath.Join(s.programs, product)}, args...), dir: s.scratch, env: s.env})
}

// find looks for a GPU. If libraries are missing, it also tries those in Python packages.
func (s *suite) find(ctx context.Context, t *transcript) (string, error) {
	if err := s.describe(ctx, t); err != nil {
		return "", err
	}
	if s.lacksLibraries() {
		if folders := wheelFolders(ctx, t); len(folders) > 0 {
			all := append(folders, filepath.SplitList(os.Getenv("LD_LIBRARY_PATH"))...)
			s.env = append(s.env, "LD_LIBRARY_PATH="+strings.Join(all, string(filepath.ListSeparator)))
			t.printf("\nNot all libraries are where the system looks. Python's packages have some: once more, with LD_LIBRARY_PATH set.\n")
			if err := s.describe(ctx, t); err != nil {
				return "", err
			}
		}
	}
	if _, err := s.gputrain(ctx, t, "devices"); err != nil {
		return "", err
	}
	g := s.gpu
	for _, l := range g.Libraries {
		t.top(l.Library, strings.TrimSpace(l.Version+" "+l.Release+" "+l.Problem))
	}
	if err := g.refusal(s.size.simulated); err != nil {
		return "", err
	}
	first := g.GPUs[0]
	name := fmt.Sprintf("%s, compute capability %s, %.1f GiB", first.Name, first.ComputeCapability, float64(first.Memory)/(1<<30))
	t.top("GPU 0", name)
	for _, v := range s.env {
		t.top("with", v)
	}
	return name, nil
}

func (s *suite) describe(ctx context.Context, t *transcript) error {
	out, err := t.run(ctx, command{
		args: []string{filepath.Join(s.programs, product), "devices", "--json"}, dir: s.scratch, env: s.env,
		keep: func(string) bool { return false }, // left out: it is long, and devices without --json says the same
	})
	if err != nil {
		return err
	}
	s.gpu = gpu{}
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&s.gpu); err != nil {
		return fmt.Errorf("gputrain devices --json: %w", err)
	}
	return nil
}

// lacksLibraries reports whether cuDNN or cuBLAS wasn't found although there is a driver.
func (s *suite) lacksLibraries() bool {
	libraries := s.gpu.Libraries
	if len(libraries) == 0 || libraries[0].Problem != "" {
		return false
	}
	for _, l := range libraries[1:] {
		if l.Problem != "" {
			return true
		}
	}
	return false
}

// refusal returns an error that tells why there is no GPU to test, and everything that is missing. It returns nil if
// there is one.
func (g gpu) refusal(simulated bool) error {
	if !g.Available {
		lines := []string{"there is no GPU to test: " + g.Note}
		for _, l := range g.Libraries {
			if l.ToDo != "" {
				lines = append(lines, l.Library+": "+l.ToDo)
			}
		}
		if g.ToDo != "" {
			lines = append(lines, g.ToDo)
		}
		return errors.New(strings.Join(append(lines, "docs/gpu.md says more"), "\n"))
	}
	switch first := g.GPUs[0]; {
	case first.Simulated && !simulated:
		return fmt.Errorf("GPU 0, %s, is software that simulates a GPU: unset GPUTRAIN_CUDA_LIBS", first.Name)
	case first.Problem != "":
		return fmt.Errorf("GPU 0, %s: %s; CUDA_VISIBLE_DEVICES chooses another one", first.Name, first.Problem)
	}
	return nil
}

func (s *suite) verify(ctx context.Context, t *transcript) (string, error) {
	var made []string
	for _, precision := range slices.Compact([]string{"fp32", s.narrowest()}) {
		out, err := s.gputrain(ctx, t, append([]string{"verify", "--device", "cuda", "--precision", precision}, s.size.verify...)...)
		if err != nil {
			return "", err
		}
		match := regexp.MustCompile(`all ([\d,]+) comparisons`).FindStringSubmatch(out)
		if match == nil {
			return "", errors.New("verify does not say how many comparisons it made")
		}
		made = append(made, match[1]+" in "+precision)
	}
	return "comparisons: " + strings.Join(made, ", "), nil
}

// narrowest returns the precision with the narrowest numbers that the GPU has.
func (s *suite) narrowest() string {
	major, _, _ := strings.Cut(s.gpu.GPUs[0].ComputeCapability, ".")
	if n, err := strconv.Atoi(major); err == nil && n >= 8 {
		return "bf16"
	}
	return "fp32"
}

// train trains with the given flags into a folder of its own. It returns the output and the last checkpoint.
func (s *suite) train(ctx context.Context, t *transcript, folder string, flags ...string) (out, checkpoint string, err error) {
	folder = filepath.Join(s.scratch, folder)
	args := slices.Concat([]string{"train", "--device", "cuda", "--run", folder}, s.size.train, flags)
	out, err = s.gputrain(ctx, t, args...)
	return out, filepath.Join(folder, "last.safetensors"), err
}

var (
	finalAccuracy = regexp.MustCompile(`Final test accuracy: ([\d.]+) %`)
	imagesASecond = regexp.MustCompile(`\(.*?([\d,]+) images/s\)`)
)

// learn trains, and compares the test accuracy in per cent with a bar that it must reach.
func (s *suite) learn(ctx context.Context, t *transcript, bar float64, folder string, flags ...string) (string, error) {
	out, _, err := s.train(ctx, t, folder, append(flags, s.verbose(ctx, t)...)...)
	if err != nil {
		return "", err
	}
	match := finalAccuracy.FindStringSubmatch(out)
	if match == nil {
		return "", errors.New("train does not tell the final test accuracy")
	}
	got, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		return "", err
	}
	if !(got >= bar) {
		return "", fmt.Errorf("test accuracy %g %%, want at least %g %%", got, bar)
	}
	return fmt.Sprintf("test accuracy %g %%, %s images/s", got, lastSpeed(out)), nil
}

// lastSpeed returns the speed of the last epoch.
func lastSpeed(out string) string {
	all := imagesASecond.FindAllStringSubmatch(out, -1)
	if all == nil {
		return "unknown"
	}
	return all[len(all)-1][1]
}

// verbose returns the flag with which train tells about memory and graphs, if it has one.
func (s *suite) verbose(ctx context.Context, t *transcript) []string {
	if strings.Contains(s.help(ctx, t), "--verbose") {
		return []string{"--verbose"}
	}
	return nil
}

// help returns the help of train. It is not for the report.
func (s *suite) help(ctx context.Context, t *transcript) string {
	out, _ := (&transcript{report: t.report}).run(ctx, command{args: []string{filepath.Join(s.programs, product), "train", "--help"}})
	return out
}

func (s *suite) accuracy(ctx context.Context, t *transcript) (string, error) {
	return s.learn(ctx, t, s.size.accuracy, "accuracy", "--precision", "fp32", "--seed", "1")
}

func (s *suite) fastest(ctx context.Context, t *transcript) (string, error) {
	return s.learn(ctx, t, s.size.fastAccuracy, "fastest", append([]string{"--recipe", "fast", "--seed", "1", "--precision", s.narrowest()}, s.size.fast...)...)
}

// few returns the flags of runs whose weights are compared.
func (s *suite) few() []string {
	return []string{"--deterministic", "--seed", "1", "--limit", strconv.Itoa(s.size.limit)}
}

func (s *suite) sameBytes(ctx context.Context, t *transcript) (string, error) {
	var all []string
	for _, folder := range []string{"same-1", "same-2"} {
		_, checkpoint, err := s.train(ctx, t, folder, append(s.few(), "--epochs", "2")...)
		if err != nil {
			return "", err
		}
		all = append(all, checkpoint)
	}
	return compare(all[0], all[1])
}

func (s *suite) resumed(ctx context.Context, t *transcript) (string, error) {
	_, whole, err := s.train(ctx, t, "uninterrupted", append(s.few(), "--epochs", "2")...)
	if err != nil {
		return "", err
	}
	if _, _, err := s.train(ctx, t, "resumed", append(s.few(), "--epochs", "1")...); err != nil {
		return "", err
	}
	_, resumed, err := s.train(ctx, t, "resumed", append(s.few(), "--resume", "--epochs", "2")...)
	if err != nil {
		return "", err
	}
	return compare(whole, resumed)
}

// compare tells whether two checkpoints hold the same weights and moments.
func compare(a, b string) (string, error) {
	first, err := tensorsOf(a)
	if err != nil {
		return "", err
	}
	second, err := tensorsOf(b)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(first, second) {
		return "", fmt.Errorf("%s and %s differ", filepath.Base(filepath.Dir(a)), filepath.Base(filepath.Dir(b)))
	}
	return fmt.Sprintf("%d bytes are equal", len(first)), nil
}

// speed times training steps of several networks by mini-batch and precision. In the same run it also times them in other
// ways: with cuDNN's convolutions alone, on one stream, with channels last.
func (s *suite) speed(ctx context.Context, t *transcript) (string, error) {
	c := s.test("cuda", "-test.run=^$", "-test.bench="+s.size.benchmark, "-test.benchtime="+s.size.benchtime)
	out, err := t.run(ctx, c)
	if err != nil {
		return "", err
	}
	return speeds(out)
}

// testEnvironment makes tests run on the GPU; see package cuda/sim.
const testEnvironment = "GPUTRAIN_TEST_GPU=1"

// test returns the command for the tests in a folder of the module.
func (s *suite) test(folder string, flags ...string) command {
	c := command{
		args: append([]string{filepath.Join(s.programs, testPrograms[folder])}, flags...),
		dir:  s.scratch, env: append(slices.Clone(s.env), testEnvironment),
	}
	if s.root != "" {
		c.dir = filepath.Join(s.root, folder)
	}
	return c
}

// tests returns a step that runs the tests in a folder and counts them.
func (s *suite) tests(folder string) func(context.Context, *transcript) (string, error) {
	return func(ctx context.Context, t *transcript) (string, error) {
		c := s.test(folder, "-test.v", "-test.count=1", "-test.run="+s.size.tests)
		c.keep = func(line string) bool { return !strings.HasPrefix(line, "===") }
		out, err := t.run(ctx, c)
		n := countTests(out)
		if n.failed > 0 {
			return "", fmt.Errorf("%v", n)
		}
		return n.String(), errors.Join(err, n.check())
	}
}

// findSanitizer returns the path of compute-sanitizer, or "" if there is none.
func findSanitizer() string {
	const program = "compute-sanitizer"
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	found, _ := filepath.Glob("/usr/local/cuda*/bin/" + program)
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

// sanitizer returns a step that runs a few training steps under a tool of compute-sanitizer. Every buffer is then an
// allocation of its own.
func (s *suite) sanitizer(tool string) func(context.Context, *transcript) (string, error) {
	return func(ctx context.Context, t *transcript) (string, error) {
		program := findSanitizer()
		if program == "" {
			return "", notRun("compute-sanitizer is not installed; it comes with the CUDA toolkit")
		}
		c := s.test("cuda", "-test.count=1", "-test.v", "-test.run=^TestSameBytes$/^buffers_of_their_own$/^seed=1$")
		c.args = append([]string{program, "--tool", tool, "--error-exitcode", "99"}, c.args...)
		out, err := t.run(ctx, c)
		for _, why := range []string{"Device not supported", "Unable to find injection library"} {
			if strings.Contains(out, why) {
				return "", notRun("compute-sanitizer doesn't work here: " + why)
			}
		}
		if err != nil {
			return "", err
		}
		if n := countTests(out); n.passed == 0 {
			return "", errors.New("no training step ran under " + tool)
		}
		return sanitizerSummary(out)
	}
}

var errorSummary = regexp.MustCompile(`ERROR SUMMARY: (\d+) errors?|RACECHECK SUMMARY: .*`)

func sanitizerSummary(out string) (string, error) {
	line := errorSummary.FindString(out)
	if line == "" {
		return "", errors.New("compute-sanitizer gave no summary")
	}
	return line, nil
}
