package mnist

import (
	"fmt"
	"strconv"

	"github.com/gputrain/gputrain/net"
)

// Split is a data set in three parts that have no sample in common, with one
// shape and one number of classes.
type Split struct {
	Train      *net.Dataset // to learn from
	Validation *net.Dataset // to choose settings and to stop early
	Test       *net.Dataset // to judge the result
	// ClassNames names every class: the digits, CIFAR-10's names, or just the
	// class's number.
	ClassNames []string

	labelFiles []labelFile
}

// CheckLabels returns a [*FormatError] for the first label of the files, those
// of the training set first, that is not from 0 to classes-1; nil if there is
// none. It tells where a file is damaged, or not meant for a network of so many
// classes. Of a Split that wasn't read from files it knows nothing.
func (s *Split) CheckLabels(classes int) error {
	for _, f := range s.labelFiles {
		if err := f.check(classes); err != nil {
			return err
		}
	}
	return nil
}

// labelFile is a file with labels.
type labelFile struct {
	path        string
	gzip        bool
	labels      []int32
	first, step int64 // the first label's offset, and how far the next ones are
	field       string
}

// check refuses a label outside the classes.
func (f labelFile) check(classes int) error {
	first, wrong := 0, 0
	for i, l := range f.labels {
		if l >= 0 && int(l) < classes {
			continue
		}
		if wrong == 0 {
			first = i
		}
		wrong++
	}
	if wrong == 0 {
		return nil
	}
	text := fmt.Sprintf("label %d of image %d is not from 0 to %d", f.labels[first], first, classes-1)
	if wrong > 1 {
		text += fmt.Sprintf("; of %d labels it is one of %d", len(f.labels), wrong)
	}
	return &FormatError{
		File: f.path, Gzip: f.gzip, Offset: f.first + int64(first)*f.step, Field: f.field,
		Err: fmt.Errorf("%w: %s", ErrLabel, text),
	}
}

// maxValidation is the size of the tutorial's validation set.
const maxValidation = 5000

// split splits the validation set off the training images: the first tenth,
// rounded up, but no more than maxValidation. The parts share the memory of train
// and test.
func (d directory) split(
	name string, train, test *net.Dataset, classNames []string, files []labelFile,
) (*Split, error) {
	if train.Len() < 2 {
		return nil, d.fail(ErrTooFew, "%d, want at least 2", train.Len())
	}
	n := min((train.Len()+9)/10, maxValidation)
	s := &Split{
		Train:      train.Slice(n, train.Len()),
		Validation: train.Slice(0, n),
		Test:       test,
		ClassNames: classNames,
		labelFiles: files,
	}
	s.Train.Name = name + " training"
	s.Validation.Name = name + " validation"
	s.Test.Name = name + " test"
	return s, nil
}

// numberNames names classes by their numbers.
func numberNames(classes int) []string {
	names := make([]string, classes)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	return names
}
