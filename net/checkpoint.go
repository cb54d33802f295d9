package net

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/nlpodyssey/safetensors"
	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/internal/memlimit"
	"github.com/gputrain/gputrain/internal/regularfile"
	"github.com/gputrain/gputrain/internal/replacefile"
)

// Names of the checkpoints that Train writes to its folder.
const (
	LastCheckpoint = "last.safetensors" // the latest
	BestCheckpoint = "best.safetensors" // the epoch that did best on the validation set

	epochCheckpoints = "epoch-*.safetensors" // the pattern of EpochCheckpoint
)

// EpochCheckpoint is the file name of the checkpoint that [Saving].Keep keeps of an
// epoch, counted from 1.
func EpochCheckpoint(epoch int) string {
	return strings.Replace(epochCheckpoints, "*", strconv.Itoa(epoch), 1)
}

// removeEpochs removes the EpochCheckpoints of epochs 1 to upTo.
func removeEpochs(dir string, upTo int) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		var epoch int
		_, err := fmt.Sscanf(e.Name(), "epoch-%d", &epoch)
		if err != nil || e.Name() != EpochCheckpoint(epoch) || epoch > upTo {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("checkpoint of an earlier epoch: %w", err)
		}
	}
	return nil
}

var (
	// ErrCheckpoint means that this version cannot read a file as a checkpoint: the
	// file is damaged, foreign or too new, or contradicts itself.
	ErrCheckpoint = errors.New("not a usable checkpoint")
	// ErrResume means that a run cannot go on from a checkpoint, because the
	// checkpoint belongs to another run.
	ErrResume = errors.New("cannot resume")
	// ErrNotFinite means that a value is NaN or infinite. A state with such values is
	// neither saved nor loaded.
	ErrNotFinite = errors.New("holds NaN or an infinity")
)

// Checkpoint is a training run at one moment. It holds all that is needed to go on with
// the run. For evaluation and prediction, its Network and Weights are enough.
type Checkpoint struct {
	Network    *Network
	Recipe     Recipe
	Device     string     // the device that computed it, for people
	Train      DatasetID  // the training set; of no samples if the weights are another program's and nothing was trained yet
	Validation *DatasetID // the validation set; nil if there was none
	Subject    *Subject   // what inputs and answers mean; nil if that is not known
	Position   Position
	History    []EpochResult // results of the epochs that are done
	State      State

	path string // where it was loaded from; "" if it was not loaded
}

// Weights returns the parameters for evaluation, inference and export. They are the
// moving averages if the run keeps any, else State.Params.
func (c *Checkpoint) Weights() map[string]*tensor.Dense {
	if c.State.Average != nil {
		return c.State.Average
	}
	return c.State.Params
}

// Best returns the epoch, from 1, that did best on the validation set. Recipe.Watch
// says by which figure. Best returns 0 if there is no such epoch.
func (c *Checkpoint) Best() int { return bestEpoch(c.History, c.Recipe.watch()) }

// Position is where a training run stands.
type Position struct {
	Epoch int `json:"epoch"` // epochs done
	Step  int `json:"step"`  // steps done in the next one
	// The sums over the samples seen so far in the epoch in progress.
	Samples int64   `json:"samples"`
	Loss    float64 `json:"loss"`
	Hits    int64   `json:"hits"`
}

// check returns an error for a checkpoint whose parts do not fit together.
func (c *Checkpoint) check() error {
	if c.Network == nil {
		return errors.New("has no network")
	}
	plan, err := c.Network.Plan()
	if err != nil {
		return err
	}
	if err := c.Recipe.Check(); err != nil {
		return err
	}
	if err := c.Subject.check(); err != nil {
		return err
	}
	if c.Train.Samples < 0 || c.Train.Samples > math.MaxInt32 || c.Train.Samples == 0 && c.Position != (Position{}) {
		return fmt.Errorf("training set of %d samples", c.Train.Samples)
	}
	steps := c.Recipe.StepsPerEpoch(c.Train.Samples)
	p := c.Position
	switch {
	case p.Epoch < 0 || p.Epoch > c.Recipe.Epochs || p.Epoch == c.Recipe.Epochs && p.Step > 0 || p.Step < 0 || p.Step > steps:
		return fmt.Errorf("position at epoch %d, step %d is outside %d epochs of %d steps", p.Epoch, p.Step, c.Recipe.Epochs, steps)
	case p.Samples != int64(min(p.Step*c.Recipe.SamplesPerStep(), c.Recipe.SamplesPerEpoch(c.Train.Samples))) || p.Hits < 0 || p.Hits > p.Samples || !finite(p.Loss):
		return fmt.Errorf("sums of %d samples, loss %v and %d hits do not belong to step %d", p.Samples, p.Loss, p.Hits, p.Step)
	case len(c.History) != p.Epoch:
		return fmt.Errorf("history of %d epochs at the end of epoch %d", len(c.History), p.Epoch)
	case c.State.Step != int64(p.Epoch)*int64(steps)+int64(p.Step):
		return fmt.Errorf("state after %d steps, position after %d epochs of %d and %d steps", c.State.Step, p.Epoch, steps, p.Step)
	}
	for i, e := range c.History {
		if e.Epoch != i+1 || e.Validation != nil && c.Validation == nil || e.Validation == nil && c.Validation != nil && c.Recipe.EvaluateEvery <= 1 {
			return fmt.Errorf("history of epoch %d does not fit the run", i+1)
		}
	}
	if err := c.State.Check(plan, c.Recipe.OptimizerFor(steps)); err != nil {
		return err
	}
	return c.State.checkFinite()
}

// checkFinite gives ErrNotFinite for a state with NaN or infinite values.
func (s State) checkFinite() error {
	for _, m := range []map[string]*tensor.Dense{s.Params, s.Optimizer, s.Average} {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			for _, v := range m[name].Float32s() {
				if v-v != 0 {
					return fmt.Errorf("%s %w", name, ErrNotFinite)
				}
			}
		}
	}
	return nil
}

// The keys of a checkpoint's metadata. All values but the first two and the
// last two are JSON.
const (
	keyFormat     = "format"
	keyVersion    = "version"
	keyNetwork    = "network"
	keyRecipe     = "recipe"
	keyDevice     = "device"
	keyTrain      = "train"
	keyValidation = "validation"
	keyPosition   = "position"
	keyHistory    = "history"
	keySubject    = "subject" // missing in older files, and if nobody said
	keyGenerator  = "generator"
	keyChecksum   = "checksum"
)

const (
	checkpointFormat  = "gputrain"
	checkpointVersion = 1
	// generatorNote stands where other programs keep a generator's state.
	generatorNote = "philox4x32-10, counter-based: its state is the recipe's seed and the position's epoch and step"
	// optimizerPrefix begins the names of the optimiser's tensors, averagePrefix those of
	// the averages.
	optimizerPrefix = "optimizer."
	averagePrefix   = "average."
)

// SaveCheckpoint writes c to path in the safetensors format. Weights have their own
// names, such as "conv1.weight". The optimiser's state is under names such as
// "optimizer.conv1.weight.m", the averages under "average.conv1.weight". All else is
// JSON in the metadata. Equal checkpoints give equal bytes.
//
// If the process is killed or the disk is full, path holds either its old contents or
// all of c. A state with NaN or infinite values gives ErrNotFinite and is not written.
func SaveCheckpoint(path string, c *Checkpoint) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("checkpoint %s: not written: %w", path, err)
	}
	tensors, meta, err := c.encode()
	if err != nil {
		return fmt.Errorf("checkpoint %s: not written: %w", path, err)
	}
	err = replacefile.Write(path, func(w io.Writer) error { return safetensors.SerializeToWriter(tensors, meta, w) })
	switch {
	case errors.Is(err, replacefile.ErrNotSynced):
		return fmt.Errorf("checkpoint %s: %w", path, err)
	case err != nil:
		return fmt.Errorf("checkpoint %s: not written, what was there is unchanged: %w", path, err)
	}
	return nil
}

// encode returns the tensors and the metadata of the file.
func (c *Checkpoint) encode() (map[string]safetensors.TensorView, map[string]string, error) {
	tensors := map[string]safetensors.TensorView{}
	for prefix, of := range map[string]map[string]*tensor.Dense{"": c.State.Params, optimizerPrefix: c.State.Optimizer, averagePrefix: c.State.Average} {
		for name, t := range of {
			v, err := viewOf(t)
			if err != nil {
				return nil, nil, fmt.Errorf("tensor %s: %w", name, err)
			}
			tensors[prefix+name] = v
		}
	}
	meta := map[string]string{
		keyFormat: checkpointFormat, keyVersion: strconv.Itoa(checkpointVersion), keyGenerator: generatorNote,
	}
	for key, v := range c.parts() {
		if key == keySubject && c.Subject == nil {
			continue
		}
		b, err := json.Marshal(v)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", key, err)
		}
		meta[key] = string(b)
	}
	meta[keyChecksum] = checksum(meta, tensors)
	return tensors, meta, nil
}

// viewOf returns a tensor as a file holds it.
func viewOf(t *tensor.Dense) (safetensors.TensorView, error) {
	dims := make([]uint64, t.Dims())
	for i, d := range t.Shape() {
		dims[i] = uint64(d)
	}
	data, err := binary.Append(nil, binary.LittleEndian, t.Float32s())
	if err != nil {
		return safetensors.TensorView{}, err
	}
	return safetensors.NewTensorView(safetensors.F32, dims, data)
}

// parts returns pointers to the values that stand in the metadata, by key.
func (c *Checkpoint) parts() map[string]any {
	return map[string]any{
		keyNetwork: &c.Network, keyRecipe: &c.Recipe, keyDevice: &c.Device,
		keyTrain: &c.Train, keyValidation: &c.Validation, keyPosition: &c.Position, keyHistory: &c.History,
		keySubject: &c.Subject,
	}
}

// checksum returns the SHA-256 of all metadata except the checksum itself, and of
// every tensor's name, type, dimensions and bytes.
func checksum(meta map[string]string, tensors map[string]safetensors.TensorView) string {
	h := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		if key != keyChecksum {
			fmt.Fprintf(h, "%q %q\n", key, meta[key])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		t := tensors[name]
		fmt.Fprintf(h, "%q %v %v\n", name, t.DType(), t.Shape())
		h.Write(t.Data())
	}
	return fmt.Sprintf("sha256:%x", h.Sum(nil))
}

// LoadCheckpoint reads the checkpoint at path. If path is a folder, it reads the
// [LastCheckpoint] in it. A file that is damaged, foreign, of a newer version or
// contradicts itself gives an error that wraps ErrCheckpoint and says why. A missing
// file gives one that wraps os.ErrNotExist.
func LoadCheckpoint(path string) (*Checkpoint, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, LastCheckpoint)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		if err := memlimit.Check(2*float64(info.Size()), 0); err != nil { // the file's bytes and its tensors
			return nil, fmt.Errorf("checkpoint %s: %w", path, err)
		}
	}
	b, err := regularfile.Read(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	c, err := decodeCheckpoint(b)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w: %w", path, ErrCheckpoint, err)
	}
	c.path = path
	return c, nil
}

func decodeCheckpoint(b []byte) (*Checkpoint, error) {
	tensors, meta, err := readTensors(b)
	if err != nil {
		return nil, notTensors(b, "name the run, or its .safetensors file", err)
	}
	if meta[keyFormat] == weightsFormat {
		return nil, errors.New("it holds weights alone, without the network: name the run, or make a run of it by gputrain import")
	}
	if meta[keyFormat] != checkpointFormat {
		return nil, errors.New("a safetensors file, but not written by gputrain")
	}
	version, err := strconv.Atoi(meta[keyVersion])
	if err != nil || version < 1 {
		return nil, fmt.Errorf("damaged: version %q", meta[keyVersion])
	}
	if version > checkpointVersion {
		return nil, fmt.Errorf("written by a newer gputrain: version %d, this one reads up to %d", version, checkpointVersion)
	}
	if got := checksum(meta, tensors); got != meta[keyChecksum] {
		return nil, errors.New("damaged: the checksum does not match the contents")
	}
	c := &Checkpoint{State: State{Params: map[string]*tensor.Dense{}, Optimizer: map[string]*tensor.Dense{}}}
	for key, v := range c.parts() {
		if _, ok := meta[key]; !ok && key == keySubject {
			continue
		}
		if err := strictUnmarshal([]byte(meta[key]), v); err != nil {
			return nil, fmt.Errorf("metadata %s: %w", key, err)
		}
	}
	for name, view := range tensors {
		t, err := denseOf(view)
		if err != nil {
			return nil, fmt.Errorf("tensor %s: %w", name, err)
		}
		// A layer may be named "optimizer": its "optimizer.weight" has one dot.
		rest, ok := strings.CutPrefix(name, optimizerPrefix)
		average, averaged := strings.CutPrefix(name, averagePrefix)
		switch {
		case ok && strings.Contains(rest, "."):
			c.State.Optimizer[rest] = t
		case averaged && strings.Contains(average, "."):
			if c.State.Average == nil {
				c.State.Average = map[string]*tensor.Dense{}
			}
			c.State.Average[average] = t
		default:
			c.State.Params[name] = t
		}
	}
	if c.Recipe.Check() == nil { // else check says what is wrong, and an epoch may have no steps
		c.State.Step = int64(c.Position.Epoch)*int64(c.stepsPerEpoch()) + int64(c.Position.Step)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return c, nil
}

// notTensors returns the error for a file that readTensors can't read. advice is for
// files of other formats.
func notTensors(b []byte, advice string, err error) error {
	if is := foreignFormat(b); is != "" {
		return fmt.Errorf("it is %s: %s", is, advice)
	}
	if strings.Contains(err.Error(), "invalid DType") { // the library has no error of its own for it
		return fmt.Errorf("a tensor has a type that gputrain doesn't know: %w", err)
	}
	return fmt.Errorf("damaged, cut short or not in the safetensors format: %w", err)
}

// readTensors takes a safetensors file apart. The tensors share its memory.
func readTensors(b []byte) (map[string]safetensors.TensorView, map[string]string, error) {
	n, header, err := safetensors.ReadMetadata(b)
	if err != nil {
		return nil, nil, err
	}
	tensors := map[string]safetensors.TensorView{}
	for name, info := range header.Tensors() {
		data := b[8+n+info.DataOffsets[0] : 8+n+info.DataOffsets[1]]
		if len(info.Shape) == 0 {
			return readScalars(b, header.Metadata())
		}
		if tensors[name], err = safetensors.NewTensorView(info.DType, info.Shape, data); err != nil {
			return nil, nil, fmt.Errorf("tensor %s: %w", name, err)
		}
	}
	return tensors, header.Metadata(), nil
}

// readScalars takes a file apart that has tensors of no dimensions, such as PyTorch's
// counters. NewTensorView of the library refuses these, its Deserialize doesn't. The file
// is one that ReadMetadata accepts.
func readScalars(b []byte, meta map[string]string) (map[string]safetensors.TensorView, map[string]string, error) {
	file, err := safetensors.Deserialize(b)
	if err != nil {
		return nil, nil, err
	}
	tensors := map[string]safetensors.TensorView{}
	for _, t := range file.Tensors() {
		tensors[t.Name] = t.TensorView
	}
	return tensors, meta, nil
}

// denseOf copies a float32 tensor from a file.
func denseOf(v safetensors.TensorView) (*tensor.Dense, error) {
	if v.DType() != safetensors.F32 {
		return nil, fmt.Errorf("has type %v, not F32", v.DType())
	}
	if len(v.Data()) == 0 {
		return nil, errors.New("is empty")
	}
	if len(v.Shape()) == 0 {
		return nil, errors.New("has no dimensions")
	}
	dims := make([]int, len(v.Shape()))
	for i, d := range v.Shape() {
		if d > maxElements {
			return nil, fmt.Errorf("has dimensions %v, more than %d values", v.Shape(), maxElements)
		}
		dims[i] = int(d)
	}
	values := make([]float32, len(v.Data())/4)
	if _, err := binary.Decode(v.Data(), binary.LittleEndian, values); err != nil {
		return nil, err
	}
	return tensor.New(tensor.WithShape(dims...), tensor.WithBacking(values)), nil
}

// stepsPerEpoch returns the steps of one epoch of the run.
func (c *Checkpoint) stepsPerEpoch() int { return c.Recipe.StepsPerEpoch(c.Train.Samples) }

// checkResume gives ErrResume if the run is not the one that c belongs to. The
// recipe's name and patience may change. The number of epochs may change too, if the
// learning rate does not depend on it.
func (c *Checkpoint) checkResume(n *Network, cfg *Config, train DatasetID, validation *DatasetID) error {
	fail := func(format string, a ...any) error {
		return fmt.Errorf("%w: %w", ErrResume, fmt.Errorf(format, a...))
	}
	was, err := json.Marshal(c.Network)
	if err != nil {
		return fail("%w", err)
	}
	is, err := json.Marshal(n)
	if err != nil {
		return fail("%w", err)
	}
	if !bytes.Equal(was, is) {
		return fail("the checkpoint's network %q is not the same as network %q", c.Network.Name, n.Name)
	}
	if c.Train.Samples == 0 {
		return fail("the checkpoint was imported without data, so no run was begun: begin one with its weights instead")
	}
	if err := sameData("training", &c.Train, &train); err != nil {
		return fail("%w", err)
	}
	if err := sameData("validation", c.Validation, validation); err != nil {
		return fail("%w", err)
	}
	old, now := c.Recipe, cfg.Recipe
	switch {
	case now.averages() && c.State.Average == nil && old.Average == now.Average && old.Lookahead == now.Lookahead:
		return fail("the checkpoint lacks the averaged weights")
	case now.Epochs < c.Position.Epoch || now.Epochs == c.Position.Epoch && c.Position.Step > 0:
		return fail("the checkpoint is %d epochs and %d steps into its run, more than the %d epochs asked for", c.Position.Epoch, c.Position.Step, now.Epochs)
	}
	steps := c.stepsPerEpoch()
	if name, was, is := difference(old.kept(steps), now.kept(steps)); name != "" {
		if name == "optimizer.schedule.total" && old.Epochs != now.Epochs {
			return fail("the learning rate's schedule %s was laid out for %d epochs and cannot change to %d", old.Optimizer.Schedule.Method, old.Epochs, now.Epochs)
		}
		if name == "lookahead.total" && old.Epochs != now.Epochs {
			return fail("lookahead was laid out for %d epochs and cannot change to %d", old.Epochs, now.Epochs)
		}
		return fail("the checkpoint's run has the setting %s %s, not %s", name, was, is)
	}
	if len(c.State.Optimizer) == 0 && now.Optimizer.keeps(n) {
		return fail("the checkpoint holds weights only, without the optimiser's state")
	}
	return nil
}

// difference returns the first setting in which two recipes differ, named by its place
// in their JSON, and its two values. It returns "" if they don't differ.
func difference(a, b Recipe) (name, was, is string) {
	tree := func(r Recipe) (out any) {
		text, err := json.Marshal(r)
		if err != nil {
			panic("BUG: a recipe that was checked is not JSON: " + err.Error())
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber() // a seed has 64 bits
		if err := d.Decode(&out); err != nil {
			panic("BUG: " + err.Error())
		}
		return out
	}
	var find func(at string, a, b any)
	find = func(at string, a, b any) {
		from, _ := a.(map[string]any)
		to, _ := b.(map[string]any)
		if from == nil || to == nil {
			if name == "" && !reflect.DeepEqual(a, b) {
				name, was, is = at, settingText(a), settingText(b)
			}
			return
		}
		all := maps.Clone(from)
		maps.Copy(all, to)
		for _, key := range slices.Sorted(maps.Keys(all)) {
			find(strings.TrimPrefix(at+"."+key, "."), from[key], to[key])
		}
	}
	find("", tree(a), tree(b))
	return name, was, is
}

// settingText writes a setting's value as JSON does. nil is a value that JSON left out,
// because it is zero.
func settingText(v any) string {
	if v == nil {
		return "unset"
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic("BUG: a value read from JSON is not JSON: " + err.Error())
	}
	return string(text)
}

// sameData returns an error if two data sets differ. nil is no data set.
func sameData(what string, was, is *DatasetID) error {
	switch {
	case was == nil && is == nil:
		return nil
	case was == nil:
		return fmt.Errorf("the checkpoint's run had no %s set, this one has %s", what, is.Name)
	case is == nil:
		return fmt.Errorf("the checkpoint's run had the %s set %s, this one has none", what, was.Name)
	case was.Samples != is.Samples:
		return fmt.Errorf("the checkpoint's %s set %s has %d samples, this one %s %d", what, was.Name, was.Samples, is.Name, is.Samples)
	case was.SHA256 != is.SHA256:
		return fmt.Errorf("the checkpoint's %s set %s has other contents than this one, %s", what, was.Name, is.Name)
	}
	return nil
}
