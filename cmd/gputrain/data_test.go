package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture/picturetest"
)

// colours writes a folder of pictures: of each class n of about one colour.
func colours(t *testing.T, root string, n int) {
	t.Helper()
	for class, c := range map[string]color.NRGBA{"sky": {40, 90, 220, 255}, "grass": {30, 180, 40, 255}, "brick": {190, 60, 30, 255}} {
		dir := filepath.Join(root, class)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			img := image.NewNRGBA(image.Rect(0, 0, 10, 10))
			for k := range 100 {
				img.SetNRGBA(k%10, k/10, color.NRGBA{c.R + uint8(i), c.G + uint8(k%17), c.B + uint8(i/2), 255})
			}
			write(t, filepath.Join(dir, fmt.Sprintf("%d.png", i)), string(picturetest.Encoded(t, "png", img)))
		}
	}
}

const colourModel = `{"name": "small", "input": {"channels": 3, "height": 6, "width": 6}, "layers": [{"type": "flatten"}, {"type": "dense", "units": 3}]}`

// TestTrainOnPictures trains on folders and asks the network, which answers with the
// folders' names. All commands find the pictures decoded.
func TestTrainOnPictures(t *testing.T) {
	inFolder(t)
	t.Setenv("GPUTRAIN_DATA_CACHE", filepath.Join(t.TempDir(), "cache"))
	colours(t, "mine", 40)
	write(t, "small.json", colourModel)
	args := []string{"train", "--data", "mine", "--model", "small.json", "--epochs", "20", "--learning-rate", "0.02", "--batch", "10", "--tensorboard=false"}
	out := must(t, args...)
	if want := "mine: 96 training, 12 validation, 12 test images"; !strings.Contains(out, want) {
		t.Errorf("no %q in\n%s", want, out)
	}
	var e evaluation
	if err := json.Unmarshal([]byte(must(t, "eval", "--data", "mine", "--json")), &e); err != nil {
		t.Fatal(err)
	}
	if e.Images != 12 || e.Accuracy < 0.9 || e.Classes[0].Class != "brick" || e.Classes[2].Class != "sky" {
		t.Errorf("%+v", e)
	}
	if out := must(t, "predict", "--data", "mine", filepath.Join("mine", "grass", "7.png")); !strings.Contains(out, "7.png: grass") {
		t.Errorf("predict printed\n%s", out)
	}
	if caches, err := filepath.Glob(filepath.Join(os.Getenv("GPUTRAIN_DATA_CACHE"), "*.pictures")); len(caches) != 1 || err != nil {
		t.Errorf("cache files %q, want one: %v", caches, err)
	}
	// A resumed run finds its pictures, and ends with the weights of one without a stop.
	must(t, append(args, "--run", "half", "--epochs", "7")...)
	must(t, "train", "--resume", "half", "--epochs", "20", "--tensorboard=false")
	sameWeights(t, filepath.Join(runsFolder, "run-1"), filepath.Join(runsFolder, "half"))
	refuses(t, exitFailed, "the model takes samples of 3 x 6 x 6, but data set mine training has 1 x 8 x 9: choose another --model or --data",
		append(args, "--image-size", "8x9", "--channels", "1")...)
}

// TestPicturesForModel wants pictures in the model's size also from commands that keep no run.
func TestPicturesForModel(t *testing.T) {
	inFolder(t)
	t.Setenv("GPUTRAIN_DATA_CACHE", "off")
	colours(t, "mine", 20)
	write(t, "small.json", colourModel)
	if out := must(t, "verify", "--device", "cpu", "--data", "mine", "--model", "small.json"); !strings.Contains(out, "PASS") {
		t.Errorf("verify printed\n%s", out)
	}
	if out := must(t, "bench", "--data", "mine", "--model", "small.json", "--device", "cpu", "--mode", "train", "--batch", "5", "--repeats", "3", "--repeat-time", "1ms"); !strings.Contains(out, "Training, small") {
		t.Errorf("bench printed\n%s", out)
	}
}

// TestModelForPictures names neither model nor recipe: those for pictures are chosen, and
// flags override them.
func TestModelForPictures(t *testing.T) {
	inFolder(t)
	t.Setenv("GPUTRAIN_DATA_CACHE", "off")
	colours(t, "mine", 4)
	out := must(t, "train", "--data", "mine", "--image-size", "16", "--epochs", "1", "--momentum", "0.8", "--tensorboard=false")
	for _, want := range []string{"Model     resnet20: ", "chosen for images of 3 x 16 x 16, --model names another", "Recipe    photos: 1 epoch, batch 64, sgd", "Note      no test set of its own"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	refuses(t, exitUsage, "--beta1 is for adam, adamw or lion, the optimiser is sgd: set --optimizer, or leave the flag out", "train", "--data", "mine", "--epochs", "1", "--beta1", "0.5")
}

// TestPictureFlags checks what is said of flags and pictures that make no sense.
func TestPictureFlags(t *testing.T) {
	inFolder(t)
	t.Setenv("GPUTRAIN_DATA_CACHE", "off")
	colours(t, "mine", 4)
	refuses(t, exitUsage, "--image-size is for pictures in folders; the samples of the built-in MNIST are as they are", "data", "--image-size", "28")
	refuses(t, exitUsage, `--image-size: "3y4" is neither a number of pixels nor HEIGHTxWIDTH, such as 64 or 48x64`, "data", "mine", "--image-size", "3y4")
	refuses(t, exitUsage, "--channels must be 1 or 3, got 2", "data", "mine", "--channels", "2")
	refuses(t, exitUsage, `--resize: unknown "cropp" (did you mean crop?); want crop, fit or stretch`, "data", "mine", "--resize", "cropp")
	refuses(t, exitUsage, "data takes one folder, got more; see gputrain data --help", "data", "mine", "yours")
	refuses(t, exitUsage, "--samples must be from 1 to 100, got 0", "data", "mine", "--samples", "0")
	refuses(t, exitUsage, `--augment: unknown "standart" (did you mean standard?); want none, light, standard or strong, or a JSON file`, "data", "mine", "--augment", "standart")
	refuses(t, exitFailed, "--html no/page.html: there is no folder no", "data", "mine", "--html", "no/page.html")
	write(t, "augment.json", `{"rotate": 400}`)
	refuses(t, exitFailed, "augment.json: augmentation: rotate must be from 0 to 180, got 400", "data", "mine", "--augment", "augment.json")
	refuses(t, exitUsage, "--data-cache off keeps nothing that could be cleared", "data", "--clear-cache")
	if err := os.Mkdir("empty", 0o755); err != nil {
		t.Fatal(err)
	}
	refuses(t, exitFailed, "data directory empty: no data set found: the directory holds no files; pictures are wanted in a folder for each class, DIR/CLASS/*.jpg", "train", "--data", "empty")
	write(t, filepath.Join("empty", "1.jpg"), "")
	refuses(t, exitFailed, "empty: 1 picture, but in no folder of a class: make a folder for each class, "+filepath.Join("empty", "CLASS", "*.jpg")+", and move them there", "train", "--data", "empty")
	refuses(t, exitUsage, "--class-weights: 1 weight for 3 classes; give one a class", "train", "--data", "mine", "--model", "mlp", "--class-weights", "2")

	// Pictures that can't be read have a line each before the error's.
	write(t, filepath.Join("mine", "sky", "bad.png"), "text")
	write(t, filepath.Join("mine", "sky", "none.png"), "")
	o := gputrain(t, "train", "--data", "mine", "--model", "mlp")
	want := filepath.Join("mine", "sky", "bad.png") + ": not a JPEG, PNG, GIF, BMP, TIFF or WebP image: it is text\n" +
		filepath.Join("mine", "sky", "none.png") + ": the file is empty\n" +
		"gputrain: mine: 2 of 14 pictures can't be read: mend or remove them, or leave them out with --skip-bad\n"
	if o.status != exitFailed || o.errors != want {
		t.Errorf("status %d,\n%swant\n%s", o.status, o.errors, want)
	}
	o = gputrain(t, "train", "--data", "mine", "--model", "mlp", "--epochs", "1", "--skip-bad", "--tensorboard=false")
	if o.status != exitOK || !strings.Contains(o.errors, "mine: left out 2 pictures that can't be read\n") || !strings.Contains(o.errors, "bad.png: not a JPEG") {
		t.Errorf("status %d, %s", o.status, o.errors)
	}
	must(t, "eval") // the run remembers that they are left out
	o = gputrain(t, "train", "--data", "mine", "--model", "mlp", "--skip-bad", "--max-time", "1ns", "--epochs", "2", "--tensorboard=false")
	if want := " --data mine --data-cache off --tensorboard=false --skip-bad\n"; !strings.Contains(o.out, want) {
		t.Errorf("no %q in\n%s", want, o.out)
	}
}

// TestData looks at a folder that has a bit of everything.
func TestData(t *testing.T) {
	inFolder(t)
	cache := filepath.Join(t.TempDir(), "cache")
	t.Setenv("GPUTRAIN_DATA_CACHE", cache)
	colours(t, filepath.Join("mine", "train"), 6)
	colours(t, filepath.Join("mine", "test"), 2) // the first two of each class again
	write(t, filepath.Join("mine", "train", "sky", "bad.png"), "text")
	write(t, filepath.Join("mine", "train", "notes.txt"), "text")
	out := must(t, "data", "mine", "--html", "page.html", "--png", "grid.png", "--augment", "strong", "--samples", "4")
	for _, want := range []string{
		"Samples      10 x 10 (height x width), colour, bytes\n", "Pictures     24 PNG; all 10 x 10 pixels\n", "Repeated     6\n", "Unreadable   1\n",
		"Class  Training  Validation  Test\nbrick         5           1     2\ngrass         5           1     2\nsky           5           1     2\nall          15           3     6\n",
		"test pictures are training pictures too, such as ", "Note: no validation set of its own: the seed chose 3 of 18 training pictures, about a tenth of each class\n",
		"Note: 1 file is no picture by its name, left out: " + filepath.Join("train", "notes.txt") + "\n",
		"Unreadable:\n  " + filepath.Join("mine", "train", "sky", "bad.png") + ": not a JPEG, PNG, GIF, BMP, TIFF or WebP image: it is text\n",
		"page.html: 4 samples of each class\ngrid.png: 4 samples of each class\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	page, err := os.ReadFile("page.html")
	if err != nil {
		t.Fatal(err)
	}
	// Three classes of three rows.
	if n := bytes.Count(page, []byte("data:image/png;base64,")); n != 9 {
		t.Errorf("%d rows of pictures on the page, want 9", n)
	}
	rows := map[string]bool{}
	for _, row := range regexp.MustCompile(`"data:image/png;base64,[^"]+"`).FindAllString(string(page), -1) {
		rows[row] = true
	}
	if len(rows) != 9 {
		t.Errorf("%d of 9 rows differ: augmentation should change each", len(rows))
	}
	for _, want := range []string{"<h3>brick</h3>", "5 training, 1 validation, 2 test", "augmented by strong", "bad.png</code>: not a JPEG", `<strong class="bad">Warning:</strong>`} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("no %q on the page", want)
		}
	}
	file, err := os.ReadFile("grid.png")
	if err != nil {
		t.Fatal(err)
	}
	grid, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	// Samples of 10 pixels are 60 pixels wide there; the first one is a brick's.
	if r, g, b, _ := grid.At(grid.Bounds().Dx()-200, 30).RGBA(); r>>8 < 150 || g>>8 > 100 || b>>8 > 100 {
		t.Errorf("%v: the first row has no brick: %d %d %d", grid.Bounds(), r>>8, g>>8, b>>8)
	}

	var r dataReport
	if err := json.Unmarshal([]byte(must(t, "data", "mine", "--json")), &r); err != nil {
		t.Fatal(err)
	}
	if r.Train != 15 || r.Valid != 3 || r.Test != 6 || len(r.Bad) != 1 || r.Twins.LeakTest+r.Twins.LeakBoth != 6 || r.Shape != (net.Shape{C: 3, H: 10, W: 10}) || r.Originals.Formats["PNG"] != 24 {
		t.Errorf("%+v", r)
	}

	if out := must(t, "data", "--clear-cache", "mine"); !strings.HasPrefix(out, "removed 1 cache file, ") {
		t.Errorf("printed %q", out)
	}
	if left, err := os.ReadDir(cache); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

// TestMoments compares mean and deviation with values by hand.
func TestMoments(t *testing.T) {
	d := &net.Dataset{Shape: net.Shape{C: 2, H: 1, W: 2}, Classes: 2, Values: []float32{1, 3, 0, 0, 5, 7, 2, 2}, Labels: []int32{0, 1}}
	mean, deviation := moments(d)
	if got, want := fmt.Sprintf("%.4f %.4f", mean, deviation), "[4.0000 1.0000] [2.2361 1.0000]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestDataOfArrays looks at a data set of floats without pictures.
func TestDataOfArrays(t *testing.T) {
	d := &net.Dataset{Name: "floats training", Shape: net.Shape{C: 1, H: 2, W: 2}, Classes: 2, Values: []float32{-5, 5, 0, 0, 5, 5, 5, 5}, Labels: []int32{0, 1}}
	r := reportData(&dataset{train: d, validation: d, test: d, name: "floats"})
	if r.Values != "float32" || r.Twins.LeakTest != 2 || r.Warnings[0] != "2 test pictures are training pictures too, such as test:0 and train:0: the test accuracy will look better than it is" {
		t.Errorf("%+v", r)
	}
	g := gridOf(d, 3, net.Source{Data: d, Input: d.Shape})
	first := g.classes[0].rows[0][0].(*image.Gray)
	if !bytes.Equal(first.Pix, []uint8{0, 255, 128, 128}) || len(g.classes[1].rows) != 1 {
		t.Errorf("pixels %v, %d rows", first.Pix, len(g.classes[1].rows))
	}
}

// TestInterruptedDecoding interrupts while pictures are decoded: nothing stays.
func TestInterruptedDecoding(t *testing.T) {
	inFolder(t)
	cache := filepath.Join(t.TempDir(), "cache")
	colours(t, "mine", 50)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errors bytes.Buffer
	if status := run(ctx, []string{"gputrain", "data", "mine", "--data-cache", cache}, nil, &out, &errors); status != exitFailed || errors.String() != "gputrain: interrupted\n" {
		t.Errorf("status %d, %s", status, errors.String())
	}
	if left, err := filepath.Glob(filepath.Join(cache, "*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q %v", left, err)
	}
}

// TestDataSetMisnamed names a class's folder for the set, a data set where a run or nothing
// is wanted, and pictures that nobody reads.
func TestDataSetMisnamed(t *testing.T) {
	inFolder(t)
	t.Setenv("GPUTRAIN_DATA_CACHE", "off")
	colours(t, "mine", 4)
	colours(t, filepath.Join("parts", "train"), 4)
	write(t, "mine.csv", "path,label\nmine/sky/0.png,sky\n")
	for _, dir := range []string{filepath.Join("phone", "cat"), filepath.Join("phone", "dog"), "heic"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "a.HEIC"), "")
	}
	const convert = "HEIC can't be read: convert such files to JPEG or PNG first, for example with ImageMagick (magick mogrify -format jpg FILE...)"
	sky := filepath.Join("mine", "sky")
	const hint = "; name it with --data mine"
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"train --data " + sky, exitFailed, sky + ": 4 pictures, but no folders of classes; did you mean --data mine?"},
		{"data " + sky + string(filepath.Separator), exitFailed, sky + string(filepath.Separator) + ": 4 pictures, but no folders of classes; did you mean --data mine?"},
		{"train --data " + filepath.Join("parts", "train", "sky"), exitFailed, filepath.Join("parts", "train", "sky") + ": 4 pictures, but no folders of classes; did you mean --data parts?"},
		{"train mine", exitUsage, "train takes no arguments, but mine looks like a data set" + hint + "; see gputrain train --help"},
		{"train mine.csv", exitUsage, "train takes no arguments, but mine.csv looks like a data set" + hint + ".csv; see gputrain train --help"},
		{"find-rate mine", exitUsage, "find-rate takes no arguments, but mine looks like a data set" + hint + "; see gputrain find-rate --help"},
		{"bench mine", exitUsage, "bench takes no arguments, but mine looks like a data set" + hint + "; see gputrain bench --help"},
		{"devices mine", exitUsage, `devices takes no arguments, got "mine"; see gputrain devices --help`},
		{"eval mine", exitFailed, "mine is a data set, not a run" + hint},
		{"eval parts", exitFailed, "parts is a data set, not a run; name it with --data parts"},
		{"serve mine", exitFailed, "mine is a data set, not a run" + hint},
		{"report mine", exitFailed, "mine is a data set, not a run" + hint},
		{"export mine", exitFailed, "mine is a data set, not a run" + hint},
		{"train --resume mine", exitFailed, "mine is a data set, not a run" + hint},
		{"train --from mine", exitFailed, "mine is a data set, not a run" + hint},
		{"predict test:0 --run mine", exitFailed, "mine is a data set, not a run" + hint},
		{"train --data phone", exitFailed, "phone: no pictures found, but 2 other files (" + filepath.Join("cat", "a.HEIC") + ", " + filepath.Join("dog", "a.HEIC") + "); " + convert +
			"; want a folder for each class, DIR/CLASS/*.jpg or DIR/train/CLASS/*.jpg, or a CSV file with the columns path and label"},
		{"train --data heic", exitFailed, "heic: no pictures found; " + convert},
	} {
		refuses(t, c.status, c.want, strings.Fields(c.args)...)
	}
	t.Chdir(sky)
	refuses(t, exitFailed, ".: 4 pictures, but no folders of classes; did you mean --data ..?", "train", "--data", ".")
	t.Chdir(filepath.Join("..", ".."))
	must(t, quick("--epochs", "1")...)
	refuses(t, exitFailed, "heic: there is no picture in this folder; "+convert, "predict", "heic")
	// Pictures beside those that can be read.
	write(t, filepath.Join("mine", "sky", "b.avif"), "")
	if out, want := must(t, "data", "mine"), "Note: 1 file is no picture by its name, left out: "+filepath.Join("sky", "b.avif")+"; AVIF can't be read"; !strings.Contains(out, want) {
		t.Errorf("no %q in\n%s", want, out)
	}
	o := gputrain(t, "eval", "mine.csv")
	if o.status != exitFailed || !strings.HasSuffix(o.errors, "; name it with --data mine.csv\n") {
		t.Errorf("eval of a CSV file: status %d, %s", o.status, o.errors)
	}
}
