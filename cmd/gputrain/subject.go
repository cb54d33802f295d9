package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// runDataFlag is --data of the commands that ask a trained network.
func runDataFlag() cli.Flag {
	f := dataFlag().(*cli.StringFlag)
	f.DefaultText = "the run's own"
	return f
}

// subject is what a run that trains on at most so many samples remembers of the data
// set; 0 is all.
func (d *dataset) subject(limit int) *net.Subject {
	s := &net.Subject{Data: d.name, Folder: d.folder, ClassNames: d.classNames, Limit: limit}
	if d.pictures != nil {
		s.SkipBad = len(d.pictures.Bad) > 0
	}
	if d.train.Pixels != nil {
		s.Scale, s.Prepare = d.train.Scale, d.prepare
	}
	return s
}

// preparationOf is how a picture becomes a sample of a split: as a digit where the
// images are known to be such.
func preparationOf(s *mnist.Split) string {
	if s.Digits {
		return string(picture.Digit)
	}
	return string(picture.Stretch)
}

// splitter is how a data set in arrays is split for a run.
func (w dataWish) splitter() mnist.Splitter {
	if w.firstTenth {
		return mnist.FirstTenth
	}
	return mnist.BySeed(w.seed)
}

// limited returns the data set with at most n samples in each part, of all classes and
// chosen by the seed; 0 is all.
func (d *dataset) limited(n int, seed uint64) *dataset {
	if n < 1 {
		return d
	}
	out := *d
	out.train, out.validation, out.test = net.Sample(d.train, n, seed), net.Sample(d.validation, n, seed), net.Sample(d.test, n, seed)
	return &out
}

// runData loads the data set that --data names, or else the one that a run was trained
// on. Changed says, where that is another one now, what has changed.
func (a *app) runData(c *cli.Context, saved *net.Checkpoint) (data *dataset, changed string, err error) {
	if saved.Subject == nil {
		data, err = a.loadData(c, wishOf(saved))
		return data, "", err
	}
	if c.IsSet("data") {
		if data, err = a.loadData(c, wishOf(saved)); err == nil {
			data.numberBy(saved.Subject.ClassNames)
		}
		return data, "", err
	}
	if data, err = a.ownData(c, saved, wishOf(saved)); err != nil {
		return nil, "", err
	}
	changed = changedData(saved, data)
	data.numberBy(saved.Subject.ClassNames)
	return data, changed, nil
}

// ownData loads the data set that a run remembers.
func (a *app) ownData(c *cli.Context, saved *net.Checkpoint, w dataWish) (*dataset, error) {
	if s := saved.Subject; s.Folder == "" && s.Data != "MNIST" {
		return nil, fmt.Errorf("the data that the run was trained on, %s, came from a program that trained it: say with --data where such data are", s.Data)
	}
	data, err := a.loadFolder(c, saved.Subject.Folder, w)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the data that the run was trained on, %s, are no longer there: say with --data where they are now (%w)", saved.Subject.Data, err)
	case err != nil:
		return nil, fmt.Errorf("the data that the run was trained on, %s: %w; --data names others", saved.Subject.Data, err)
	}
	return data, nil
}

// numberBy gives the classes the numbers that they have in names, where names has all of
// them: folders of classes are numbered by their order, which another class changes.
func (d *dataset) numberBy(names []string) {
	if slices.Equal(d.classNames, names) || len(d.classNames) < d.train.Classes {
		return
	}
	numbers := make([]int32, len(d.classNames))
	for k, name := range d.classNames {
		at := slices.Index(names, name)
		if at < 0 {
			return
		}
		numbers[k] = int32(at)
	}
	d.classNames = names
	for _, part := range []**net.Dataset{&d.train, &d.validation, &d.test} {
		if *part == nil {
			continue
		}
		renumbered := **part
		renumbered.Classes, renumbered.ClassNames = len(names), names
		renumbered.Labels = make([]int32, (*part).Len())
		for i, l := range (*part).Labels {
			renumbered.Labels[i] = numbers[l]
		}
		*part = &renumbered
	}
}

// changedData says what has changed in the data that a run was trained on; "" where
// nothing has.
func changedData(saved *net.Checkpoint, data *dataset) string {
	s := saved.Subject
	if s.Folder == "" {
		return "" // built in
	}
	now := data.limited(s.Limit, saved.Recipe.Seed)
	for _, part := range []struct {
		name string
		was  *net.DatasetID
		is   *net.Dataset
	}{{"training", &saved.Train, now.train}, {"validation", saved.Validation, now.validation}} {
		if part.was == nil || part.is == nil {
			continue
		}
		place := "the data in " + s.Folder + " have changed since the run was trained: "
		if was, is := part.was.Samples, part.is.Len(); was != is {
			return place + fmt.Sprintf("%s %s images then, %s now", thousands(was), part.name, thousands(is))
		}
		if part.was.SHA256 != part.is.ID().SHA256 {
			return place + "other " + part.name + " images or labels"
		}
	}
	return ""
}

// note tells something in a line, beside the output.
func (a *app) note(text string) {
	if text != "" {
		fmt.Fprintln(a.err, "note: "+text)
	}
}

// classNames names the network's answers: as the run remembers, or else as the data set
// does.
func (m *model) classNames(data *dataset) []string {
	switch s := m.checkpoint.Subject; {
	case s != nil:
		return s.ClassNames
	case data != nil:
		return data.classNames
	}
	return nil
}

// otherNames says where a data set calls its classes otherwise than the run; "" where it
// doesn't.
func (m *model) otherNames(data *dataset) string {
	ours := m.classNames(data)
	for k, name := range data.classNames {
		if k < len(ours) && ours[k] != name {
			return fmt.Sprintf("%s calls class %d %s, the run calls it %s: classes are compared by their numbers", data.name, k, name, ours[k])
		}
	}
	return ""
}

// preparation is how a picture becomes the network's input: as --prepare says, as the
// run remembers, or else as the input's shape suggests.
func preparation(c *cli.Context, saved *net.Checkpoint) picture.Preparation {
	name := c.String("prepare")
	if s := saved.Subject; name == string(picture.Auto) && s != nil && s.Prepare != "" {
		name = s.Prepare
	}
	how, err := picture.ParsePreparation(name)
	if err != nil {
		return picture.Preparation(name) // of a newer version: refused where a picture is prepared
	}
	return how
}

// pictureScale is what a picture's byte is multiplied with for a network. It refuses
// pictures for a network whose samples were no bytes.
func pictureScale(saved *net.Checkpoint) (float32, error) {
	s := saved.Subject
	switch {
	case s == nil:
		return 1. / 255, nil
	case s.Scale == 0:
		return 0, fmt.Errorf("the network was trained on %s, whose values are no bytes: nobody knows how pictures become such values; ask about its test images (test:0), or train on bytes", s.Data)
	}
	return s.Scale, nil
}

// describePreparation says for people how pictures become a network's input.
func describePreparation(how picture.Preparation, in net.Shape) string {
	how, err := how.For(in)
	if err != nil {
		return "none: " + err.Error()
	}
	size := fmt.Sprintf("%d x %d", in.H, in.W)
	switch how {
	case picture.Digit:
		return "as MNIST's digits were made: 20 x 20, centred in 28 x 28"
	case picture.Fit:
		return "fitted into " + size
	case picture.Crop:
		return "the middle, cut to " + size
	}
	return "stretched to " + size
}

// listNames names classes in a line, the first of many.
func listNames(names []string) string {
	const most = 10
	text := fmt.Sprintf("%d: ", len(names)) + strings.Join(names[:min(most, len(names))], ", ")
	if len(names) > most {
		text += ", ..."
	}
	return text
}
