package net

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nlpodyssey/safetensors"
	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/memlimit"
	"github.com/gputrain/gputrain/internal/testenv"
)

var update = flag.Bool("update", false, "write the files in testdata anew")

// someCheckpoint is of a network with trained and running parameters, one of
// whose layers has the name of the optimiser's prefix, in the midst of a run.
func someCheckpoint(t testing.TB) *Checkpoint {
	t.Helper()
	n := &Network{Name: "small", Input: Shape{1, 2, 2}, Layers: []Layer{
		&Conv{Name: "optimizer", Filters: 2, Kernel: Square(2), BiasInit: truncated(1)},
		&BatchNorm{Name: "norm"}, &Flatten{},
		&Dense{Name: "out", Units: 3, WeightInit: Initializer{Method: Glorot}},
	}}
	plan, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	// Exact in float32, and so the same on every machine.
	values := func(q Param, start float32) *tensor.Dense {
		v := make([]float32, q.Size())
		for k := range v {
			v[k] = start + float32(k)/1024
		}
		return tensor.New(tensor.WithShape(q.Dims...), tensor.WithBacking(v))
	}
	st := State{Params: map[string]*tensor.Dense{}, Optimizer: map[string]*tensor.Dense{}}
	for i, q := range plan.Params {
		st.Params[q.Name] = values(q, -float32(i))
		if q.Trained {
			st.Optimizer[q.Name+".m"] = values(q, float32(i)+0.25)
			st.Optimizer[q.Name+".v"] = values(q, float32(i)+0.5)
		}
	}
	st.Step = 2*3 + 1
	return &Checkpoint{
		Network:    n,
		Recipe:     Recipe{Name: "test", Epochs: 4, Batch: 4, Optimizer: AdamDefault(1e-3), Seed: 1<<64 - 1, Patience: 2},
		Device:     "none",
		Train:      DatasetID{Name: "train", Samples: 10, SHA256: "aa"},
		Validation: &DatasetID{Name: "validation", Samples: 3, SHA256: "bb"},
		Position:   Position{Epoch: 2, Step: 1, Samples: 4, Loss: 0.1 + 0.2, Hits: 3},
		History: []EpochResult{
			{Epoch: 1, Cost: 1. / 3, Accuracy: 0.5, Validation: &Score{Loss: 0.25, Accuracy: 2. / 3}, Test: &Score{Loss: 0.5, Accuracy: 0.75}},
			{Epoch: 2, Cost: 0.125, Accuracy: 0.75, Validation: &Score{Loss: 0.5, Accuracy: 1}},
		},
		State: st,
	}
}

// averagedCheckpoint is someCheckpoint of a run with all that a later version added:
// averages, of which two layers have the names of prefixes, a subject, and settings.
func averagedCheckpoint(t testing.TB) *Checkpoint {
	c := someCheckpoint(t)
	c.Network.Layers[1].(*BatchNorm).Name = "average"
	for _, of := range []map[string]*tensor.Dense{c.State.Params, c.State.Optimizer} {
		for name, values := range of {
			if rest, ok := strings.CutPrefix(name, "norm."); ok {
				delete(of, name)
				of["average."+rest] = values
			}
		}
	}
	c.State.Average = map[string]*tensor.Dense{}
	for name, of := range c.State.Params {
		v := slices.Clone(of.Float32s())
		for i := range v {
			v[i] += 16
		}
		c.State.Average[name] = tensor.New(tensor.WithShape(of.Shape()...), tensor.WithBacking(v))
	}
	c.Recipe.Average, c.Recipe.Augment, c.Recipe.Views = 0.9, everySetting(), MirrorView
	c.Recipe.Loss = Criterion{Smoothing: 0.1, ClassWeights: []float64{1, 2, 0.5}}
	c.Recipe.Optimizer.Groups = []Group{{Params: "out.*", Factor: 3}}
	c.Subject = &Subject{Data: "garments", Folder: "/data/garments", ClassNames: []string{"coat", "bag", "shoe"}, Scale: 1. / 255, Prepare: "fit"}
	c.History[1].Validation.Top = 1
	return c
}

func sameTensors(a, b map[string]*tensor.Dense) bool {
	return maps.EqualFunc(a, b, func(x, y *tensor.Dense) bool {
		return x.Shape().Eq(y.Shape()) && slices.EqualFunc(x.Float32s(), y.Float32s(), func(v, w float32) bool {
			return math.Float32bits(v) == math.Float32bits(w)
		})
	})
}

func TestCheckpointRoundTrip(t *testing.T) {
	weightsOnly := someCheckpoint(t)
	weightsOnly.State.Optimizer = map[string]*tensor.Dense{}
	noValidation := someCheckpoint(t)
	noValidation.Validation = nil
	for i := range noValidation.History {
		noValidation.History[i].Validation = nil
	}
	for name, c := range map[string]*Checkpoint{
		"whole": someCheckpoint(t), "weights only": weightsOnly, "no validation": noValidation, "averages": averagedCheckpoint(t),
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, LastCheckpoint)
		if err := SaveCheckpoint(path, c); err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{path, dir} {
			got, err := LoadCheckpoint(from)
			if err != nil {
				t.Fatal(err)
			}
			if !sameTensors(got.State.Params, c.State.Params) || !sameTensors(got.State.Optimizer, c.State.Optimizer) ||
				!sameTensors(got.State.Average, c.State.Average) || (got.State.Average == nil) != (c.State.Average == nil) {
				t.Errorf("%s: tensors changed", name)
			}
			if got.State.Step != 7 || got.path != path {
				t.Errorf("%s: step %d, path %s", name, got.State.Step, got.path)
			}
			got.State, got.path = c.State, ""
			if !reflect.DeepEqual(got, c) {
				t.Errorf("%s: came back as\n%+v, want\n%+v", name, got, c)
			}
		}
		onlyFile(t, dir, LastCheckpoint)
	}
}

// TestCheckpointFormat holds to the bytes of the first version: old files must
// stay readable, and equal checkpoints give equal bytes on every machine.
func TestCheckpointFormat(t *testing.T) {
	const golden = "testdata/checkpoint-1.safetensors"
	path := filepath.Join(t.TempDir(), "c")
	if *update {
		path = golden
	}
	if err := SaveCheckpoint(path, someCheckpoint(t)); err != nil {
		t.Fatal(err)
	}
	if contents(t, path) != contents(t, golden) {
		t.Errorf("the bytes differ from %s: raise the version, and keep reading this one", golden)
	}
	c, err := LoadCheckpoint(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !sameTensors(c.State.Params, someCheckpoint(t).State.Params) {
		t.Error("weights changed")
	}
	// What files of then don't know of.
	if c.Subject != nil || c.State.Average != nil || c.Recipe.Average != 0 || !c.Recipe.Augment.Plain() || !c.Recipe.Loss.Plain() {
		t.Errorf("an old file came back with %+v, %d averages and recipe %+v", c.Subject, len(c.State.Average), c.Recipe)
	}
	if _, of, err := someCheckpoint(t).encode(); err != nil || of[keySubject] != "" {
		t.Errorf("a subject %q without one (%v)", of[keySubject], err)
	}
}

// TestCheckpointWeights prefers the averages: they are what evaluations were made with.
func TestCheckpointWeights(t *testing.T) {
	plain, averaged := someCheckpoint(t), averagedCheckpoint(t)
	if !sameTensors(plain.Weights(), plain.State.Params) || !sameTensors(averaged.Weights(), averaged.State.Average) || sameTensors(averaged.Weights(), averaged.State.Params) {
		t.Error("the weights to evaluate with are others")
	}
}

func TestTutorialInJSON(t *testing.T) {
	const golden = "testdata/tutorial.json"
	if *update {
		b, err := json.MarshalIndent(BuiltIn("tutorial"), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	n, err := ParseNetwork(strings.NewReader(contents(t, golden)))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(n, BuiltIn("tutorial")) {
		t.Errorf("%s is another network", golden)
	}
}

// refused loads bytes as a checkpoint and returns the message.
func refused(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.safetensors")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := LoadCheckpoint(path)
	if err == nil {
		return "accepted"
	}
	if !errors.Is(err, ErrCheckpoint) || !strings.HasPrefix(err.Error(), "checkpoint "+path+": ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q does not wrap ErrCheckpoint, name the path or stay on one line", err)
	}
	return err.Error()
}

// file returns the bytes of a checkpoint and the length of its header.
func file(t testing.TB) (b []byte, header int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c")
	if err := SaveCheckpoint(path, someCheckpoint(t)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b, 8 + int(binary.LittleEndian.Uint64(b))
}

// encodeCheckpoint returns the bytes of a file, without looking whether c's parts
// fit together.
func encodeCheckpoint(c *Checkpoint) ([]byte, error) {
	tensors, meta, err := c.encode()
	if err != nil {
		return nil, err
	}
	return safetensors.Serialize(tensors, meta)
}

// withChecksum returns the file with its checksum made right, where it is near
// enough to the format.
func withChecksum(b []byte) []byte {
	tensors, meta, err := readTensors(b)
	if err != nil || meta == nil {
		return b
	}
	meta[keyChecksum] = checksum(meta, tensors)
	out, err := safetensors.Serialize(tensors, meta)
	if err != nil {
		return b
	}
	return out
}

// withHeader makes a safetensors file of a header and data.
func withHeader(header string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func TestTruncatedCheckpointIsRefused(t *testing.T) {
	b, header := file(t)
	for _, n := range []int{0, 1, 7, 8, 100, header - 1, header, header + 1, len(b) - 4, len(b) - 1} {
		if got := refused(t, b[:n]); !strings.Contains(got, "damaged, cut short") {
			t.Errorf("cut at %d of %d: %s", n, len(b), got)
		}
	}
	if got := refused(t, append(slices.Clone(b), 0)); !strings.Contains(got, "damaged") {
		t.Errorf("with a byte more: %s", got)
	}
}

// TestFlippedBitIsRefused flips a bit of each byte of the file in turn, but for
// the spaces that fill up the header.
func TestFlippedBitIsRefused(t *testing.T) {
	b, header := file(t)
	end := header
	for b[end-1] == ' ' {
		end--
	}
	for i := range b {
		if i >= end && i < header {
			continue
		}
		b[i] ^= 1 << (i % 8)
		if _, err := decodeCheckpoint(b); err == nil {
			t.Errorf("bit %d of byte %d flipped to %q: accepted", i%8, i, b[i])
		}
		b[i] ^= 1 << (i % 8)
	}
	data := slices.Clone(b)
	data[len(data)-1] ^= 1
	if got := refused(t, data); !strings.Contains(got, "damaged: the checksum does not match") {
		t.Error(got)
	}
}

func TestForeignCheckpointIsRefused(t *testing.T) {
	huge := binary.LittleEndian.AppendUint64(nil, math.MaxUint64)
	large := binary.LittleEndian.AppendUint64(nil, 90_000_000)
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"text", []byte("once upon a time there was a file"), "not in the safetensors format"},
		{"somebody else's", withHeader(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"__metadata__":{"format":"pt"}}`, make([]byte, 4)), "not written by gputrain"},
		{"no metadata", withHeader(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, make([]byte, 4)), "not written by gputrain"},
		{"newer", withHeader(`{"__metadata__":{"format":"gputrain","version":"2"}}`, nil), "written by a newer gputrain: version 2, this one reads up to 1"},
		{"no version", withHeader(`{"__metadata__":{"format":"gputrain"}}`, nil), `damaged: version ""`},
		{"header of 2^64 bytes", append(huge, "{}"...), "header too large"},
		{"header beyond the file", append(large, "{}"...), "invalid header length"},
		{"overlap", withHeader(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, make([]byte, 8)), "offset"},
		{"hole", withHeader(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, make([]byte, 8)), "offset"},
		{"beyond the data", withHeader(`{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`, make([]byte, 8)), "incomplete"},
		{"shape against offsets", withHeader(`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, make([]byte, 8)), "mismatch"},
		{"shape that overflows", withHeader(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}`, make([]byte, 8)), "overflow"},
		{"backwards", withHeader(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}`, make([]byte, 8)), "offset"},
	} {
		if got := refused(t, c.b); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %q", c.name, got, c.want)
		}
	}
}

// TestCheckpointAtOddsWithItself changes what was written before the checksum,
// so that only the contents tell.
func TestCheckpointAtOddsWithItself(t *testing.T) {
	zeros := func(dims ...int) *tensor.Dense {
		return tensor.New(tensor.WithShape(dims...), tensor.Of(tensor.Float32))
	}
	for _, c := range []struct {
		name   string
		change func(*Checkpoint)
		want   string
	}{
		{"no network", func(c *Checkpoint) { c.Network = nil }, "has no network"},
		{"wrong network", func(c *Checkpoint) { c.Network.Layers[3] = &Flatten{} }, "not the network's"},
		{"impossible network", func(c *Checkpoint) { c.Network.Layers[3] = &Dense{Name: "out"} }, "layer 3 (out): units must be at least 1"},
		{"wrong recipe", func(c *Checkpoint) { c.Recipe.Batch = 0 }, "batch size"},
		{"too many mini-batches", func(c *Checkpoint) { c.Recipe.Accumulate = 1 << 62 }, "mini-batches to accumulate"},
		{"sums of another update", func(c *Checkpoint) { c.Recipe.Accumulate, c.State.Step = 2, 2*2+1 }, "do not belong to step 1"},
		{"no samples", func(c *Checkpoint) { c.Train.Samples = 0 }, "training set of 0 samples"},
		{"epoch", func(c *Checkpoint) { c.Position.Epoch = 5 }, "outside 4 epochs of 3 steps"},
		{"step", func(c *Checkpoint) { c.Position.Step = 4 }, "outside 4 epochs of 3 steps"},
		{"sums", func(c *Checkpoint) { c.Position.Samples = 5 }, "do not belong to step 1"},
		{"hits", func(c *Checkpoint) { c.Position.Hits = 5 }, "do not belong to step 1"},
		{"history", func(c *Checkpoint) { c.History = c.History[:1] }, "history of 1 epochs"},
		{"history's epochs", func(c *Checkpoint) { c.History[1].Epoch = 1 }, "history of epoch 2"},
		{"history without validation", func(c *Checkpoint) { c.History[0].Validation = nil }, "history of epoch 1"},
		{"state's step", func(c *Checkpoint) { c.State.Step = 8 }, "state after 8 steps"},
		{"shape of a weight", func(c *Checkpoint) { c.State.Params["out.bias"] = zeros(4) }, "out.bias has dimensions [4], the network wants [3]"},
		{"missing weight", func(c *Checkpoint) { delete(c.State.Params, "out.bias") }, "out.bias is missing"},
		{"missing moment", func(c *Checkpoint) { delete(c.State.Optimizer, "out.bias.v") }, "out.bias.v is missing"},
		{"weight of nobody", func(c *Checkpoint) { c.State.Params["in.bias"] = zeros(4) }, "in.bias is not the network's"},
		{"NaN", func(c *Checkpoint) { c.State.Params["out.bias"].Float32s()[1] = float32(math.NaN()) }, "out.bias holds NaN or an infinity"},
		{"missing average", func(c *Checkpoint) { c.State.Average = map[string]*tensor.Dense{"out.bias": zeros(3)} }, "averages: state does not fit: tensor norm.bias is missing"},
		{"average of nobody", func(c *Checkpoint) {
			c.State.Average = maps.Clone(c.State.Params)
			c.State.Average["in.bias"] = zeros(4)
		}, "averages: state does not fit: tensor in.bias is not the network's"},
		{"average NaN", func(c *Checkpoint) {
			c.State.Average = maps.Clone(c.State.Params)
			v := zeros(3)
			v.Float32s()[0] = float32(math.NaN())
			c.State.Average["out.bias"] = v
		}, "out.bias holds NaN or an infinity"},
		{"subject", func(c *Checkpoint) { c.Subject = &Subject{Scale: -1} }, "subject: scale -1"},
		{"dropped samples", func(c *Checkpoint) {
			c.Recipe.DropLast, c.State.Step = true, 2*2+2
			c.Position.Step, c.Position.Samples = 2, 10
		}, "do not belong to step 2"},
		{"infinity", func(c *Checkpoint) { c.State.Optimizer["out.bias.v"].Float32s()[1] = float32(math.Inf(-1)) }, "out.bias.v holds NaN or an infinity"},
	} {
		bad := someCheckpoint(t)
		c.change(bad)
		dir := t.TempDir()
		path := filepath.Join(dir, "c")
		if err := SaveCheckpoint(path, bad); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: saving gives %v, want %q", c.name, err, c.want)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
			t.Errorf("%s: the folder holds %v (%v)", c.name, entries, err)
		}
		if bad.Network == nil {
			continue
		}
		b, err := encodeCheckpoint(bad)
		if err != nil {
			t.Fatal(err)
		}
		// The step is not written: it follows from the position.
		if got := refused(t, b); c.name != "state's step" && !strings.Contains(got, c.want) {
			t.Errorf("%s: loading gives %s, want %q", c.name, got, c.want)
		}
	}
}

func TestSaveCheckpointLeavesTheOldOne(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, LastCheckpoint)
	if err := SaveCheckpoint(path, someCheckpoint(t)); err != nil {
		t.Fatal(err)
	}
	was := contents(t, path)
	bad := someCheckpoint(t)
	bad.State.Params["out.bias"].Float32s()[0] = float32(math.Inf(1))
	if err := SaveCheckpoint(path, bad); !errors.Is(err, ErrNotFinite) {
		t.Errorf("error %v", err)
	}
	if contents(t, path) != was {
		t.Error("a checkpoint that was refused replaced the old one")
	}
	onlyFile(t, dir, LastCheckpoint)
}

func TestMissingCheckpoint(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "none"), dir} {
		if _, err := LoadCheckpoint(path); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v", path, err)
		}
	}
	err := SaveCheckpoint(filepath.Join(dir, "none", "c"), someCheckpoint(t))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "what was there is unchanged") {
		t.Errorf("error %v", err)
	}
}

// TestRandomDamage overwrites random pieces; run with -v for the seed.
func TestRandomDamage(t *testing.T) {
	b, _ := file(t)
	rng := testenv.Rand(t)
	for range 2000 {
		d := slices.Clone(b)
		at := rng.IntN(len(d))
		for i := at; i < min(len(d), at+1+rng.IntN(64)); i++ {
			d[i] = byte(rng.Uint32())
		}
		if slices.Equal(d, b) {
			continue
		}
		c, err := decodeCheckpoint(d)
		if err != nil {
			continue
		}
		// White space between the header's end and the data may change.
		if !sameTensors(c.State.Params, someCheckpoint(t).State.Params) || !reflect.DeepEqual(c.Recipe, someCheckpoint(t).Recipe) {
			t.Fatalf("damage at %d is accepted", at)
		}
	}
}

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// onlyFile fails where a folder holds anything but one file.
func onlyFile(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("folder holds %v, want %s alone", entries, name)
	}
}

// TestCheckpointLargerThanMemory checks that a giant file is refused before it is read.
func TestCheckpointLargerThanMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), LastCheckpoint)
	f, err := os.Create(path)
	if err == nil {
		err = errors.Join(f.Truncate(4<<40), f.Close())
	}
	if total, _ := memlimit.Total(); err != nil || total == 0 {
		t.Skipf("no file of 4 TB can be made here (%v), or the memory's size isn't known (%v)", err, total)
	}
	if _, err := LoadCheckpoint(path); err == nil || !strings.Contains(err.Error(), "of memory to load, more than") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want a line about the memory", err)
	}
}
