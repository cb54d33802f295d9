package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/internal/runfolder"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
	"github.com/gputrain/gputrain/pictures"
)

func dataFlag() cli.Flag {
	return &cli.StringFlag{Name: "data", EnvVars: env("data"), Category: "Data", DefaultText: "the built-in MNIST", Usage: "`FOLDER` of a data set: pictures in folders of classes, IDX files such as MNIST's, or CIFAR-10's binary files; or a CSV file of pictures and labels"}
}

// pictureFlags returns the flags for pictures in folders. Every command with --data
// has them.
func pictureFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "image-size", EnvVars: env("image-size"), Category: "Data", DefaultText: "the model's, or what suits the pictures", Usage: "`SIZE` that pictures are brought to: N or HEIGHTxWIDTH"},
		&cli.StringFlag{Name: "resize", EnvVars: env("resize"), Category: "Data", DefaultText: "the run's, or crop", Usage: "`HOW`: crop to the middle, fit into black, or stretch"},
		&cli.IntFlag{Name: "channels", EnvVars: env("channels"), Category: "Data", DefaultText: "the model's, or what the pictures have", Usage: "`N`: 1 for grey, 3 for colour"},
		&cli.BoolFlag{Name: "skip-bad", EnvVars: env("skip-bad"), Category: "Data", Usage: "go on without pictures that can't be read"},
		&cli.StringFlag{Name: "data-cache", EnvVars: env("data-cache"), Category: "Data", DefaultText: "gputrain/pictures in the user's cache", Usage: "keep decoded pictures in `FOLDER`; off decodes them each time"},
	}
}

// dataset is a data set as the commands use it, from whatever source.
type dataset struct {
	train, validation, test *net.Dataset
	name                    string   // the common name of its parts
	folder                  string   // its folder, as an absolute path; "": the built-in MNIST
	classNames              []string // names of the classes, by label
	// checkLabels returns an error with the place of the first label in the files that
	// is not below the given number of classes. It is nil if the files aren't known.
	checkLabels func(classes int) error
	// prepare tells how a picture becomes a sample; see [net.Subject]. "" is unknown.
	prepare  string
	pictures *pictures.Set // people's own pictures; nil for other data
}

// part returns the part of the data set that --split names.
func (d *dataset) part(split string) *net.Dataset {
	return map[string]*net.Dataset{"test": d.test, "validation": d.validation, "train": d.train}[split]
}

// dataWish is what a network or a run needs from a data set that leaves something
// open. Pictures can have any size, and be split in any way.
type dataWish struct {
	input      net.Shape // shape of the samples; the zero Shape leaves it to the pictures
	prepare    string    // as in [net.Subject]
	seed       uint64    // seed of splits
	firstTenth bool      // the first tenth of the images is for validation, as in runs that remember no subject
	skipBad    bool      // as in [net.Subject]
	showBad    bool      // leave out pictures that can't be read, because the command shows them
}

// wishOf returns what a run needs from its data.
func wishOf(c *net.Checkpoint) dataWish {
	w := dataWish{input: c.Network.Input, seed: c.Recipe.Seed}
	if w.firstTenth = c.Subject == nil; !w.firstTenth {
		w.prepare, w.skipBad = c.Subject.Prepare, c.Subject.SkipBad
	}
	return w
}

// loadData loads the data set that the flags ask for. It stays open until the command
// ends.
func (a *app) loadData(c *cli.Context, w dataWish) (*dataset, error) {
	return a.loadFolder(c, c.String("data"), w)
}

// loadFolder loads the data set in a folder or of a CSV file. If dir is empty, it
// loads the built-in MNIST.
func (a *app) loadFolder(c *cli.Context, dir string, w dataWish) (*dataset, error) {
	s, err := loadArrays(dir, w)
	d := &dataset{}
	switch {
	case err == nil:
		if err := noPictureFlags(c, dir); err != nil {
			return nil, err
		}
		d = &dataset{
			train: s.Train, validation: s.Validation, test: s.Test, classNames: s.ClassNames, checkLabels: s.CheckLabels,
			name: strings.TrimSuffix(s.Train.Name, " training"), prepare: preparationOf(s),
		}
	case (errors.Is(err, mnist.ErrNoDataSet) || errors.Is(err, mnist.ErrNotDirectory)) && pictures.Known(dir):
		if d, err = a.loadPictures(c, dir, w); err != nil {
			return nil, err
		}
	case errors.Is(err, mnist.ErrNoDataSet):
		if n := pictures.Loose(dir); n > 0 {
			if set := pictures.SetAbove(dir); set != "" {
				return nil, fmt.Errorf("%s: %s, but no folders of classes; did you mean --data %s?", dir, counted(n, "picture"), quoted(set))
			}
			return nil, fmt.Errorf("%s: %s, but in no folder of a class: make a folder for each class, %s, and move them there", dir, counted(n, "picture"), filepath.Join(dir, "CLASS", "*.jpg"))
		}
		if advice := pictures.Unread(c.Context, dir); advice != "" {
			return nil, fmt.Errorf("%s: no pictures found; %s", dir, advice)
		}
		return nil, fmt.Errorf("%w; pictures are wanted in a folder for each class, DIR/CLASS/*.jpg", err)
	default:
		return nil, err
	}
	if dir != "" {
		d.folder, err = filepath.Abs(dir)
	} else {
		err = nil
	}
	return d, err
}

// isDataSet reports whether a path looks like a data set: a CSV file, or a folder with the
// files of one or with pictures. A run's folder may hold pictures, too, but is none.
func isDataSet(path string) bool {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return false
	case !info.IsDir():
		return strings.EqualFold(filepath.Ext(path), ".csv")
	}
	if _, err := os.Stat(filepath.Join(path, runfolder.RecordFile)); err == nil {
		return false
	}
	return mnist.Known(path) || pictures.Holds(path)
}

// dataHint tells how a command is told of a data set. It returns "" if the command takes
// none.
func dataHint(c *cli.Context, path string) string {
	if flagNamed(c.Command.Flags, "data") == nil {
		return ""
	}
	return "; name it with --data " + quoted(path)
}

// loadArrays loads a data set from files of arrays, or the built-in MNIST.
func loadArrays(dir string, w dataWish) (*mnist.Split, error) {
	if dir == "" {
		return mnist.Tutorial()
	}
	return mnist.Load(dir, w.splitter())
}

// noPictureFlags returns an error if flags tell how pictures become samples, although
// the data are samples already.
func noPictureFlags(c *cli.Context, dir string) error {
	for _, name := range []string{"image-size", "resize", "channels"} {
		if c.IsSet(name) {
			return usagef("--%s is for pictures in folders; the samples of %s are as they are", name, cmp.Or(dir, "the built-in MNIST"))
		}
	}
	return nil
}

// loadPictures opens people's own pictures.
func (a *app) loadPictures(c *cli.Context, path string, w dataWish) (*dataset, error) {
	o, err := pictureOptions(c, w)
	if err != nil {
		return nil, err
	}
	var bar *countBar
	o.Progress = func(done, all int) {
		if bar == nil {
			bar = a.newCountBar("decoding pictures", all)
		}
		bar.set(done)
	}
	o.Waits = func() { fmt.Fprintf(a.err, "waiting for another process that decodes the pictures of %s\n", path) }
	set, err := pictures.Open(c.Context, path, o)
	if bar != nil {
		bar.close()
	}
	if c.Context.Err() != nil {
		return nil, errInterrupted
	}
	if bad, ok := errors.AsType[*pictures.BadError](err); ok {
		a.listBad(bad.Pictures, 10)
		advice := "mend or remove them, or leave them out with --skip-bad"
		if len(bad.Pictures) == bad.Of {
			advice = "none is left"
		}
		return nil, fmt.Errorf("%s: %s of %s pictures can't be read: %s", path, thousands(len(bad.Pictures)), thousands(bad.Of), advice)
	}
	if _, ok := errors.AsType[*pictures.NoCacheError](err); ok {
		return nil, fmt.Errorf("%w; name another folder for it with --data-cache, or decode into memory at every start (--data-cache off)", err)
	}
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, set.Close)
	if !w.showBad {
		if set.Decoded {
			a.listBad(set.Bad, 100)
		}
		if len(set.Bad) > 0 {
			fmt.Fprintf(a.err, "%s: left out %s that can't be read\n", path, counted(len(set.Bad), "picture"))
		}
		if set.CacheError != "" {
			fmt.Fprintf(a.err, "%s: the pictures are decoded anew at every start: %s; name a folder for them with --data-cache\n", path, set.CacheError)
		}
		for _, warning := range set.Warnings {
			fmt.Fprintf(a.err, "%s: warning: %s\n", path, warning)
		}
	}
	return &dataset{
		train: set.Train, validation: set.Validation, test: set.Test, classNames: set.ClassNames,
		name: strings.TrimSuffix(set.Train.Name, " training"), prepare: string(set.Prepare), pictures: set,
	}, nil
}

// listBad lists the first of the pictures that can't be read, one a line.
func (a *app) listBad(bad []pictures.Bad, most int) {
	for i, b := range bad {
		if i == most {
			fmt.Fprintf(a.err, "and %s more\n", thousands(len(bad)-most))
			return
		}
		fmt.Fprintln(a.err, b)
	}
}

// pictureOptions reads the flags for pictures. Where they leave something open, w
// decides.
func pictureOptions(c *cli.Context, w dataWish) (pictures.Options, error) {
	o := pictures.Options{
		Height: w.input.H, Width: w.input.W, Channels: w.input.C, Seed: w.seed,
		SkipBad: c.Bool("skip-bad") || w.skipBad || w.showBad, CacheDir: c.String("data-cache"),
	}
	if o.Channels != 1 && o.Channels != 3 {
		o.Channels = 0 // the model does not suit pictures, which is reported later
	}
	if o.CacheDir == "off" {
		o.CacheDir, o.NoCache = "", true
	}
	if c.IsSet("image-size") {
		var err error
		if o.Height, o.Width, err = imageSize(c.String("image-size")); err != nil {
			return o, err
		}
	}
	if c.IsSet("channels") {
		if o.Channels = c.Int("channels"); o.Channels != 1 && o.Channels != 3 {
			return o, usagef("--channels must be 1 or 3, got %d", o.Channels)
		}
	}
	how := []string{string(picture.Crop), string(picture.Fit), string(picture.Stretch)}
	if p, err := picture.ParsePreparation(w.prepare); err == nil && slices.Contains(how, string(p)) {
		o.Prepare = p
	}
	if c.IsSet("resize") {
		if err := choose("resize", c.String("resize"), how); err != nil {
			return o, err
		}
		o.Prepare = picture.Preparation(c.String("resize"))
	}
	return o, nil
}

// imageSize reads --image-size: N, or HEIGHTxWIDTH.
func imageSize(text string) (height, width int, err error) {
	h, w, both := strings.Cut(strings.ToLower(text), "x")
	if !both {
		w = h
	}
	height, errH := strconv.Atoi(h)
	width, errW := strconv.Atoi(w)
	if errH != nil || errW != nil || height < 1 || width < 1 {
		return 0, 0, usagef("--image-size: %q is neither a number of pixels nor HEIGHTxWIDTH, such as 64 or 48x64", text)
	}
	return height, width, nil
}

// checkFit returns an error if the network can't take the data set.
func checkFit(plan *net.Plan, data *dataset) error {
	d := data.train
	if d.Shape != plan.Network.Input {
		return fmt.Errorf("the model takes samples of %v, but data set %s has %v: choose another --model or --data", plan.Network.Input, d.Name, d.Shape)
	}
	if d.Classes <= plan.Classes {
		return nil
	}
	err := fmt.Errorf("the model tells %d classes apart, but data set %s has %d: choose another --model or --data", plan.Classes, d.Name, d.Classes)
	if data.checkLabels == nil {
		return err
	}
	if label := data.checkLabels(plan.Classes); label != nil {
		err = fmt.Errorf("%w, or mend the file if it is damaged: %w", err, label)
	}
	return err
}
