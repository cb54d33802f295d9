package mnist

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/gputrain/gputrain/net"
)

// The binary versions of CIFAR-10 and CIFAR-100 (A. Krizhevsky,
// cs.toronto.edu/~kriz/cifar.html) are files of records. A record is one label or two, and
// then the red, green and blue planes of an image.
const cifarImage = 3 * 32 * 32

// cifarForm says how one of the two sets is stored.
type cifarForm struct {
	name   string
	labels int      // bytes of labels before an image; the last one is the class
	test   string   // name of the test file
	meta   string   // name of the file that names the classes; it may be missing
	names  []string // of the classes
}

// record returns the length of a record in bytes.
func (f *cifarForm) record() int { return f.labels + cifarImage }

var cifar10 = &cifarForm{
	name: "CIFAR-10", labels: 1, test: "test_batch.bin", meta: "batches.meta.txt",
	names: []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"},
}

// In CIFAR-100, the label of one of 20 groups stands before the label of the class.
var cifar100 = &cifarForm{
	name: "CIFAR-100", labels: 2, test: "test.bin", meta: "fine_label_names.txt",
	names: strings.Fields(`apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
		castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
		forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
		mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
		possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
		sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree
		wolf woman worm`),
}

// cifarSet holds the names of CIFAR-10's or CIFAR-100's files in a directory.
type cifarSet struct {
	form    *cifarForm
	batches map[int]string // training files by their number
	test    string
}

const cifar100Train = "train.bin"

var cifarBatch = regexp.MustCompile(`^data_batch_([1-9]\d{0,8})\.bin$`)

// findCIFAR returns the sets that have at least one file among names.
func findCIFAR(names []string) (sets []cifarSet) {
	ten, hundred := cifarSet{cifar10, map[int]string{}, ""}, cifarSet{cifar100, map[int]string{}, ""}
	for _, n := range names {
		switch m := cifarBatch.FindStringSubmatch(n); {
		case n == cifar10.test:
			ten.test = n
		case n == cifar100.test:
			hundred.test = n
		case n == cifar100Train:
			hundred.batches[1] = n
		case m != nil:
			// Nine digits always fit.
			i, _ := strconv.Atoi(m[1])
			ten.batches[i] = n
		}
	}
	for _, s := range []cifarSet{ten, hundred} {
		if s.test != "" || len(s.batches) > 0 {
			sets = append(sets, s)
		}
	}
	return sets
}

// batch returns the name of a training file.
func (s cifarSet) batch(i int) string {
	if s.form == cifar100 {
		return cifar100Train
	}
	return fmt.Sprintf("data_batch_%d.bin", i)
}

// loadCIFAR reads all training files, in the order of their numbers, and the
// test file.
func (d directory) loadCIFAR(s cifarSet) (*Split, error) {
	train, test := s.form.empty(), s.form.empty()
	var files []labelFile
	for i := 1; i <= max(len(s.batches), 1); i++ {
		file, ok := s.batches[i]
		if !ok {
			return nil, d.missing(s.batch(i))
		}
		labels, err := d.appendCIFAR(s.form, train, file)
		if err != nil {
			return nil, err
		}
		files = append(files, labels)
	}
	if s.test == "" {
		return nil, d.missing(s.form.test)
	}
	labels, err := d.appendCIFAR(s.form, test, s.test)
	if err != nil {
		return nil, err
	}
	out, err := d.split(s.form.name, train, test, append(files, labels))
	if err != nil {
		return nil, err
	}
	return out, out.nameCIFAR(d, s.form)
}

// appendCIFAR appends a file of the directory to data, and returns the place of its labels.
func (d directory) appendCIFAR(form *cifarForm, data *net.Dataset, name string) (labelFile, error) {
	f, path, err := d.open(name)
	if err != nil {
		return labelFile{}, err
	}
	defer f.Close()
	before := data.Len()
	err = form.append(data, f, path)
	return labelFile{path: path, labels: data.Labels[before:], first: int64(form.labels - 1), step: int64(form.record()), field: "label"}, err
}

// empty returns a data set without samples.
func (f *cifarForm) empty() *net.Dataset {
	return &net.Dataset{
		Shape:   net.Shape{C: 3, H: 32, W: 32},
		Classes: len(f.names),
		Scale:   byteScale,
	}
}

// ReadCIFAR10 reads a file of CIFAR-10's binary version to its end. It returns images of
// 3 x 32 x 32 in ten classes. name is the name of the data set, and of the file in errors.
// Errors are [*FormatError]s. A file without images is an error.
func ReadCIFAR10(r io.Reader, name string) (*net.Dataset, error) {
	d := cifar10.empty()
	d.Name = name
	if err := cifar10.append(d, r, name); err != nil {
		return nil, err
	}
	return d, nil
}

// append appends the records of r, at least one, to data.
func (f *cifarForm) append(data *net.Dataset, r io.Reader, file string) error {
	in := bufio.NewReaderSize(r, 1<<16)
	record := make([]byte, f.record())
	for i := int64(0); ; i++ {
		fail := func(err error) error {
			return &FormatError{File: file, Offset: i * int64(len(record)), Field: fmt.Sprintf("record %d", i), Err: err}
		}
		n, err := io.ReadFull(in, record)
		switch {
		case err == io.EOF && i > 0:
			return nil
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return fail(reason(ErrTruncated, "%d of its %d bytes; fetch or copy it again", n, len(record)))
		case err != nil:
			return fail(err)
		}
		label := record[f.labels-1]
		if int(label) >= data.Classes {
			return fail(reason(ErrLabel, "label %d is not from 0 to %d", label, data.Classes-1))
		}
		data.Labels = append(data.Labels, int32(label))
		data.Pixels = append(data.Pixels, record[f.labels:]...)
	}
}
