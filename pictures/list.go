package pictures

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"golang.org/x/sync/errgroup"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// The parts of a set.
const (
	train = iota
	validation
	test
	parts
)

var partNames = [parts]string{"train", "validation", "test"}

// partNamed returns the part that a folder's name, or a word in a CSV file, means.
func partNamed(name string) (part int, ok bool) {
	switch strings.ToLower(name) {
	case "train", "training":
		return train, true
	case "validation", "val", "valid":
		return validation, true
	case "test":
		return test, true
	}
	return 0, false
}

// file is a picture's file.
type file struct {
	path       string // of the file, or the name of image
	in         *disk
	image      image.Image // an image in memory; nil if there is a file
	size, time int64       // in bytes, and nanoseconds since 1970
	label      int32
	bad        string // why it can't be read, if that is known without opening it; else ""
}

// listing holds the pictures of a folder or a CSV file.
type listing struct {
	classes []string
	files   [parts][]file
	notes   []string
	in      *disk
}

// all returns the files of all parts, in order.
func (l *listing) all() []file { return slices.Concat(l.files[:]...) }

// labelled is a picture's path and the name of its class.
type labelled struct {
	path, class string
	part        int
	bad         string // why it can't be read; "" if that isn't known yet
	image       image.Image
}

// list lists the pictures at a path.
func list(ctx context.Context, path string, workers int) (*listing, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", path, reason(err))
	}
	var l *listing
	if info.IsDir() {
		l, err = listFolder(ctx, nil, path)
	} else {
		l, err = listCSV(path)
	}
	if err != nil {
		return nil, err
	}
	return l, l.stat(ctx, workers)
}

// number numbers the classes, and adds the pictures to the parts of the listing.
func (l *listing) number(root string, pictures []labelled) error {
	var labels []string // of training pictures
	for _, p := range pictures {
		if printable(p.class) != p.class {
			return fmt.Errorf("%s: the name of class %s has characters that can't be printed: give it another", root, printable(p.class))
		}
		if p.part == train {
			labels = append(labels, p.class)
		}
	}
	l.classes, _ = net.NumberClasses(labels)
	numbers := map[string]int32{}
	for i, class := range l.classes {
		numbers[class] = int32(i)
	}
	for _, p := range pictures {
		label, ok := numbers[p.class]
		if !ok {
			return fmt.Errorf("%s: class %q has pictures for %s but none for training, such as %s: add some, or remove them",
				root, p.class, partNames[p.part], l.in.show(p.path))
		}
		l.files[p.part] = append(l.files[p.part], file{path: p.path, in: l.in, image: p.image, label: label, bad: p.bad})
	}
	return nil
}

// stat reads the files' sizes and times.
func (l *listing) stat(ctx context.Context, workers int) error {
	const piece = 512
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for part := range l.files {
		for files := range slices.Chunk(l.files[part], piece) {
			group.Go(func() error {
				for i := range files {
					files[i].stat()
				}
				return ctx.Err()
			})
		}
	}
	return group.Wait()
}

// stat reads the file's size and time, and sets bad for what can't be a picture. It opens
// nothing, because opening a named pipe would wait for its writer.
func (f *file) stat() {
	if f.bad != "" {
		return
	}
	info, err := f.in.stat(f.path)
	if err != nil {
		f.bad = reason(err)
		if link, err := f.in.lstat(f.path); err == nil && link.Mode()&fs.ModeSymlink != 0 {
			f.bad = "a link that leads nowhere"
		}
		return
	}
	f.size, f.time = info.Size(), info.ModTime().UnixNano()
	switch mode := info.Mode(); {
	case mode.IsDir():
		f.bad = "a folder with a picture's name"
	case mode&fs.ModeNamedPipe != 0:
		f.bad = "a named pipe, not a file"
	case !mode.IsRegular():
		f.bad = "a device or socket, not a file"
	case f.size == 0:
		f.bad = "the file is empty"
	case f.size > picture.MaxBytes:
		f.bad = fmt.Sprintf("larger than %d MiB; make it smaller", picture.MaxBytes>>20)
	}
}

// reason says in plain words why a file can't be read, without the file's name.
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file"
	case errors.Is(err, fs.ErrPermission):
		return "no permission to read it"
	}
	var of *fs.PathError
	if errors.As(err, &of) {
		err = of.Err
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

// suffixes are the ends of file names that mean a picture.
var suffixes = []string{".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp"}

// isPicture reports whether a file is a picture, by its name.
func isPicture(name string) bool {
	return slices.Contains(suffixes, strings.ToLower(filepath.Ext(name)))
}

// passedOver reports whether a file is hidden, or one that systems leave in folders.
func passedOver(name string) bool {
	switch strings.ToLower(name) {
	case "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin":
		return true
	}
	return strings.HasPrefix(name, ".")
}

// walk is a walk through the folders of a set.
type walk struct {
	root     string // the folder in which it began; for names in messages
	ctx      context.Context
	in       *disk
	pictures []labelled
	notes    []string
	beside   []string      // files whose names are not those of pictures
	lone     []string      // pictures that are in no class's folder
	above    []fs.FileInfo // the folders that hold the classes' folders
}

// entry is a file or folder in a folder. Links are followed.
type entry struct {
	path, name string
	dir        bool
}

// read returns the entries of a folder, in the order of their names.
func (w *walk) read(dir string) ([]entry, error) {
	if err := w.ctx.Err(); err != nil {
		return nil, err
	}
	found, err := w.in.readDir(dir)
	if err != nil {
		return nil, err
	}
	var out []entry
	for _, f := range found {
		if passedOver(f.Name()) {
			continue
		}
		e := entry{path: w.in.join(dir, f.Name()), name: f.Name(), dir: f.IsDir()}
		if f.Type()&fs.ModeSymlink != 0 {
			if info, err := w.in.stat(e.path); err == nil {
				e.dir = info.IsDir()
			}
		}
		out = append(out, e)
	}
	return out, nil
}

// refusal returns the error for a folder that can't be read.
func (w *walk) refusal(dir string, err error) error {
	if cancelled := w.ctx.Err(); cancelled != nil {
		return cancelled
	}
	return fmt.Errorf("%s: %s", w.in.show(dir), reason(err))
}

// listFolder lists the pictures in a folder of folders.
func listFolder(ctx context.Context, in *disk, root string) (*listing, error) {
	w := &walk{root: root, ctx: ctx, in: in}
	entries, err := w.read(root)
	if err != nil {
		return nil, w.refusal(root, err)
	}
	if info, err := in.stat(root); err == nil {
		w.above = append(w.above, info)
	}
	var found [parts][]string // folders with the names of parts
	var others []string       // the other folders
	split := false
	for _, e := range entries {
		part, ok := partNamed(e.name)
		switch {
		case !e.dir:
		case !ok:
			others = append(others, e.name)
		default:
			found[part] = append(found[part], e.path)
			// A class may be called train. Then its folder holds pictures, not folders.
			split = split || part == train && w.holdsFolder(e.path)
		}
	}
	if !split {
		for _, path := range slices.Concat(found[validation], found[test]) {
			if len(others) == 0 && len(found[train]) == 0 && w.holdsFolder(path) {
				return nil, fmt.Errorf("%s: there is no folder train beside %s", in.show(root), filepath.Base(path))
			}
		}
		if err := w.classes(root, train); err != nil {
			return nil, err
		}
		return w.listing(root, entries)
	}
	for part, paths := range found {
		if len(paths) > 1 {
			return nil, fmt.Errorf("%s and %s: both are for %s; keep one", in.show(paths[0]), in.show(paths[1]), partNames[part])
		}
		for _, path := range paths {
			if err := w.classes(path, part); err != nil {
				return nil, err
			}
		}
	}
	if len(others) > 0 {
		w.notes = append(w.notes, fmt.Sprintf("beside the folder %s, left out: %s", filepath.Base(found[train][0]), few(others)))
	}
	for _, e := range entries {
		if !e.dir {
			w.alone(e)
		}
	}
	return w.listing(root, entries)
}

// holdsFolder reports whether a folder holds another folder.
func (w *walk) holdsFolder(path string) bool {
	inner, err := w.read(path)
	return err == nil && slices.ContainsFunc(inner, func(e entry) bool { return e.dir })
}

// listing makes a listing from the pictures that were found.
func (w *walk) listing(root string, top []entry) (*listing, error) {
	root = w.in.show(root)
	if len(w.pictures) == 0 {
		return nil, fmt.Errorf("%s: no pictures found%s; %s", root, w.instead(), layouts)
	}
	l := &listing{notes: w.notes, in: w.in}
	if err := l.number(root, w.pictures); err != nil {
		return nil, err
	}
	if len(l.classes) < 2 {
		hint := ""
		if len(top) == 1 && top[0].dir {
			if w.holdsFolder(top[0].path) {
				hint = fmt.Sprintf("; or is %s the folder that is meant?", w.in.show(top[0].path))
			}
		}
		return nil, fmt.Errorf("%s: all pictures are of one class, %s, want at least two; %s%s", root, strings.Join(l.classes, ""), layouts, hint)
	}
	if len(w.lone) > 0 {
		l.notes = append(l.notes, fmt.Sprintf("%s in no class's folder, left out: %s", count(len(w.lone), "picture"), few(w.lone)))
	}
	if len(w.beside) > 0 {
		note := fmt.Sprintf("%s, left out: %s", count(len(w.beside), "file is no picture by its name", "files are no pictures by their names"), few(w.beside))
		if advice := unread(w.beside); advice != "" {
			note += "; " + advice
		}
		l.notes = append(l.notes, note)
	}
	return l, nil
}

const layouts = "want a folder for each class, DIR/CLASS/*.jpg or DIR/train/CLASS/*.jpg, or a CSV file with the columns path and label"

// instead says what was found if there are no pictures.
func (w *walk) instead() string {
	switch {
	case len(w.lone) > 0:
		return fmt.Sprintf(" in folders of classes, but %s beside them (%s)", count(len(w.lone), "picture"), few(w.lone))
	case len(w.beside) > 0:
		text := fmt.Sprintf(", but %s (%s)", count(len(w.beside), "other file"), few(w.beside))
		if advice := unread(w.beside); advice != "" {
			text += "; " + advice
		}
		return text
	}
	return ""
}

// alone notes a file that is in no class's folder.
func (w *walk) alone(e entry) {
	if isPicture(e.name) {
		w.lone = append(w.lone, w.within(e.path))
	} else {
		w.beside = append(w.beside, w.within(e.path))
	}
}

// classes lists the classes' folders in a folder.
func (w *walk) classes(dir string, part int) error {
	entries, err := w.read(dir)
	if err != nil {
		return w.refusal(dir, err)
	}
	above := w.above
	if info, err := w.in.stat(dir); err == nil {
		above = append(slices.Clip(above), info)
	}
	for _, e := range entries {
		if !e.dir {
			w.alone(e)
			continue
		}
		before := len(w.pictures)
		if err := w.class(e.path, e.name, part, above); err != nil {
			return err
		}
		if len(w.pictures) == before {
			w.notes = append(w.notes, fmt.Sprintf("%s has no pictures, left out", w.in.show(e.path)))
		}
	}
	return nil
}

// class lists the pictures of a class in a folder and in all folders inside it. above holds
// the folders on the way there.
func (w *walk) class(dir, class string, part int, above []fs.FileInfo) error {
	info, err := w.in.stat(dir)
	if err == nil && slices.ContainsFunc(above, func(a fs.FileInfo) bool { return os.SameFile(a, info) }) {
		w.notes = append(w.notes, fmt.Sprintf("%s leads back to a folder that it is in, left out", w.in.show(dir)))
		return nil
	}
	var entries []entry
	if err == nil {
		entries, err = w.read(dir)
	}
	if cancelled := w.ctx.Err(); cancelled != nil {
		return cancelled
	}
	if err != nil { // reported as a picture that can't be read
		w.pictures = append(w.pictures, labelled{path: dir, class: class, part: part, bad: "a folder that can't be opened: " + reason(err)})
		return nil
	}
	above = append(above[:len(above):len(above)], info)
	for _, e := range entries {
		switch {
		case isPicture(e.name): // also a folder with such a name, which is reported as one that can't be read
			w.pictures = append(w.pictures, labelled{path: e.path, class: class, part: part})
		case e.dir:
			if err := w.class(e.path, class, part, above); err != nil {
				return err
			}
		default:
			w.beside = append(w.beside, w.within(e.path))
		}
	}
	return nil
}

// within returns the name of a file with its folders, from the one in which the walk
// began.
func (w *walk) within(file string) string {
	root := filepath.Clean(w.root)
	if root == "." {
		return file
	}
	return strings.TrimLeft(strings.TrimPrefix(file, root), `/\`)
}

// unreadFormats are formats of pictures that are not read, by the ends of files' names.
var unreadFormats = map[string]string{
	".heic": "HEIC", ".heif": "HEIC", ".hif": "HEIC", ".avif": "AVIF", ".jxl": "JPEG XL", ".jp2": "JPEG 2000",
	".psd": "Photoshop's format", ".svg": "SVG", ".pdf": "PDF",
	".dng": "raw data of a camera", ".cr2": "raw data of a camera", ".cr3": "raw data of a camera", ".nef": "raw data of a camera", ".arw": "raw data of a camera",
}

// unread tells which of the files are pictures of a format that is not read, and what to
// do. It returns "" if none is.
func unread(files []string) string {
	var formats []string
	for _, file := range files {
		if f := unreadFormats[strings.ToLower(filepath.Ext(file))]; f != "" && !slices.Contains(formats, f) {
			formats = append(formats, f)
		}
	}
	if len(formats) == 0 {
		return ""
	}
	return strings.Join(formats, " and ") + " can't be read: convert such files to JPEG or PNG first, for example with ImageMagick (magick mogrify -format jpg FILE...)"
}

// few lists the first three of some names.
func few(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + ", ..."
}

// count returns a number of things: "1 file", "2 files". more gives the plural if it is
// irregular.
func count(n int, one string, more ...string) string {
	if n == 1 {
		return "1 " + one
	}
	many := one + "s"
	if len(more) > 0 {
		many = more[0]
	}
	return humanize.Comma(int64(n)) + " " + many
}
