package mnist

import (
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
}

// maxValidation is the size of the tutorial's validation set.
const maxValidation = 5000

// split splits the validation set off the training images: the first tenth,
// rounded up, but no more than maxValidation. The parts share the memory of train
// and test.
func (d directory) split(name string, train, test *net.Dataset, classNames []string) (*Split, error) {
	if train.Len() < 2 {
		return nil, d.fail(ErrTooFew, "%d, want at least 2", train.Len())
	}
	n := min((train.Len()+9)/10, maxValidation)
	s := &Split{
		Train:      train.Slice(n, train.Len()),
		Validation: train.Slice(0, n),
		Test:       test,
		ClassNames: classNames,
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
