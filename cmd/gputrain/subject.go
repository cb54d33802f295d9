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

// runDataFlag returns the flag --data of the commands that use a trained network.
func runDataFlag() cli.Flag {
	f := dataFlag().(*cli.StringFlag)
	f.DefaultText = "the run's own"
	return f
}

// subject returns what a run remembers of the data set if it trains on at most limit
// samples; a limit of 0 is all.
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

// preparationOf returns how a picture becomes a sample of a split. If the images are
// known to be digits, it is as a digit.
func preparationOf(s *mnist.Split) string {
	if s.Digits {
		return string(picture.Digit)
	}
	return string(picture.Stretch)
}

// splitter returns how a data set in arrays is split for a run.
func (w dataWish) splitter() mnist.Splitter {
	if w.firstTenth {
		return mnist.FirstTenth
	}
	return mnist.BySeed(w.seed)
}

// limited returns the data set with at most n samples in each part; 0 is all. The seed
// chooses the samples, of all classes.
func (d *dataset) limited(n int, seed uint64) *dataset {
	if n < 1 {
		return d
	}
	out := *d
	out.train, out.validation, out.test = net.Sample(d.train, n, seed), net.Sample(d.validation, n, seed), net.Sample(d.test, n, seed)
	return &out
}

// runData loads the data set that --data names, otherwise the one that the run was
// trained on. If that one has changed, changed tells what.
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
	switch s := saved.Subject; {
	case s.Data == unknownData:
		return nil, errors.New("the run was imported, and nobody knows the data that it was trained on: say with --data where such data are")
	case s.Folder == "" && s.Data != "MNIST":
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

// numberBy gives the classes the numbers that they have in names, if names has all of
// them. Folders of classes are numbered by their order, so another class would change
// their numbers.
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

// changedData tells what has changed in the data that a run was trained on. It returns
// "" if nothing has.
func changedData(saved *net.Checkpoint, data *dataset) string {
	s := saved.Subject
	if s.Folder == "" {
		return "" // the built-in MNIST never changes
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

// note prints a line beside the output.
func (a *app) note(text string) {
	if text != "" {
		fmt.Fprintln(a.err, "note: "+text)
	}
}

// classNames returns names for the network's classes: those that the run remembers,
// otherwise those of the data set.
func (m *model) classNames(data *dataset) []string {
	switch s := m.checkpoint.Subject; {
	case s != nil:
		return s.ClassNames
	case data != nil:
		return data.classNames
	}
	return nil
}

// otherNames tells where a data set's names for classes differ from the run's. It
// returns "" if they don't.
func (m *model) otherNames(data *dataset) string {
	ours := m.classNames(data)
	for k, name := range data.classNames {
		if k < len(ours) && ours[k] != name {
			return fmt.Sprintf("%s calls class %d %s, the run calls it %s: classes are compared by their numbers", data.name, k, name, ours[k])
		}
	}
	return ""
}

// preparation returns how a picture becomes the network's input: as --prepare says,
// otherwise as the run remembers, otherwise as the input's shape suggests.
func preparation(c *cli.Context, saved *net.Checkpoint) picture.Preparation {
	name := c.String("prepare")
	if s := saved.Subject; name == string(picture.Auto) && s != nil && s.Prepare != "" {
		name = s.Prepare
	}
	how, err := picture.ParsePreparation(name)
	if err != nil {
		return picture.Preparation(name) // unknown names are refused when a picture is prepared
	}
	return how
}

// pictureScale returns what a picture's bytes are multiplied by for a network. It fails
// if the network was trained on samples that were not bytes.
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

// describePreparation tells people how pictures become a network's input.
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

// listNames lists classes in one line; of many it lists the first ones.
func listNames(names []string) string {
	const most = 10
	text := fmt.Sprintf("%d: ", len(names)) + strings.Join(names[:min(most, len(names))], ", ")
	if len(names) > most {
		text += ", ..."
	}
	return text
}
