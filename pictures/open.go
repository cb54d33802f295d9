package pictures

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/dustin/go-humanize"

	"github.com/gputrain/gputrain/internal/replacefile"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// Options say how pictures become samples. The zero Options suit any pictures.
type Options struct {
	Height, Width int                 // size of the samples; 0 and 0 choose one that suits the pictures
	Channels      int                 // 1 for grey, 3 for colour; 0: 1 if every picture is grey, else 3
	Prepare       picture.Preparation // how a picture is brought to that size; "" is picture.Crop
	Seed          uint64              // decides the splits, where a set has no validation or test set

	SkipBad bool // go on without the pictures that can't be read; they are in Set.Bad
	Workers int  // how many pictures are decoded at once; 0 is the number of processors

	CacheDir string // where cache files are kept; "" is [CacheFolder]
	NoCache  bool   // keep nothing: decode into memory

	// Progress is told now and then how many of all pictures are decoded. It is not
	// called where the cache has them.
	Progress func(done, all int)
	// Waits is called once if Open has to wait for another process that makes the same
	// cache file. It may be nil.
	Waits func()
}

// check refuses options that make no sense, and fills in defaults.
func (o *Options) check() error {
	const most = 4096
	if (o.Height == 0) != (o.Width == 0) || o.Height < 0 || o.Width < 0 || o.Height > most || o.Width > most {
		return fmt.Errorf("pictures of %d x %d: both sides must be from 1 to %d, or both 0", o.Height, o.Width, most)
	}
	if o.Channels != 0 && o.Channels != 1 && o.Channels != 3 {
		return fmt.Errorf("pictures have 1 or 3 channels, not %d", o.Channels)
	}
	switch o.Prepare {
	case "":
		o.Prepare = picture.Crop
	case picture.Crop, picture.Fit, picture.Stretch:
	default:
		return fmt.Errorf("pictures can't be prepared by %q; want %s, %s or %s", o.Prepare, picture.Fit, picture.Crop, picture.Stretch)
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	return nil
}

// Bad is a picture that can't be read.
type Bad struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

func (b Bad) String() string { return printable(b.Path) + ": " + b.Why }

// printable returns a name, quoted where it has characters that would disturb a line.
func printable(name string) string {
	if strings.ContainsFunc(name, unicode.IsControl) {
		return strconv.Quote(name)
	}
	return name
}

// BadError says which pictures of a set can't be read. Their reading is over: another
// Open with SkipBad finds the others in the cache.
type BadError struct {
	Set      string // its path
	Pictures []Bad  // all of them
	Of       int    // number of all pictures of the set
}

// Error names the first ten, a line each.
func (e *BadError) Error() string {
	const most = 10
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s of %s can't be read", e.Set, count(len(e.Pictures), "picture"), count(e.Of, "picture"))
	for i, bad := range e.Pictures {
		if i == most {
			fmt.Fprintf(&b, "\nand %d more", len(e.Pictures)-most)
			break
		}
		fmt.Fprintf(&b, "\n%s", bad)
	}
	return b.String()
}

// Set is an open set of pictures. Its data sets share its memory, so they must not be
// used after Close.
type Set struct {
	Train, Validation, Test *net.Dataset // named, with ClassNames; Pixels and a Scale of 1/255
	ClassNames              []string     // by label
	Prepare                 picture.Preparation
	Bad                     []Bad    // pictures that can't be read, which are left out
	Notes                   []string // what was chosen and left out, for people, a clause each
	Warnings                []string // what spoils training or its figures, such as test pictures that are training pictures
	Originals               Originals
	CacheFile               string // "" without a cache
	CacheError              string // why nothing is kept in [CacheFolder], where that is only the default; "" if it is kept
	Decoded                 bool   // whether this call of Open decoded the pictures, because the cache didn't have them

	at     place
	files  [parts][]file
	firsts [parts]*uint8 // the first byte of each part's pixels
	unmap  func() error
}

// Originals is what the pictures' files are like.
type Originals struct {
	Formats map[string]int `json:"formats"` // number of files, by format
	Sizes   []Size         `json:"sizes"`   // upright, the most frequent first, 10 at most
	Kinds   int            `json:"kinds"`   // number of different sizes
	Least   [2]int         `json:"least"`   // the least width and height
	Most    [2]int         `json:"most"`    // the greatest width and height
	Grey    int            `json:"grey"`    // pictures that are grey
}

// Size is a size and how many pictures have it.
type Size struct {
	Width  int `json:"width"`
	Height int `json:"height"`
	Count  int `json:"count"`
}

// Known reports whether a path can only be a set of pictures: a CSV file, or a folder
// that holds folders.
func Known(path string) bool {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return false
	case !info.IsDir():
		return strings.EqualFold(filepath.Ext(path), ".csv")
	}
	w := &walk{ctx: context.Background()}
	return w.holdsFolder(path)
}

// Loose returns how many pictures are in the folder itself, not in folders inside it.
func Loose(path string) int {
	n := 0
	w := &walk{ctx: context.Background()}
	entries, err := w.read(path)
	for _, e := range entries {
		if err == nil && !e.dir && isPicture(e.name) {
			n++
		}
	}
	return n
}

// Files returns the pictures' files in a folder and in its folders, in the order in which
// people sort. What is no picture by its name is left out.
func Files(ctx context.Context, path string) ([]string, error) {
	w := &walk{ctx: ctx}
	if err := w.class(path, "", train, nil); err != nil {
		return nil, err
	}
	var out []string
	for _, p := range w.pictures {
		out = append(out, p.path)
	}
	slices.SortFunc(out, net.CompareNames)
	return out, nil
}

// mostUnasked is how many bytes of samples are decoded into memory although nobody
// asked for that.
const mostUnasked = 4 << 30

// Open opens the pictures at a path, a folder or a CSV file. It decodes them, or finds
// them in the cache. A cancelled context ends it, with nothing left behind.
//
// Pictures that can't be read give a *BadError, unless they are to be skipped. Where the
// default cache folder can't be used, Open decodes into memory and says so in
// Set.CacheError; a folder that Options names must do.
func Open(ctx context.Context, path string, o Options) (*Set, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	l, err := list(ctx, path, o.Workers)
	if err != nil {
		return nil, err
	}
	s := &Set{ClassNames: l.classes, Prepare: o.Prepare, Notes: l.notes, files: l.files, unmap: func() error { return nil }}
	var m *meta
	var samples []uint8
	if o.NoCache {
		m, samples, err = s.decode(ctx, l, o)
	} else {
		m, samples, err = s.fromCache(ctx, path, l, o)
		if lack, ok := errors.AsType[*noCacheError](err); ok && o.CacheDir == "" && lack.size <= mostUnasked {
			s.CacheError = lack.why
			m, samples, err = s.decode(ctx, l, o)
		}
	}
	if err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.at = place{root: path, shown: path, name: filepath.Base(absolute), folder: absolute}
	if err := s.assemble(m, samples, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// place is where a set is.
type place struct {
	root   string // what its files' paths begin with
	shown  string // in messages
	name   string // of its data sets
	folder string // absolute; "" where there is none
}

// OpenFS is [Open] for a folder in a file system of Go's, such as an archive or files
// that are embedded: its top folder has the classes' folders, or train and such. CSV
// files are for Open alone. name is what the data sets are called. The pictures are
// decoded into memory at every call; options for the cache are not looked at. Set.File
// gives paths in the file system.
func OpenFS(ctx context.Context, files fs.FS, name string, o Options) (*Set, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	l, err := listFolder(ctx, &disk{files, name}, ".")
	if err != nil {
		return nil, err
	}
	if err := l.stat(ctx, o.Workers); err != nil {
		return nil, err
	}
	return decoded(ctx, name, l, o)
}

// Labelled is an image and what it shows.
type Labelled struct {
	Image image.Image
	Class string // its name
	Part  string // "train", "validation" or "test"; "" is train
}

// FromImages is [Open] for images that a program has already. Classes are numbered in
// the order of their names. name is what the data sets are called. The images become
// samples and are not needed any more then. Set.File gives "image 0", "image 1" and so
// on, by the place in images.
func FromImages(ctx context.Context, images []Labelled, name string, o Options) (*Set, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	all := make([]labelled, len(images))
	for i, img := range images {
		p := labelled{path: fmt.Sprintf("image %d", i), class: img.Class, image: img.Image}
		var ok bool
		if p.part, ok = partNamed(cmp.Or(img.Part, partNames[train])); !ok {
			return nil, fmt.Errorf("%s: image %d: part %q is not train, validation or test", name, i, img.Part)
		}
		if p.class == "" {
			return nil, fmt.Errorf("%s: image %d has no class", name, i)
		}
		if p.image == nil {
			p.bad = "there is no image: it is nil"
		}
		all[i] = p
	}
	l := &listing{}
	if err := l.number(name, all); err != nil {
		return nil, err
	}
	if len(l.classes) < 2 {
		return nil, fmt.Errorf("%s: %s of training images, want at least two", name, count(len(l.classes), "class", "classes"))
	}
	return decoded(ctx, name, l, o)
}

// decoded makes a set of a listing, decoded into memory.
func decoded(ctx context.Context, name string, l *listing, o Options) (*Set, error) {
	s := &Set{
		ClassNames: l.classes, Prepare: o.Prepare, Notes: l.notes, files: l.files, unmap: func() error { return nil },
		at: place{root: ".", shown: name, name: name},
	}
	m, samples, err := s.decode(ctx, l, o)
	if err != nil {
		return nil, err
	}
	for part := range s.files {
		for i := range s.files[part] {
			s.files[part][i].image = nil
		}
	}
	if err := s.assemble(m, samples, o); err != nil {
		return nil, err
	}
	return s, nil
}

// Subject returns what a run that trains on the set is to remember: Subject of its
// [net.Config]. Then a [picture.Classifier] prepares pictures as the set's were.
func (s *Set) Subject() *net.Subject {
	return &net.Subject{
		Data: s.at.name, Folder: s.at.folder, ClassNames: s.ClassNames,
		Scale: s.Train.Scale, Prepare: string(s.Prepare), SkipBad: len(s.Bad) > 0,
	}
}

// Close gives the set's memory back. It can be called again. A device keeps
// copies of data that it knows by their place in memory, where another set may come to
// lie: a device that has used the set is closed before another set is opened for it.
func (s *Set) Close() error {
	unmap := s.unmap
	s.unmap = func() error { return nil }
	return unmap()
}

// File returns the file of a sample of Train, Validation or Test, or of what
// [net.Sample], [net.Split] or Select took of them; "" for samples of other data sets.
func (s *Set) File(d *net.Dataset, sample int) string {
	for part, files := range s.files {
		if len(files) > 0 && len(d.Pixels) > 0 && &d.Pixels[0] == s.firsts[part] {
			return files[d.Row(int32(sample))].path
		}
	}
	return ""
}

// inside returns the name of a sample's file in the set: it stays the same where the set
// is moved.
func (s *Set) inside(d *net.Dataset, sample int32) string {
	file := s.File(d, int(sample))
	if name, err := filepath.Rel(s.at.root, file); err == nil {
		file = name // of a CSV file ../cat/1.jpg
	}
	return filepath.ToSlash(file)
}

// decode decodes all pictures into memory.
func (s *Set) decode(ctx context.Context, l *listing, o Options) (*meta, []uint8, error) {
	var memory memoryWriter
	m, err := build(ctx, l, o, &memory)
	s.Decoded = true
	return m, memory.samples, err
}

// fromCache finds the samples in the cache, after making its file if need be.
func (s *Set) fromCache(ctx context.Context, path string, l *listing, o Options) (*meta, []uint8, error) {
	dir := o.CacheDir
	if dir == "" {
		var err error
		if dir, err = CacheFolder(); err != nil {
			return nil, nil, err
		}
	}
	pictures, err := l.sum()
	if err != nil {
		return nil, nil, err
	}
	m, b, file, err := findCache(dir, path, pictures, l, o)
	if errors.Is(err, errStale) {
		if file, err = cachePath(dir, path, o); err != nil {
			return nil, nil, err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, nil, noRoom(dir, 0, err)
		}
		release, held, err := lockCache(ctx, file, o.Waits)
		if err != nil {
			return nil, nil, err
		}
		defer release()
		k := keyOf(pictures, o)
		m, b, err = cached(file, k, l)
		if errors.Is(err, errStale) { // nobody has made it meanwhile
			if err := s.make(ctx, file, k, held, l, o); err != nil {
				return nil, nil, err
			}
			m, b, err = openCache(file, k)
		}
		if errors.Is(err, errStale) {
			err = fmt.Errorf("cache file %s was damaged as soon as it was written: is its disk sound?", file)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if err != nil {
		return nil, nil, err
	}
	s.CacheFile = file
	s.unmap = func() error { return unmap(b) }
	return m, b[samplesAt : samplesAt+m.bytes()], nil
}

// findCache opens the cache file that has what the options ask for.
func findCache(dir, set string, pictures [sha256.Size]byte, l *listing, o Options) (m *meta, b []byte, file string, err error) {
	for _, v := range o.variants() {
		if file, err = cachePath(dir, set, v); err != nil {
			return nil, nil, "", err
		}
		m, b, err = cached(file, keyOf(pictures, v), l)
		if err == nil && !o.suits(m.Shape) {
			err = errors.Join(errStale, unmap(b))
		}
		if err == nil || !errors.Is(err, errStale) {
			return m, b, file, err
		}
	}
	return nil, nil, "", errStale
}

// cached opens the cache file unless it is stale: also if a picture could not be read
// when it was made and now can.
func cached(file string, k key, l *listing) (*meta, []byte, error) {
	m, b, err := openCache(file, k)
	if err != nil {
		return nil, nil, err
	}
	files := l.all()
	stale := m.Count != len(files)
	for _, bad := range m.Bad {
		stale = stale || bad.Row < 0 || bad.Row >= len(files) || !isBad(&files[bad.Row])
		if stale {
			break
		}
	}
	if stale {
		return nil, nil, errors.Join(errStale, unmap(b))
	}
	return m, b, nil
}

// make makes the cache file. held says that no other process makes it.
func (s *Set) make(ctx context.Context, file string, k key, held bool, l *listing, o Options) error {
	dir, name := filepath.Split(file)
	if held { // then these are of processes that were killed
		if err := replacefile.RemoveTemporaries(dir, name); err != nil {
			return noRoom(dir, 0, err)
		}
	}
	s.Decoded = true
	var size int64
	err := writeCache(file, k, func(f *os.File) (*meta, error) {
		return build(ctx, l, o, &fileWriter{f, &size})
	})
	if err != nil && ctx.Err() == nil {
		return noRoom(dir, size, err) // pictures that can't be read are no error here
	}
	return err
}

// assemble makes the data sets of samples.
func (s *Set) assemble(m *meta, samples []uint8, o Options) error {
	s.Originals = m.Originals
	s.Warnings = m.Warnings
	files := (&listing{files: s.files}).all()
	bad := map[int]bool{}
	for _, b := range m.Bad {
		bad[b.Row] = true
		s.Bad = append(s.Bad, Bad{files[b.Row].path, b.Why})
	}
	if len(s.Bad) > 0 && (!o.SkipBad || len(s.Bad) == len(files)) {
		return &BadError{Set: s.at.shown, Pictures: s.Bad, Of: len(files)}
	}
	n := m.Shape.Size()
	var sets [parts]*net.Dataset
	first := 0
	for part, files := range s.files {
		d := &net.Dataset{
			Shape: m.Shape, Classes: len(s.ClassNames), ClassNames: s.ClassNames, Scale: 1. / 255,
			Pixels: samples[first*n : (first+len(files))*n : (first+len(files))*n],
		}
		var rows []int32
		for i := range files {
			if !bad[first+i] {
				d.Labels, rows = append(d.Labels, files[i].label), append(rows, int32(i))
			}
		}
		if len(rows) < len(files) {
			d.Rows = rows
		}
		sets[part] = d
		if len(files) > 0 {
			s.firsts[part] = &d.Pixels[0]
		}
		first += len(files)
	}
	s.Train, s.Validation, s.Test = sets[train], sets[validation], sets[test]
	whole, split := s.Train.Len(), false
	take := func(what string, share float64) (part *net.Dataset) {
		from := s.Train
		s.Train, part = net.SplitByName(from, share, o.Seed, func(i int32) string { return s.inside(from, i) })
		split = true
		s.Notes = append(s.Notes, fmt.Sprintf("no %s set of its own: the seed chose %s of %s, about a tenth of each class",
			what, humanize.Comma(int64(part.Len())), count(whole, "training picture")))
		return part
	}
	if s.Test.Len() == 0 {
		s.Test = take("test", 0.1)
	}
	if s.Validation.Len() == 0 {
		s.Validation = take("validation", 0.1*float64(whole)/float64(s.Train.Len())) // a tenth of the whole, too
	}
	for part, d := range []*net.Dataset{s.Train, s.Validation, s.Test} {
		if d.Len() == 0 {
			return fmt.Errorf("%s: too few pictures to take some for %s; want at least 3 of a class", s.at.shown, partNames[part])
		}
		d.Name = s.at.name + " " + []string{"training", "validation", "test"}[part]
	}
	if split && m.Repeated > 0 { // the seed may have put twins into different parts
		sets := map[string]*net.Dataset{partNames[train]: s.Train, partNames[validation]: s.Validation, partNames[test]: s.Test}
		s.Warnings = FindTwins(s.Train, s.Validation, s.Test).Warnings(s.ClassNames, func(part string, i int) string { return s.File(sets[part], i) })
	}
	if m.Chosen != "" {
		s.Notes = append(s.Notes, m.Chosen)
	}
	return nil
}
