package mnist

import (
	"fmt"
	"strconv"

	"github.com/gputrain/gputrain/net"
)

// Split is a data set in three parts. No sample is in two parts. All parts have the same
// shape and the same number of classes.
type Split struct {
	Train      *net.Dataset // the samples that the network learns from
	Validation *net.Dataset // for choosing settings and for stopping early
	Test       *net.Dataset // for measuring the result
	// ClassNames has the name of every class, as in the parts. They come from a file beside
	// the images, or are those of a known data set. Otherwise a class's name is its number.
	ClassNames []string
	// Digits says that the images are known to be digits or letters made like MNIST's: light
	// on black, 20 pixels high or wide, centred.
	Digits bool

	labelFiles []labelFile
}

// CheckLabels returns a [*FormatError] for the first label that is not from 0 to classes-1,
// or nil if there is none. The error names the file and the place. Such a file is damaged, or
// made for another number of classes. The training set's files are checked first. A Split
// that wasn't read from files always passes.
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
	first, step int64 // the first label's offset, and the distance from each label to the next, in bytes
	field       string
}

// check returns an error if a label is outside the classes.
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

// Splitter divides a data set's training images into a training and a validation set. The
// two have no image in common, and share the memory of all.
type Splitter func(all *net.Dataset) (train, validation *net.Dataset)

// FirstTenth is the tutorial's splitter. The validation set is the first tenth of the images,
// rounded up, but no more than 5,000. It is for shuffled images only.
func FirstTenth(all *net.Dataset) (train, validation *net.Dataset) {
	n := min((all.Len()+9)/10, maxValidation)
	return all.Slice(n, all.Len()), all.Slice(0, n)
}

// BySeed returns a splitter for images in any order. The validation set has about a tenth of
// each class, but no more than about 5,000 images in all. The seed chooses them
// ([net.Split]).
func BySeed(seed uint64) Splitter {
	return func(all *net.Dataset) (train, validation *net.Dataset) {
		return net.Split(all, min(0.1, maxValidation/float64(all.Len())), seed)
	}
}

// split takes the validation set from the training images. The parts share the memory of
// train and test.
func (d directory) split(name string, train, test *net.Dataset, files []labelFile) (*Split, error) {
	s := &Split{Test: test, labelFiles: files}
	s.Train, s.Validation = d.splitter(train)
	if s.Train.Len() < 1 || s.Validation.Len() < 1 {
		return nil, d.fail(ErrTooFew, "%d, want a class with two: one to train, one to validate", train.Len())
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
