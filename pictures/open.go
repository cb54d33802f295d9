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
	Height, Width int                 // size of the samples in pixels; if both are 0, one is chosen that suits the pictures
	Channels      int                 // 1 for grey, 3 for colour; 0 means 1 if every picture is grey, else 3
	Prepare       picture.Preparation // how a picture is brought to that size: Crop, Fit or Stretch; "" means Crop
	Seed          uint64              // chooses the validation or test pictures of a set that has none

	SkipBad bool // leaves out the pictures that can't be read, and lists them in Set.Bad
	Workers int  // how many pictures are decoded at once; 0 means GOMAXPROCS

	CacheDir string // the folder for cache files; "" means [CacheFolder]
	NoCache  bool   // decodes into memory and keeps no file

	// Progress is called now and then with the number of decoded pictures, and of all
	// pictures. It is not called if the cache has them. It may be nil.
	Progress func(done, all int)
	// Waits is called once if Open has to wait for another process that makes the same
	// cache file. It may be nil.
	Waits func()
}

// check returns an error for options that make no sense, and fills in defaults.
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

// printable returns a name. It quotes one that has control characters.
func printable(name string) string {
	if strings.ContainsFunc(name, unicode.IsControl) {
		return strconv.Quote(name)
	}
	return name
}

// BadError says which pictures of a set can't be read. The others have been decoded: if
// there is a cache, another Open with SkipBad finds them there.
type BadError struct {
	Set      string // the set's path or name
	Pictures []Bad  // all that can't be read
	Of       int    // number of all pictures of the set
}

// Error lists the first ten pictures, one on each line.
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
	Notes                   []string // what was chosen and left out, for people: a clause each
	Warnings                []string // what does harm to training or its figures, such as test pictures that are training pictures too
	Originals               Originals
	CacheFile               string // path of the cache file; "" if there is none
	CacheError              string // why nothing could be kept in [CacheFolder], so that Open decoded into memory; else ""
	Decoded                 bool   // whether this call of Open decoded the pictures, because the cache didn't have them

	at     place
	files  [parts][]file
	firsts [parts]*uint8 // the first byte of each part's pixels
	unmap  func() error
}

// Originals describes the pictures' files.
type Originals struct {
	Formats map[string]int `json:"formats"` // number of files, by format
	Sizes   []Size         `json:"sizes"`   // sizes of the upright pictures, the most frequent first, at most 10
	Kinds   int            `json:"kinds"`   // number of different sizes
	Least   [2]int         `json:"least"`   // the least width and the least height
	Most    [2]int         `json:"most"`    // the greatest width and the greatest height
	Grey    int            `json:"grey"`    // number of grey pictures
}

// Size is a size in pixels, and the number of pictures that have it.
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

// Loose returns the number of pictures in the folder itself, without those in folders
// inside it. It returns 0 if the folder can't be read.
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

// Holds reports whether a folder looks like a set of pictures: whether there is a picture
// in it, in its folders, or in the folders of those. It stops at the first one.
func Holds(path string) bool { return (&walk{ctx: context.Background()}).holdsPicture(path, 2) }

// holdsPicture looks for a picture in a folder, and in folders inside it down to a depth.
func (w *walk) holdsPicture(path string, depth int) bool {
	entries, err := w.read(path)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if !e.dir && isPicture(e.name) {
			return true
		}
	}
	return depth > 0 && slices.ContainsFunc(entries, func(e entry) bool { return e.dir && w.holdsPicture(e.path, depth-1) })
}

// SetAbove returns the set of pictures in which a folder is that of a class: the folder
// above it, if that holds another folder with pictures, or the folder above train, if the
// class's folder is in train, validation or test. It returns "" if there is none.
func SetAbove(path string) string {
	w := &walk{ctx: context.Background()}
	here, err := os.Stat(path)
	if err != nil {
		return ""
	}
	set := above(path)
	entries, err := w.read(set)
	if err != nil || !slices.ContainsFunc(entries, func(e entry) bool {
		info, err := os.Stat(e.path)
		return err == nil && e.dir && !os.SameFile(info, here) && w.holdsPicture(e.path, 0)
	}) {
		return ""
	}
	absolute, err := filepath.Abs(set)
	if err != nil {
		return set
	}
	if _, ok := partNamed(filepath.Base(absolute)); ok {
		whole := above(set)
		if entries, err := w.read(whole); err == nil && slices.ContainsFunc(entries, func(e entry) bool {
			part, ok := partNamed(e.name)
			return ok && part == train && w.holdsFolder(e.path)
		}) {
			return whole
		}
	}
	return set
}

// above returns the folder above a folder.
func above(path string) string {
	switch path = filepath.Clean(path); {
	case path == ".":
		return ".."
	case filepath.Base(path) == "..":
		return filepath.Join(path, "..")
	}
	return filepath.Dir(path)
}

// Unread tells that a folder, or a folder inside it, has pictures of a format that this
// package doesn't read, by their names, and what to do. It returns "" if there are none.
func Unread(ctx context.Context, path string) string {
	w := &walk{ctx: ctx, root: path}
	if err := w.class(path, "", train, nil); err != nil {
		return ""
	}
	return unread(w.beside)
}

// Files returns the pictures' files in a folder and in all folders inside it, in the order
// of [net.CompareNames]. Files whose names are not those of pictures are left out.
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

// mostUnasked is the most bytes of samples that Open decodes into memory without being
// asked to.
const mostUnasked = 4 << 30

// Open opens the pictures at a path, which is a folder or a CSV file. It decodes them, or
// finds them in the cache. If ctx is cancelled, Open ends and leaves nothing behind. The
// caller closes the set.
//
// Pictures that can't be read give a *BadError, unless Options.SkipBad is set and others
// are left. If the default cache folder can't be used, Open decodes up to 4 GiB of samples
// into memory and says so in Set.CacheError. If Options.CacheDir can't be used, that is an
// error.
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
		if lack, ok := errors.AsType[*NoCacheError](err); ok && o.CacheDir == "" && lack.size <= mostUnasked {
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
	root   string // the beginning of its files' paths
	shown  string // its name in messages
	name   string // the beginning of its data sets' names
	folder string // its absolute path; "" if there is none
}

// OpenFS does what [Open] does, for an [io/fs.FS] such as an archive or embedded files. The
// top folder of the file system must hold the classes' folders, or the folders train,
// validation and test. Only Open reads CSV files. The names of the data sets begin with
// name. Every call decodes the pictures into memory, so the options for the cache are
// ignored. Set.File returns paths in the file system.
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
	Class string // the name of its class
	Part  string // "train", "validation" or "test"; "" means train
}

// FromImages is [Open] for images that a program has already. Classes are numbered in the
// order of their names. name begins the names of the data sets. The set does not keep the
// images. Set.File returns "image 0", "image 1" and so on, by the index in images.
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

// decoded makes a set from a listing, decoded into memory.
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

// Subject returns the Subject for the [net.Config] of a run that trains on the set. With
// it, a [picture.Classifier] prepares pictures in the same way as the set's.
func (s *Set) Subject() *net.Subject {
	return &net.Subject{
		Data: s.at.name, Folder: s.at.folder, ClassNames: s.ClassNames,
		Scale: s.Train.Scale, Prepare: string(s.Prepare), SkipBad: len(s.Bad) > 0,
	}
}

// Close releases the set's memory. A second call does nothing. A device keeps copies of the
// data, and finds a copy by the address of the data in memory. Another set may get the same
// address. So before you open another set, close the devices that have used this one.
func (s *Set) Close() error {
	unmap := s.unmap
	s.unmap = func() error { return nil }
	return unmap()
}

// File returns the path of a sample's file. d is Train, Validation or Test, or a part that
// [net.Sample], [net.Split] or Select took of them. For other data sets File returns "".
func (s *Set) File(d *net.Dataset, sample int) string {
	for part, files := range s.files {
		if len(files) > 0 && len(d.Pixels) > 0 && &d.Pixels[0] == s.firsts[part] {
			return files[d.Row(int32(sample))].path
		}
	}
	return ""
}

// inside returns the name of a sample's file within the set. It stays the same if the set is
// moved.
func (s *Set) inside(d *net.Dataset, sample int32) string {
	file := s.File(d, int(sample))
	if name, err := filepath.Rel(s.at.root, file); err == nil {
		file = name // for a CSV file: ../cat/1.jpg
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

// fromCache finds the samples in the cache. If they are not there, it makes the cache file
// first.
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

// findCache opens a cache file that suits the options, or gives errStale.
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

// cached opens the cache file unless it is stale. It is also stale if a picture can be read
// now that could not be read when it was made.
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

// make makes the cache file. held says that no other process is making it.
func (s *Set) make(ctx context.Context, file string, k key, held bool, l *listing, o Options) error {
	dir, name := filepath.Split(file)
	if held { // so temporary files are from processes that were killed
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

// assemble makes the data sets from the samples.
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
		s.Validation = take("validation", 0.1*float64(whole)/float64(s.Train.Len())) // a tenth of the whole as well
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
