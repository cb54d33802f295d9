package mnist

import (
	"cmp"
	"maps"
	"regexp"
	"slices"

	"github.com/gputrain/gputrain/net"
)

// idxSet holds the names of the files of one IDX data set in a directory.
type idxSet struct {
	name  string            // the beginning of the files' names, before "-train-images-…"; often empty
	files map[string]string // names of files by part: "train-images" and so on
}

// The parts of an IDX data set.
const (
	trainImages = "train-images"
	trainLabels = "train-labels"
	testImages  = "test-images"
	testLabels  = "test-labels"
)

// idxName matches a file's name. Its groups are the data set, training or test, and images
// or labels.
var idxName = regexp.MustCompile(`^(?:(.+)-)?(train|t10k|test)-(images|labels)[-.]idx\d-[a-z0-9]+(?:\.gz)?$`)

// findIDX returns the IDX data sets that have files among names, sorted by name. The names
// must be sorted.
func findIDX(names []string) []idxSet {
	var sets []idxSet
	for _, n := range names {
		m := idxName.FindStringSubmatch(n)
		if m == nil {
			continue
		}
		name, half, what := m[1], m[2], m[3]
		if half == "t10k" {
			half = "test"
		}
		i, ok := slices.BinarySearchFunc(sets, name, func(s idxSet, name string) int { return cmp.Compare(s.name, name) })
		if !ok {
			sets = slices.Insert(sets, i, idxSet{name, map[string]string{}})
		}
		part := half + "-" + what
		if _, ok := sets[i].files[part]; !ok {
			sets[i].files[part] = n
		}
	}
	return sets
}

// first returns the name of the set's first file, in alphabetical order.
func (s idxSet) first() string { return slices.Min(slices.Collect(maps.Values(s.files))) }

// usualName returns the name of a part's file in MNIST or EMNIST.
func (s idxSet) usualName(part string) string {
	usual := map[string]string{
		trainImages: "train-images-idx3-ubyte",
		trainLabels: "train-labels-idx1-ubyte",
		testImages:  "t10k-images-idx3-ubyte",
		testLabels:  "t10k-labels-idx1-ubyte",
	}[part]
	if s.name != "" {
		usual = s.name + "-" + part + usual[len(part):]
	}
	return usual
}

// loadIDX reads the four files of an IDX data set.
func (d directory) loadIDX(s idxSet) (*Split, error) {
	arrays := map[string]*Array{}
	for _, part := range []string{trainImages, trainLabels, testImages, testLabels} {
		file, ok := s.files[part]
		if !ok {
			return nil, d.missing(s.usualName(part))
		}
		a, err := d.readIDX(file)
		if err != nil {
			return nil, err
		}
		arrays[part] = a
	}
	train, err := labelled(arrays[trainImages], arrays[trainLabels])
	if err != nil {
		return nil, err
	}
	test, err := labelled(arrays[testImages], arrays[testLabels])
	if err != nil {
		return nil, err
	}
	classes := max(int(slices.Max(train.Labels))+1, 2)
	names, err := d.namedClasses(classes, maxClasses)
	if err != nil {
		return nil, err
	}
	classes = max(classes, len(names))
	files := []labelFile{arrays[trainLabels].labelFile(train.Labels), arrays[testLabels].labelFile(test.Labels)}
	if err := files[1].check(classes); err != nil {
		return nil, err
	}
	a := arrays[testImages]
	switch b := arrays[trainImages]; {
	case a.Type != b.Type:
		return nil, a.fail(typeOffset, "element type", reason(ErrElementType, "%v, but the training images are %v", a.Type, b.Type))
	case test.Shape != train.Shape:
		return nil, a.fail(dimsOffset+4, "image size", reason(ErrDimensions, "%v, but the training images are %v", test.Shape, train.Shape))
	}
	train.Classes, test.Classes = classes, classes
	if storedTransposed(s.name) {
		transpose(train)
		transpose(test)
	}
	out, err := d.split(cmp.Or(s.name, d.name), train, test, files)
	if err != nil {
		return nil, err
	}
	return out, out.nameIDX(d, s.name, train, names)
}

// readIDX reads a file of the directory.
func (d directory) readIDX(name string) (*Array, error) {
	f, path, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadIDX(f, path)
}

// labelled joins images and labels to a data set. The caller sets its number of classes.
func labelled(images, labels *Array) (*net.Dataset, error) {
	d, err := images.images()
	if err != nil {
		return nil, err
	}
	if d.Labels, err = labels.labels(); err != nil {
		return nil, err
	}
	if n := images.Dims[0]; d.Len() != n {
		return nil, labels.fail(dimsOffset, "number of labels", reason(ErrCount, "%d labels, but %s holds %d images", d.Len(), images.file, n))
	}
	return d, nil
}
