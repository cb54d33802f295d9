package mnist

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gputrain/gputrain/net"
)

// famous is a well-known data set in MNIST's format.
type famous struct {
	classes []string
	digits  bool // its images are made like MNIST's digits
	// called matches its files' prefix or its folder's name, in small letters.
	called *regexp.Regexp
	// labels is the SHA-256 of its training labels, one byte each. "" means that it is not
	// known here.
	labels string
}

// The classes of the famous sets, by label. EMNIST's are those of its mapping files. There
// a letter that looks the same in both cases has the name of the capital. In EMNIST's
// letters, the labels begin at 1.
var (
	digitNames   = numberNames(10)
	fashionNames = []string{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"}
	kanaNames    = []string{"o お", "ki き", "su す", "tsu つ", "na な", "ha は", "ma ま", "ya や", "re れ", "wo を"}
	letterNames  = append([]string{"none"}, runesBetween('A', 'Z')...)
	classNames   = slices.Concat(digitNames, runesBetween('A', 'Z'), runesBetween('a', 'z'))
	mergedNames  = slices.Concat(digitNames, runesBetween('A', 'Z'), strings.Split("abdefghnqrt", ""))
)

// famousSets are the sets that are recognised by their labels or their names: MNIST (LeCun,
// Cortes, Burges) and similar sets of digits; Fashion-MNIST (Xiao, Rasul, Vollgraf,
// arXiv:1708.07747); KMNIST (Clanuwat et al., arXiv:1812.01718); EMNIST (Cohen et al.,
// arXiv:1702.05373).
var famousSets = []famous{
	{digitNames, true, regexp.MustCompile(`^(q?mnist|usps)\b|^emnist[-_ ]?(digits|mnist)\b`), "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13"},
	{fashionNames, false, regexp.MustCompile(`fashion`), "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7"},
	{kanaNames, false, regexp.MustCompile(`kmnist|kuzushiji`), ""},
	{letterNames, true, regexp.MustCompile(`^emnist[-_ ]?letters\b`), ""},
	{mergedNames, true, regexp.MustCompile(`^emnist[-_ ]?(balanced|bymerge)\b`), ""},
	{classNames, true, regexp.MustCompile(`^emnist[-_ ]?byclass\b`), ""},
}

// runesBetween returns the runes from a to b, each as a string.
func runesBetween(a, b rune) (all []string) {
	for r := a; r <= b; r++ {
		all = append(all, string(r))
	}
	return all
}

// recognise returns the famous set that the training images are, or nil. Their shape must
// be that of MNIST. It recognises a set by its labels, or else by one of the names. With a
// name, the number of classes must match too.
func recognise(all *net.Dataset, names ...string) *famous {
	if all.Shape != (net.Shape{C: 1, H: 28, W: 28}) {
		return nil
	}
	labels := make([]byte, all.Len())
	for i, l := range all.Labels {
		labels[i] = byte(l)
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(labels))
	for i := range famousSets {
		if famousSets[i].labels == sum {
			return &famousSets[i]
		}
	}
	for _, name := range names {
		for i := range famousSets {
			if f := &famousSets[i]; len(f.classes) == all.Classes && f.called.MatchString(strings.ToLower(name)) {
				return f
			}
		}
	}
	return nil
}

// namesFiles are the files that name the classes of any data set, one on each line.
var namesFiles = []string{"classes.txt", "labels.txt"}

// maxNamesFile is the greatest size of a file of names, in bytes.
const maxNamesFile = 4 << 20

// namedClasses returns the names in classes.txt or labels.txt, or nil if neither exists. A
// file with fewer names than classes, or more than most, is an error.
func (d directory) namedClasses(classes, most int) ([]string, error) {
	for _, file := range namesFiles {
		names, err := d.readNames(file, classes, most)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return names, err
	}
	return nil, nil
}

// readNames reads a file with the name of a class on each line: at least classes of them,
// and no more than most.
func (d directory) readNames(file string, classes, most int) ([]string, error) {
	lines, path, err := d.readLines(file)
	if err != nil {
		return nil, err
	}
	fail := func(line int, format string, a ...any) error {
		return fmt.Errorf("%s: line %d: %w; a line names a class, rename the file if it is for something else", path, line, reason(ErrNames, format, a...))
	}
	at := map[string]int{}
	for i, name := range lines {
		switch before, twice := at[name]; {
		case name == "":
			return nil, fail(i+1, "it is empty")
		case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
			return nil, fail(i+1, "%.40q is no name", name)
		case twice:
			return nil, fail(i+1, "%.40q is the name in line %d too", name, before)
		}
		at[name] = i + 1
	}
	if len(lines) < classes || len(lines) > most {
		return nil, fail(len(lines), "%d names, but the labels are 0 to %d", len(lines), classes-1)
	}
	return lines, nil
}

// readLines returns the lines of a small text file, without spaces around them, and without
// the empty lines at its end.
func (d directory) readLines(file string) (lines []string, path string, err error) {
	f, path, err := d.open(file)
	if err != nil {
		return nil, path, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxNamesFile+1))
	if err != nil {
		return nil, path, fmt.Errorf("%s: %w", path, err)
	}
	if len(b) > maxNamesFile {
		return nil, path, fmt.Errorf("%s: %w", path, reason(ErrNames, "more than %d MiB", maxNamesFile>>20))
	}
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) // a byte-order mark
	for line := range strings.Lines(string(b)) {
		lines = append(lines, strings.TrimSpace(line))
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines, path, nil
}

// mappedNames returns the names in EMNIST's mapping file. Its lines are such as "1 65 97": a
// label, and the codes of the characters with this label. The first character is the name of
// the class. A label without a line is named "none". If there is no such file, the names are
// nil.
func (d directory) mappedNames(set string, classes int) ([]string, error) {
	lines, path, err := d.readLines(set + "-mapping.txt")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names := slices.Repeat([]string{"none"}, classes)
	for i, line := range lines {
		fail := func() error {
			return fmt.Errorf("%s: line %d: %w", path, i+1, reason(ErrNames, "want a label from 0 to %d and the code of a character, got %.40q", classes-1, line))
		}
		fields := strings.Fields(line)
		if len(fields) < 2 {
			return nil, fail()
		}
		label, err1 := strconv.Atoi(fields[0])
		code, err2 := strconv.Atoi(fields[1])
		if err := errors.Join(err1, err2); err != nil || label < 0 || label >= classes || code > unicode.MaxRune || !unicode.IsPrint(rune(code)) {
			return nil, fail()
		}
		names[label] = string(rune(code))
	}
	return names, nil
}

// nameIDX names the classes of IDX files. It takes the first of these that there is: names,
// which come from a file beside the images and may be nil; EMNIST's mapping file; the names
// of a famous set; numbers. all holds the training images.
func (s *Split) nameIDX(d directory, set string, all *net.Dataset, names []string) (err error) {
	f := recognise(all, set, d.name)
	if names == nil && storedTransposed(set) {
		if names, err = d.mappedNames(set, all.Classes); err != nil {
			return err
		}
	}
	switch {
	case names != nil:
	case f != nil:
		names = f.classes
	default:
		names = numberNames(all.Classes)
	}
	s.Digits = f != nil && f.digits
	s.setNames(slices.Clone(names))
	return nil
}

// nameCIFAR names CIFAR's classes. It takes the first of these that there is: classes.txt or
// labels.txt, CIFAR's own file, the names that this package knows.
func (s *Split) nameCIFAR(d directory, form *cifarForm) error {
	n := len(form.names)
	names, err := d.namedClasses(n, n)
	if names == nil && err == nil {
		names, err = d.readNames(form.meta, n, n)
	}
	if errors.Is(err, fs.ErrNotExist) {
		names, err = slices.Clone(form.names), nil
	}
	if err != nil {
		return err
	}
	s.setNames(names)
	return nil
}

// setNames sets the names and the number of classes in all parts.
func (s *Split) setNames(names []string) {
	s.ClassNames = names
	for _, d := range []*net.Dataset{s.Train, s.Validation, s.Test} {
		d.ClassNames, d.Classes = names, len(names)
	}
}
