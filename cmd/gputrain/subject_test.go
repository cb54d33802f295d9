package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"image"
	"image/color"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/runfolder"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture/picturetest"
	"github.com/gputrain/gputrain/serve"
)

// writeIDX writes a data set's images, size x size bytes or float32 each, and labels.
func writeIDX[T uint8 | float32](t *testing.T, dir, part string, size int, images []T, labels []uint8) {
	t.Helper()
	file := func(kind byte, dims []int, values any) string {
		b := []byte{0, 0, kind, byte(len(dims))}
		for _, d := range dims {
			b = binary.BigEndian.AppendUint32(b, uint32(d))
		}
		b, err := binary.Append(b, binary.BigEndian, values)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	kind := byte(mnist.Uint8)
	if _, ok := any(images).([]float32); ok {
		kind = byte(mnist.Float32)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, part+"-images-idx3-ubyte"), file(kind, []int{len(labels), size, size}, images))
	write(t, filepath.Join(dir, part+"-labels-idx1-ubyte"), file(byte(mnist.Uint8), []int{len(labels)}, labels))
}

// clothes are squares of four kinds, by size and place, which digits' preparation makes
// all the same.
func clothes(n int) (images, labels []uint8) {
	for i := range n {
		label := 4 * i / n // sorted by class
		one := make([]uint8, 28*28)
		side, at := 6, 3
		if label%2 == 1 {
			at = 19
		}
		if label >= 2 {
			side, at = 12, at-2
		}
		for y := range side {
			for x := range side {
				one[(min(at, 16)+y)*28+min(at, 16)+x] = uint8(200 + i%50)
			}
		}
		images, labels = append(images, one...), append(labels, uint8(label))
	}
	return images, labels
}

const clothesModel = `{"name": "clothes", "input": {"channels": 1, "height": 28, "width": 28}, "layers": [{"type": "flatten"}, {"type": "dense", "units": 4}]}`

// wardrobe writes clothes with names to a folder, and trains on them.
func wardrobe(t *testing.T) {
	inFolder(t)
	write(t, "clothes.json", clothesModel)
	images, labels := clothes(80)
	writeIDX(t, "wardrobe", "train", 28, images, labels)
	images, labels = clothes(20)
	writeIDX(t, "wardrobe", "t10k", 28, images, labels)
	write(t, filepath.Join("wardrobe", "classes.txt"), "sock\nglove\nscarf\nhat\n")
	out := must(t, "train", "--model", "clothes.json", "--data", "wardrobe", "--epochs", "12", "--batch", "8", "--learning-rate", "0.01")
	for _, line := range []string{"\nClasses   4: sock, glove, scarf, hat\n", "\nPictures  stretched to 28 x 28\n"} {
		if !strings.Contains(out, line) {
			t.Errorf("train doesn't say %q:\n%s", line, out)
		}
	}
	for i := range 20 {
		img := image.NewGray(image.Rect(0, 0, 28, 28))
		copy(img.Pix, images[i*784:])
		write(t, string(rune('a'+i))+".png", string(picturetest.Encoded(t, "png", img)))
	}
}

// TestRunRemembers trains once, and asks without telling anything again.
func TestRunRemembers(t *testing.T) {
	wardrobe(t)
	run := filepath.Join(runsFolder, "run-1")
	folder, err := filepath.Abs("wardrobe")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"sock", "glove", "scarf", "hat"}
	want := &net.Subject{Data: "wardrobe", Folder: folder, ClassNames: names, Scale: 1. / 255, Prepare: "stretch"}
	if got := load(t, run).Subject; !reflect.DeepEqual(got, want) {
		t.Errorf("it remembers %+v, want %+v", got, want)
	}
	record, err := runfolder.ReadRecord(run)
	if err != nil {
		t.Fatal(err)
	}
	if record.Data.Name != want.Data || record.Data.Folder != want.Folder {
		t.Errorf("recipe.json has %+v", record.Data)
	}

	evaluate := func(notes string, args ...string) (e evaluation) {
		t.Helper()
		o := gputrain(t, append([]string{"eval", "--json"}, args...)...)
		if o.status != exitOK || o.errors != notes {
			t.Fatalf("eval %v: status %d, %s, want %s", args, o.status, o.errors, notes)
		}
		if err := json.Unmarshal([]byte(o.out), &e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := evaluate("")
	if e.Data != "wardrobe test" || e.Images != 20 || e.Accuracy != 1 || e.Classes[2].Class != "scarf" || e.Top != nil {
		t.Errorf("eval says %+v", e)
	}
	if e = evaluate("", "--split", "validation"); e.Images != 8 || e.Classes[3].Images != 2 {
		t.Errorf("eval of the validation set says %+v", e)
	}

	// 20 of 20 pictures, and digits' preparation would have made them alike.
	right := func(args ...string) (n int) {
		t.Helper()
		for i := range 20 {
			var a answer
			picture := string(rune('a'+i)) + ".png"
			if err := json.Unmarshal([]byte(must(t, append([]string{"predict", "--json", picture}, args...)...)), &a); err != nil {
				t.Fatal(err)
			}
			if a.Classes[0].Class == names[i/5] {
				n++
			}
		}
		return n
	}
	if n := right(); n != 20 {
		t.Errorf("%d of 20 pictures are right", n)
	}
	if n := right("--prepare", "digit"); n > 10 {
		t.Errorf("%d of 20 pictures are right as digits: the test is blind", n)
	}
	if out := must(t, "predict", "a.png"); !strings.Contains(out, "\nPictures    stretched to 28 x 28\n") {
		t.Errorf("predict doesn't say how it prepares:\n%s", out)
	}
	if out := must(t, "predict", "test:19"); !strings.Contains(out, "test:19: hat (right)\n") {
		t.Errorf("predict says\n%s", out)
	}
	if out := must(t, "train", "--resume", "--epochs", "13"); !strings.Contains(out, "\nEpoch: 13") {
		t.Errorf("the run doesn't find its data:\n%s", out)
	}

	// Data that have changed, and gone.
	images, labels := clothes(80)
	labels[0] = 3
	writeIDX(t, "wardrobe", "train", 28, images, labels)
	evaluate("note: the data in " + folder + " have changed since the run was trained: other training images or labels\n")
	images, labels = clothes(120)
	writeIDX(t, "wardrobe", "train", 28, images, labels)
	evaluate("note: the data in " + folder + " have changed since the run was trained: 72 training images then, 108 now\n")
	refuses(t, exitFailed, "cannot resume: the run trains on 72 images of wardrobe training, not on 108: the data in "+folder+
		" have changed since; put them back as they were, or begin a new run", "train", "--resume", "--epochs", "14")
	write(t, filepath.Join("wardrobe", "classes.txt"), "sock\nmitten\nscarf\nhat\n")
	evaluate("note: wardrobe calls class 1 mitten, the run calls it glove: classes are compared by their numbers\n", "--data", "wardrobe")
	if err := os.Rename("wardrobe", "moved"); err != nil {
		t.Fatal(err)
	}
	refuses(t, exitFailed, "the data that the run was trained on, wardrobe, are no longer there: say with --data where they are now (data directory "+folder+": file does not exist)", "eval")
	refuses(t, exitFailed, "the data that the run was trained on, wardrobe, are no longer there: say with --data where they are now (data directory "+folder+": file does not exist)", "train", "--resume")
	write(t, filepath.Join("moved", "classes.txt"), strings.Join(names, "\n"))
	if e = evaluate("", "--data", "moved"); e.Accuracy != 1 {
		t.Errorf("elsewhere eval says %+v", e)
	}
	must(t, "predict", "a.png") // needs no data

	// Data that a program of somebody's made: not the built-in ones, which have no folder either.
	last := filepath.Join(run, net.LastCheckpoint)
	c, err := net.LoadCheckpoint(last)
	if err != nil {
		t.Fatal(err)
	}
	c.Subject.Folder = ""
	if err := net.SaveCheckpoint(last, c); err != nil {
		t.Fatal(err)
	}
	refuses(t, exitFailed, "the data that the run was trained on, wardrobe, came from a program that trained it: say with --data where such data are", "eval", "--checkpoint", last)
}

// TestExportRemembers: an exported network says what it takes and answers, and a file
// that names other classes stays.
func TestExportRemembers(t *testing.T) {
	wardrobe(t)
	metadata := func(pairs ...string) {
		t.Helper()
		model, err := os.ReadFile("model.onnx")
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(pairs); i += 2 {
			key, value := pairs[i], pairs[i+1]
			// A StringStringEntryProto: field 1 the key, field 2 the value.
			entry := append([]byte{0x0a, byte(len(key))}, key...)
			entry = append(append(entry, 0x12, byte(len(value))), value...)
			if !bytes.Contains(model, entry) {
				t.Errorf("the model lacks %s = %s", key, value)
			}
		}
	}
	out := must(t, "export")
	metadata("class_names", `["sock","glove","scarf","hat"]`, "input", "each byte of an image divided by 255", "scale", "0.003921569", "prepare", "stretch")
	if !strings.HasSuffix(out, "\nlabels.txt: the names of the classes\n") {
		t.Errorf("export says %q", out)
	}
	labels := func(file, want string) {
		t.Helper()
		if b, err := os.ReadFile(file); err != nil || string(b) != want {
			t.Errorf("%s has %q (%v)", file, b, err)
		}
	}
	labels("labels.txt", "sock\nglove\nscarf\nhat\n")
	must(t, "export") // the same names again

	write(t, "labels.txt", "mine\n")
	if err := os.Remove("model.onnx"); err != nil {
		t.Fatal(err)
	}
	refuses(t, exitFailed, "labels.txt has the names of other classes: write elsewhere with --output or --labels, replace it with --labels labels.txt, or do without: --labels=", "export")
	if _, err := os.Stat("model.onnx"); err == nil {
		t.Error("a model was written nevertheless")
	}
	must(t, "export", "--labels=")
	labels("labels.txt", "mine\n")
	must(t, "export", "--labels", "labels.txt")
	labels("labels.txt", "sock\nglove\nscarf\nhat\n")
	if err := os.Mkdir("out", 0o755); err != nil {
		t.Fatal(err)
	}
	must(t, "export", "--format", "safetensors", "-o", filepath.Join("out", "weights"))
	labels(filepath.Join("out", "labels.txt"), "sock\nglove\nscarf\nhat\n")

	// A run of averages gives these away.
	c := load(t, filepath.Join(runsFolder, "run-1"))
	c.Recipe.Average = 0.5
	c.State.Average = net.InitialState(mustPlan(t, c.Network), 99, nil).Params
	if err := net.SaveCheckpoint("average.safetensors", c); err != nil {
		t.Fatal(err)
	}
	must(t, "export", "--run", "average.safetensors", "--format", "safetensors", "-o", filepath.Join("out", "weights"))
	weights, err := net.LoadWeights(filepath.Join("out", "weights"), mustPlan(t, c.Network), net.ChannelsFirst, nil)
	if err != nil {
		t.Fatal(err)
	}
	if name := "dense1.weight"; !slices.Equal(weights[name].Float32s(), c.State.Average[name].Float32s()) {
		t.Error("export wrote other weights than the averages")
	}
	// One of before 1.0 knows no names.
	c.Subject = nil
	if err := net.SaveCheckpoint("old.safetensors", c); err != nil {
		t.Fatal(err)
	}
	must(t, "export", "--run", "old.safetensors", "-o", filepath.Join(t.TempDir(), "old.onnx"))
	refuses(t, exitFailed, "--labels x: the run doesn't know the names of its classes", "export", "--run", "old.safetensors", "--labels", "x")
}

func mustPlan(t *testing.T, n *net.Network) *net.Plan {
	t.Helper()
	p, err := n.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestFloatData: nobody knows how a picture becomes float values of a scale of their
// own.
func TestFloatData(t *testing.T) {
	inFolder(t)
	write(t, "clothes.json", clothesModel)
	for part, n := range map[string]int{"train": 80, "t10k": 20} {
		bytes, labels := clothes(n)
		values := make([]float32, len(bytes))
		for i, b := range bytes {
			values[i] = (float32(b) - 128) / 50
		}
		writeIDX(t, "float", part, 28, values, labels)
	}
	out := must(t, "train", "--model", "clothes.json", "--data", "float", "--epochs", "4", "--batch", "8", "--learning-rate", "0.01")
	if strings.Contains(out, "Pictures") {
		t.Errorf("train says how pictures are prepared:\n%s", out)
	}
	img := image.NewGray(image.Rect(0, 0, 28, 28))
	img.SetGray(3, 3, color.Gray{200})
	write(t, "a.png", string(picturetest.Encoded(t, "png", img)))
	const reason = ": the network was trained on float, whose values are no bytes: nobody knows how pictures become such values; ask about its test images (test:0), or train on bytes"
	refuses(t, exitFailed, "a.png"+reason, "predict", "--run", "run-1", "a.png")
	must(t, "predict", "test:0")
	must(t, "report")
	o := gputrain(t, "report", "--image", "a.png")
	if o.status != exitFailed || !strings.Contains(o.errors, reason) {
		t.Errorf("report of a picture: status %d, %s", o.status, o.errors)
	}
	must(t, "export")
	model, err := os.ReadFile("model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(model, []byte("divided by 255")) || bytes.Contains(model, []byte("prepare")) || !bytes.Contains(model, []byte("which were no bytes; not scaled")) {
		t.Error("the model's metadata aren't true")
	}
}

// TestSortedData trains on images that are sorted by class, and on the same shuffled.
func TestSortedData(t *testing.T) {
	inFolder(t)
	write(t, "linear.json", `{"name": "linear10", "input": {"channels": 1, "height": 10, "width": 10}, "layers": [{"type": "flatten"}, {"type": "dense", "units": 10}]}`)
	const n = 400
	order := make([]int32, n)
	net.Shuffle(1, 0, order)
	sets := map[string]func(i int) int{"sorted": func(i int) int { return i }, "shuffled": func(i int) int { return int(order[i]) }}
	for dir, at := range sets {
		var images, labels []uint8
		for i := range n {
			label := at(i) * 10 / n
			one := bytes.Repeat([]byte{uint8(at(i) % 40)}, 100)
			copy(one[10*label:], bytes.Repeat([]byte{255}, 10))
			images, labels = append(images, one...), append(labels, uint8(label))
		}
		writeIDX(t, dir, "train", 10, images, labels)
		writeIDX(t, dir, "t10k", 10, images, labels)
		must(t, "train", "--model", "linear.json", "--data", dir, "--run", dir, "--epochs", "10", "--batch", "20", "--learning-rate", "0.02")
		if got := finalAccuracy(t, filepath.Join(runsFolder, dir)); got != 1 {
			t.Errorf("%s: test accuracy %v, want 1", dir, got)
		}
	}
}

// TestLimit takes a few images of each part, of all classes, and goes on so.
func TestLimit(t *testing.T) {
	inFolder(t)
	const data = "\nData    MNIST: 50 of 55,000 training, 50 of 5,000 validation, 50 of 10,000 test images\n"
	out := must(t, quick("--limit", "50", "--epochs", "1", "--batch", "10")...)
	if !strings.Contains(out, data) {
		t.Errorf("train says\n%s", out)
	}
	run := filepath.Join(runsFolder, "run-1")
	c := load(t, run)
	split, err := mnist.Tutorial()
	if err != nil {
		t.Fatal(err)
	}
	if want := net.Sample(split.Train, 50, c.Recipe.Seed).ID(); c.Train != want || c.Subject.Limit != 50 {
		t.Errorf("it trained on %+v (limit %d), want %+v", c.Train, c.Subject.Limit, want)
	}
	if out := must(t, "train", "--resume", "--epochs", "2"); !strings.Contains(out, "MNIST: 50 of 55,000 training, 50 of 5,000 validation, 50 of 10,000 test images\n") {
		t.Errorf("the resumed run says\n%s", out)
	}
	var e evaluation
	if err := json.Unmarshal([]byte(must(t, "eval", "--limit", "50", "--json")), &e); err != nil {
		t.Fatal(err)
	}
	if want := load(t, run).History[1].Test.Accuracy; e.Images != 50 || e.Accuracy != want {
		t.Errorf("%d images, accuracy %v; training said %v", e.Images, e.Accuracy, want)
	}
	refuses(t, exitUsage, "--limit must be at least 1, got 0", "eval", "--limit", "0")

	// A run of before 1.0 took the first images, and went by all others.
	old := load(t, run)
	validation := split.Validation.ID()
	old.Subject, old.Train, old.Validation = nil, split.Train.Slice(0, 50).ID(), &validation
	if err := os.Mkdir("old", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := net.SaveCheckpoint(filepath.Join("old", net.LastCheckpoint), old); err != nil {
		t.Fatal(err)
	}
	out = must(t, "train", "--resume", "./old", "--epochs", "3")
	if !strings.Contains(out, "MNIST: 50 of 55,000 training, 5,000 validation, 10,000 test images\n") || load(t, "old").Subject != nil {
		t.Errorf("the old run says\n%s", out)
	}
}

// TestEvalViews averages the answers for an image and for its mirror image: the mean
// logits of the two, as the test takes them. The run's own views are the default.
func TestEvalViews(t *testing.T) {
	inFolder(t)
	must(t, quick("--epochs", "1")...)
	path := filepath.Join(runsFolder, "run-1")
	c := load(t, path)
	split, err := mnist.Tutorial()
	if err != nil {
		t.Fatal(err)
	}
	test := net.Sample(split.Test, 40, c.Recipe.Seed)
	m := compiled(t, c, 1)
	loss, hits := 0.0, int64(0)
	for i, label := range test.Labels {
		both := &net.Dataset{Name: "both", Shape: test.Shape, Classes: 10, Values: make([]float32, 2*784), Labels: []int32{0, 0}}
		test.Gather(both.Values[:784], []int32{int32(i)})
		for y := range 28 {
			copy(both.Values[784+28*y:][:28], both.Values[28*y:])
			slices.Reverse(both.Values[784+28*y:][:28])
		}
		logits := make([]float64, 10)
		for k := range int32(2) {
			p, err := m.program.Infer(net.Batch{Data: both, Indices: []int32{k}})
			if err != nil {
				t.Fatal(err)
			}
			for class, x := range p.Float32s() {
				logits[class] += math.Log(float64(x)) / 2
			}
		}
		sum := 0.0
		for _, x := range logits {
			sum += math.Exp(x)
		}
		loss += (math.Log(sum) - logits[label]) / float64(test.Len())
		if logits[label] == slices.Max(logits) {
			hits++
		}
	}
	evaluate := func(args ...string) (e evaluation) {
		t.Helper()
		if err := json.Unmarshal([]byte(must(t, append([]string{"eval", "--json", "--limit", "40"}, args...)...)), &e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	all := func() int64 { // of the whole test set
		t.Helper()
		var e evaluation
		if err := json.Unmarshal([]byte(must(t, "eval", "--json")), &e); err != nil {
			t.Fatal(err)
		}
		return e.Hits
	}
	e, plain := evaluate("--views", "mirror"), evaluate()
	// Probabilities in float32, whose logarithms are taken.
	approx.Check(t, "loss", []float64{e.Loss}, []float64{loss}, approx.Tolerance{Rel: 1e-5})
	if e.Hits != hits || e.Views != net.MirrorView || plain.Views != net.OneView || plain.Loss == e.Loss {
		t.Errorf("%d hits by %q, want %d; without views the loss is %v, with them %v", e.Hits, e.Views, hits, plain.Loss, e.Loss)
	}
	c.Recipe.Views = net.MirrorView
	if err := net.SaveCheckpoint(filepath.Join(path, net.LastCheckpoint), c); err != nil {
		t.Fatal(err)
	}
	if own := evaluate(); own.Loss != e.Loss {
		t.Errorf("the run's own views give the loss %v, want %v", own.Loss, e.Loss)
	}
	if r := reportJSON(t).Runs[0].Evaluation; r.Wrong != 10000-int(all()) {
		t.Errorf("the report tells of %d mistakes, eval has %d hits", r.Wrong, all())
	}
	if one := evaluate("--views", "one"); one.Loss != plain.Loss {
		t.Errorf("one view gives the loss %v, want %v", one.Loss, plain.Loss)
	}
}

// TestEvalTop counts by hand what --top counts.
func TestEvalTop(t *testing.T) {
	inFolder(t)
	must(t, quick("--epochs", "1")...)
	var e evaluation
	out := must(t, "eval", "--top", "3", "--json", "--limit", "40")
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		t.Fatal(err)
	}
	split, err := mnist.Tutorial()
	if err != nil {
		t.Fatal(err)
	}
	c := load(t, filepath.Join(runsFolder, "run-1"))
	test := net.Sample(split.Test, 40, c.Recipe.Seed)
	m := compiled(t, c, 1)
	var hits int64
	for i, label := range test.Labels {
		p, err := m.program.Infer(net.Batch{Data: test, Indices: []int32{int32(i)}})
		if err != nil {
			t.Fatal(err)
		}
		better := 0
		for _, x := range p.Float32s() {
			if x > p.Float32s()[label] {
				better++
			}
		}
		if better < 3 {
			hits++
		}
	}
	if want := (topScore{3, hits, float64(hits) / 40}); e.Top == nil || *e.Top != want || math.IsNaN(e.Top.Accuracy) {
		t.Errorf("top 3: %+v, want %+v", e.Top, want)
	}
	if out := must(t, "eval", "--top", "3", "--limit", "40"); !strings.Contains(out, "\nTop 3       ") || !strings.Contains(out, "MNIST test, 40 of 10,000 images\n") {
		t.Errorf("eval says\n%s", out)
	}
	if out := must(t, "eval", "--limit", "40"); strings.Contains(out, "Top") {
		t.Errorf("eval tells of more than was asked for:\n%s", out)
	}
	refuses(t, exitUsage, "--top must be at least 1, got 0", "eval", "--top", "0")
	o := gputrain(t, "eval", "--views", "all")
	if o.status != exitUsage || !strings.Contains(o.errors, "all") {
		t.Errorf("unknown views: status %d, %s", o.status, o.errors)
	}
}

// TestServeRemembers serves a run whose data are there, and then gone: its classes have
// their names, and the page's examples are of all classes.
func TestServeRemembers(t *testing.T) {
	wardrobe(t)
	folder, err := filepath.Abs("wardrobe")
	if err != nil {
		t.Fatal(err)
	}
	served := func(want string) (m serve.Model) {
		t.Helper()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var out, errs notes
		ended := make(chan int, 1)
		go func() {
			ended <- run(ctx, []string{"gputrain", "serve", "--device", "cpu", "--log-level", "error", "--address", "127.0.0.1:0"}, nil, &out, &errs)
		}()
		page := regexp.MustCompile(`http://127\.0\.0\.1:\d+/`)
		for deadline := time.Now().Add(20 * time.Second); !page.MatchString(out.String()); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("no address: %s%s", out.String(), errs.String())
			}
		}
		if err := json.Unmarshal(get(t, page.FindString(out.String())+"v1/model"), &m); err != nil {
			t.Fatal(err)
		}
		stop()
		if status := <-ended; status != exitOK || errs.String() != want {
			t.Errorf("status %d, %s, want %s", status, errs.String(), want)
		}
		return m
	}
	names := []string{"sock", "glove", "scarf", "hat"}
	m := served("")
	kinds := map[string]int{}
	for _, e := range m.Examples {
		kinds[e.Class]++
	}
	if !slices.Equal(m.Classes, names) || !reflect.DeepEqual(kinds, map[string]int{"sock": 5, "glove": 5, "scarf": 5, "hat": 5}) {
		t.Errorf("it serves the classes %q, examples %v", m.Classes, kinds)
	}
	if err := os.Rename("wardrobe", "moved"); err != nil {
		t.Fatal(err)
	}
	m = served("note: no images to try are offered: the data that the run was trained on, wardrobe, are no longer there: say with --data where they are now (data directory " + folder + ": file does not exist)\n")
	if !slices.Equal(m.Classes, names) || len(m.Examples) != 0 {
		t.Errorf("it serves the classes %q, %d examples", m.Classes, len(m.Examples))
	}
}

func get(t testing.TB, url string) []byte {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestNumberBy gives classes the numbers that a run knows their names by.
func TestNumberBy(t *testing.T) {
	part := func(labels ...int32) *net.Dataset {
		return &net.Dataset{Shape: net.Shape{C: 1, H: 1, W: 1}, Classes: 2, Pixels: make([]uint8, len(labels)), Labels: labels}
	}
	names := []string{"cat", "frog", "truck"}
	for _, c := range []struct {
		called []string
		want   []int32
	}{
		{[]string{"truck", "cat"}, []int32{2, 0, 0}},
		{[]string{"cat", "frog"}, []int32{0, 1, 1}},
		{[]string{"truck", "zebra"}, []int32{0, 1, 1}}, // unknown to the run: by number, which is told
		{nil, []int32{0, 1, 1}},
	} {
		d := &dataset{train: part(0, 1, 1), test: part(1), classNames: c.called}
		was := d.train
		d.numberBy(names)
		if !slices.Equal(d.train.Labels, c.want) || d.test.Labels[0] != c.want[1] || !slices.Equal(was.Labels, []int32{0, 1, 1}) {
			t.Errorf("%q: labels %v and %v of %v, want %v", c.called, d.train.Labels, d.test.Labels, was.Labels, c.want)
		}
	}
}
