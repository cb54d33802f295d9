package mnist

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"github.com/gputrain/gputrain/net"
)

// The binary version of CIFAR-10 (A. Krizhevsky, cs.toronto.edu/~kriz/cifar.html):
// records of a label and the red, green and blue planes of an image.
const (
	cifarImage  = 3 * 32 * 32
	cifarRecord = 1 + cifarImage
)

// CIFAR-10's classes, in the order of its batches.meta.txt.
var cifarNames = []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}

// cifarSet is the files of CIFAR-10 in a directory.
type cifarSet struct {
	batches map[int]string // training files by their number
	test    string
}

const (
	cifarTest = "test_batch.bin"
	cifarMeta = "batches.meta.txt" // names the classes
)

var cifarBatch = regexp.MustCompile(`^data_batch_([1-9]\d{0,8})\.bin$`)

// findCIFAR10 returns the CIFAR-10 files among names of files.
func findCIFAR10(names []string) cifarSet {
	s := cifarSet{batches: map[int]string{}}
	for _, n := range names {
		if n == cifarTest {
			s.test = n
		} else if m := cifarBatch.FindStringSubmatch(n); m != nil {
			// Nine digits are a number.
			i, _ := strconv.Atoi(m[1])
			s.batches[i] = n
		}
	}
	return s
}

// any says whether there is any file.
func (s cifarSet) any() bool { return s.test != "" || len(s.batches) > 0 }

// loadCIFAR10 reads all training files, in the order of their numbers, and the
// test file.
func (d directory) loadCIFAR10(s cifarSet) (*Split, error) {
	train, test := newCIFAR10(), newCIFAR10()
	var files []labelFile
	for i := 1; i <= max(len(s.batches), 1); i++ {
		file, ok := s.batches[i]
		if !ok {
			return nil, d.missing(fmt.Sprintf("data_batch_%d.bin", i))
		}
		labels, err := d.appendCIFAR10(train, file)
		if err != nil {
			return nil, err
		}
		files = append(files, labels)
	}
	if s.test == "" {
		return nil, d.missing(cifarTest)
	}
	labels, err := d.appendCIFAR10(test, s.test)
	if err != nil {
		return nil, err
	}
	out, err := d.split("CIFAR-10", train, test, append(files, labels))
	if err != nil {
		return nil, err
	}
	return out, out.nameCIFAR10(d)
}

// appendCIFAR10 appends a file of the directory to data, and returns where its
// labels lie.
func (d directory) appendCIFAR10(data *net.Dataset, name string) (labelFile, error) {
	f, path, err := d.open(name)
	if err != nil {
		return labelFile{}, err
	}
	defer f.Close()
	before := data.Len()
	err = appendCIFAR10(data, f, path)
	return labelFile{path: path, labels: data.Labels[before:], step: cifarRecord, field: "label"}, err
}

// newCIFAR10 returns CIFAR-10 without samples.
func newCIFAR10() *net.Dataset {
	return &net.Dataset{
		Shape:   net.Shape{C: 3, H: 32, W: 32},
		Classes: len(cifarNames),
		Scale:   byteScale,
	}
}

// ReadCIFAR10 reads a file of CIFAR-10's binary version to its end: images of
// 3 x 32 x 32 in ten classes. The name becomes the data set's and stands in
// errors, which are [*FormatError]s. A file without an image is an error.
func ReadCIFAR10(r io.Reader, name string) (*net.Dataset, error) {
	d := newCIFAR10()
	d.Name = name
	if err := appendCIFAR10(d, r, name); err != nil {
		return nil, err
	}
	return d, nil
}

// appendCIFAR10 appends the records of r, at least one, to data.
func appendCIFAR10(data *net.Dataset, r io.Reader, file string) error {
	in := bufio.NewReaderSize(r, 1<<16)
	var record [cifarRecord]byte
	for i := int64(0); ; i++ {
		fail := func(err error) error {
			return &FormatError{File: file, Offset: i * cifarRecord, Field: fmt.Sprintf("record %d", i), Err: err}
		}
		n, err := io.ReadFull(in, record[:])
		switch {
		case err == io.EOF && i > 0:
			return nil
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return fail(reason(ErrTruncated, "%d of its %d bytes", n, cifarRecord))
		case err != nil:
			return fail(err)
		case int(record[0]) >= data.Classes:
			return fail(reason(ErrLabel, "label %d is not from 0 to %d", record[0], data.Classes-1))
		}
		data.Labels = append(data.Labels, int32(record[0]))
		data.Pixels = append(data.Pixels, record[1:]...)
	}
}
