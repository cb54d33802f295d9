package elsewhere_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"image"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/elsewhere"
	"github.com/gputrain/gputrain/internal/plain"
	"github.com/gputrain/gputrain/internal/shown"
	"github.com/gputrain/gputrain/internal/testenv"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// randomPicture draws a picture with a plain border, some of it transparent.
func randomPicture(r *rand.Rand, width, height int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		x, y := i/4%width, i/4/width
		if img.Pix[i] = 250; x > 5 && x < width-5 && y > 3 && y < height-3 {
			img.Pix[i] = uint8(r.Uint32())
		}
	}
	return img
}

// TestEngineIsCurrent compares the sources of the engine with those that the compiled one was made of.
func TestEngineIsCurrent(t *testing.T) {
	list, err := os.ReadFile(filepath.Join("browser", "sources.txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{} // hashes by file
	for _, line := range strings.Split(strings.TrimSpace(string(list)), "\n") {
		hash, file, _ := strings.Cut(line, "  ")
		want[file] = hash
	}
	for _, folder := range []string{"engine", "../plain", "../prepare", "../shown"} {
		files, err := filepath.Glob(folder + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			file = filepath.ToSlash(file)
			if hash := fmt.Sprintf("%x", sha256.Sum256(b)); hash != want[file] {
				t.Errorf("%s has changed since browser/engine.wasm.gz was made: go generate makes it anew, or with another Go than then, go run generate.go -with-this-go", file)
			}
			delete(want, file)
		}
	}
	for file := range want {
		t.Errorf("%s is gone since browser/engine.wasm.gz was made", file)
	}
}

// TestEngine runs the compiled engine in Node. It sees and answers what this program does.
func TestEngine(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node on this machine, which runs WebAssembly")
	}
	r := testenv.Rand(t)
	z, err := os.Open(filepath.Join("browser", "engine.wasm.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	unzipped, err := gzip.NewReader(z)
	if err != nil {
		t.Fatal(err)
	}
	wasm, err := io.ReadAll(unzipped)
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join("browser", "wasm_exec.js"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		network  *net.Network
		pictures map[picture.Preparation]*image.NRGBA
	}{
		{net.BuiltIn("digits-s"), map[picture.Preparation]*image.NRGBA{picture.Digit: randomPicture(r, 90, 70), picture.Stretch: randomPicture(r, 28, 28)}},
		{net.BuiltIn("resnet20"), map[picture.Preparation]*image.NRGBA{picture.Stretch: randomPicture(r, 90, 60), picture.Fit: randomPicture(r, 20, 40), picture.Crop: randomPicture(r, 300, 200)}},
		{windows(), map[picture.Preparation]*image.NRGBA{picture.Stretch: randomPicture(r, 40, 44)}},
	} {
		t.Run(c.network.Name, func(t *testing.T) {
			plan, err := c.network.Plan()
			if err != nil {
				t.Fatal(err)
			}
			steps, weights := elsewhere.Compile(plan, weightsOf(plan, r))
			in := plain.Shape(c.network.Input)
			network := plain.New(in, steps, string(weights))
			const scale = 1. / 200
			type pictureRGBA struct {
				RGBA    []byte `json:"rgba"`
				Width   int    `json:"width"`
				Height  int    `json:"height"`
				Prepare string `json:"prepare"`
			}
			var task struct {
				Network  any           `json:"network"`
				Weights  []byte        `json:"weights"`
				Pictures []pictureRGBA `json:"pictures"`
			}
			task.Network = map[string]any{"In": in, "Steps": steps, "Scale": scale}
			task.Weights = weights
			var order []picture.Preparation
			for how, img := range c.pictures {
				task.Pictures = append(task.Pictures, pictureRGBA{img.Pix, img.Rect.Dx(), img.Rect.Dy(), string(how)})
				order = append(order, how)
			}
			text, err := json.Marshal(task)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			for name, content := range map[string][]byte{"task.json": text, "engine.wasm": wasm, "wasm_exec.js": script} {
				if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			var problems bytes.Buffer
			run := exec.Command(node, filepath.Join("testdata", "engine.js"), dir)
			run.Stderr = &problems
			out, err := run.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, &problems)
			}
			type shape struct {
				C int `json:"channels"`
				H int `json:"height"`
				W int `json:"width"`
			}
			type layer struct {
				Name         string
				Shape, Shown shape
				Low, High    float64
				Data         []int
			}
			var got struct {
				Answers []struct {
					Error         string
					Pixels        []int
					Probabilities []float64
					Layers        []layer
				}
			}
			if err := json.Unmarshal(out, &got); err != nil || len(got.Answers) != len(order) {
				t.Fatalf("%v: %d answers to %d pictures", err, len(got.Answers), len(order))
			}
			for i, how := range order {
				answer := got.Answers[i]
				want, err := how.Pixels(c.pictures[how], c.network.Input)
				if err != nil || answer.Error != "" {
					t.Fatalf("%s: errors %v and %s", how, err, answer.Error)
				}
				if strings.Trim(fmt.Sprint(answer.Pixels), "[]") != strings.Trim(fmt.Sprint(want), "[]") {
					t.Errorf("%s: the engine prepares another picture", how)
				}
				values := make([]float32, len(want))
				for k, b := range want {
					values[k] = float32(b) * scale
				}
				probabilities := plain.Trace(network, values, func(k int, output []float32) {
					l, s := answer.Layers[k], steps[k]
					v := shown.Of(output, s.Out.C, s.Out.H, s.Out.W)
					if l.Name != s.Name || l.Shape != shape(s.Out) || l.Shown != (shape{v.C, v.H, v.W}) || len(l.Data) != len(v.Data) {
						t.Fatalf("%s: layer %d is %s of %v, shown as %v in %d bytes; want %s of %v, %+v", how, k, l.Name, l.Shape, l.Shown, len(l.Data), s.Name, s.Out, v)
					}
					tolerance := approx.Tolerance{Abs: 1e-5 * max(v.High, -v.Low)}
					approx.Check(t, s.Name+": range", []float64{l.Low, l.High}, []float64{v.Low, v.High}, tolerance)
					for j, b := range v.Data { // may be rounded to the other side
						if d := l.Data[j] - int(b); d < -1 || d > 1 {
							t.Fatalf("%s: %s: byte %d is %d, want %d", how, s.Name, j, l.Data[j], b)
						}
					}
				})
				approx.Check(t, string(how)+": probabilities", answer.Probabilities, probabilities, approx.Tolerance{Abs: 1e-5})
			}
		})
	}
}
