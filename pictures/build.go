package pictures

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

// output is where samples are written.
type output interface {
	io.ReaderAt
	io.WriterAt
	// reserve makes room for size bytes.
	reserve(size int64) error
}

// memoryWriter keeps samples in memory.
type memoryWriter struct{ samples []uint8 }

func (w *memoryWriter) reserve(size int64) error {
	if int64(len(w.samples)) < size {
		w.samples = make([]uint8, size)
	}
	w.samples = w.samples[:size]
	return nil
}

func (w *memoryWriter) WriteAt(b []byte, at int64) (int, error) { return copy(w.samples[at:], b), nil }
func (w *memoryWriter) ReadAt(b []byte, at int64) (int, error)  { return copy(b, w.samples[at:]), nil }

// fileWriter writes samples to their place in a cache file.
type fileWriter struct {
	file *os.File
	size *int64 // of what is reserved
}

func (w *fileWriter) reserve(size int64) error {
	*w.size = size
	return w.file.Truncate(samplesAt + size)
}

func (w *fileWriter) WriteAt(b []byte, at int64) (int, error) { return w.file.WriteAt(b, samplesAt+at) }
func (w *fileWriter) ReadAt(b []byte, at int64) (int, error)  { return w.file.ReadAt(b, samplesAt+at) }

// original holds what decoding tells about a picture's file.
type original struct {
	width, height int32
	format        string // one of a few constants
	grey          bool
	why           string // why it can't be read; "" if it can
	sum           [16]byte
}

// decodedAtOnce is the most pixels of decoded pictures that are in memory at once. A pixel
// takes some 20 bytes at the worst.
const decodedAtOnce = picture.MaxPixels

// builder decodes the pictures of a set.
type builder struct {
	files     []file
	shape     net.Shape
	prepare   picture.Preparation
	out       output
	originals []original
	room      *semaphore.Weighted // of decodedAtOnce pixels
	done      atomic.Int64
}

// build decodes all pictures of a listing.
func build(ctx context.Context, l *listing, o Options, out output) (*meta, error) {
	b := &builder{files: l.all(), prepare: o.Prepare, out: out, room: semaphore.NewWeighted(decodedAtOnce)}
	b.originals = make([]original, len(b.files))
	m := &meta{Count: len(b.files)}
	b.shape = net.Shape{C: o.Channels, H: o.Height, W: o.Width}
	if o.Channels == 0 {
		b.shape.C = 3
	}
	if o.Height == 0 {
		b.shape.H, b.shape.W, m.Chosen = suggestSize(b.files)
	}
	if err := out.reserve(int64(m.Count) * int64(b.shape.Size())); err != nil {
		return nil, err
	}
	if err := b.decodeAll(ctx, o); err != nil {
		return nil, err
	}
	for i := range b.originals {
		if why := b.originals[i].why; why != "" {
			m.Bad = append(m.Bad, badRow{i, why})
		}
	}
	m.Originals = originalsOf(b.originals)
	if o.Channels == 0 && m.Originals.Grey == m.Count-len(m.Bad) {
		if err := b.toGrey(ctx); err != nil {
			return nil, err
		}
	}
	m.Shape = b.shape
	m.Warnings, m.Repeated = b.warnings(l)
	return m, nil
}

// decodeAll decodes the pictures, several at once.
func (b *builder) decodeAll(whole context.Context, o Options) error {
	n := b.shape.Size()
	piece := int64(max(1, min(64, (1<<20)/n))) // rows that are written at once
	group, ctx := errgroup.WithContext(whole)
	var next atomic.Int64
	for range o.Workers {
		group.Go(func() error {
			rows := make([]uint8, piece*int64(n))
			for {
				lo := next.Add(piece) - piece
				hi := min(lo+piece, int64(len(b.files)))
				if lo >= hi {
					return nil
				}
				for i := lo; i < hi; i++ {
					if err := ctx.Err(); err != nil {
						return err
					}
					b.decode(ctx, int(i), rows[(i-lo)*int64(n):(i-lo+1)*int64(n)])
					b.done.Add(1)
				}
				if _, err := b.out.WriteAt(rows[:(hi-lo)*int64(n)], lo*int64(n)); err != nil {
					return err
				}
			}
		})
	}
	finished := make(chan error, 1)
	go func() { finished <- group.Wait() }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-finished:
			if err == nil {
				err = whole.Err() // the last pictures may have failed only because of that
			}
			if err == nil && o.Progress != nil {
				o.Progress(len(b.files), len(b.files))
			}
			return err
		case <-tick.C:
			if o.Progress != nil {
				o.Progress(int(b.done.Load()), len(b.files))
			}
		}
	}
}

// decode decodes picture i into a row. If the picture can't be read, the row is 0.
func (b *builder) decode(ctx context.Context, i int, row []uint8) {
	of := &b.originals[i]
	if err := b.read(ctx, &b.files[i], of, row); err != nil {
		clear(row)
		of.why = reason(err)
		return
	}
	sum := sha256.Sum256(row)
	copy(of.sum[:], sum[:])
	area := b.shape.H * b.shape.W
	of.grey = b.shape.C == 1 ||
		bytes.Equal(row[:area], row[area:2*area]) && bytes.Equal(row[:area], row[2*area:])
}

// read reads a picture into a row.
func (b *builder) read(ctx context.Context, f *file, of *original, row []uint8) error {
	img, format, release, err := f.decode(ctx, b.room)
	if err != nil {
		return err
	}
	defer release()
	size := img.Bounds().Size()
	of.width, of.height, of.format = int32(size.X), int32(size.Y), format
	return b.prepare.PixelsTo(row, img, b.shape)
}

// inMemory is the format of images that have no file.
const inMemory = "in memory"

// decode decodes the file. Its pixels count as memory in use until release is called.
func (f *file) decode(ctx context.Context, room *semaphore.Weighted) (img image.Image, format string, release func(), err error) {
	if f.bad != "" {
		return nil, "", nil, errors.New(f.bad)
	}
	if f.image != nil {
		return f.image, inMemory, func() {}, nil
	}
	b, err := f.in.readFile(f.path)
	if err != nil {
		return nil, "", nil, err
	}
	info, err := picture.Header(b)
	if err != nil {
		return nil, "", nil, err
	}
	taken := int64(0)
	release = func() { room.Release(taken) }
	img, err = picture.Decode(b, func(width, height int) error {
		if err := picture.CheckSize(width, height, picture.MaxPixels); err != nil {
			return err
		}
		pixels := int64(width) * int64(height)
		if err := room.Acquire(ctx, pixels); err != nil {
			return err
		}
		taken += pixels
		return nil
	})
	if err != nil {
		release()
		return nil, "", nil, err
	}
	return img, info.Format, release, nil
}

// isBad reports whether a picture still can't be read.
func isBad(f *file) bool {
	_, _, release, err := f.decode(context.Background(), semaphore.NewWeighted(decodedAtOnce))
	if err == nil {
		release()
	}
	return err != nil
}

// toGrey keeps only the first of three equal channels.
func (b *builder) toGrey(ctx context.Context) error {
	from := b.shape.Size()
	b.shape.C = 1
	to := b.shape.Size()
	const most = 1 << 20
	piece := max(1, most/from)
	rows, grey := make([]uint8, piece*from), make([]uint8, piece*to)
	for lo := 0; lo < len(b.files); lo += piece {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(piece, len(b.files)-lo)
		if _, err := b.out.ReadAt(rows[:n*from], int64(lo)*int64(from)); err != nil {
			return err
		}
		for i := range n {
			copy(grey[i*to:(i+1)*to], rows[i*from:])
		}
		// This overwrites only what has been read: a grey row begins no later than the colour
		// row that it comes from.
		if _, err := b.out.WriteAt(grey[:n*to], int64(lo)*int64(to)); err != nil {
			return err
		}
	}
	return b.out.reserve(int64(len(b.files)) * int64(to))
}

// originalsOf summarises the formats and sizes of the pictures.
func originalsOf(all []original) Originals {
	out := Originals{Formats: map[string]int{}}
	sizes := map[[2]int]int{}
	for i := range all {
		of := &all[i]
		if of.why != "" {
			continue
		}
		out.Formats[of.format]++
		if of.grey {
			out.Grey++
		}
		size := [2]int{int(of.width), int(of.height)}
		for k := range size {
			out.Most[k] = max(out.Most[k], size[k])
			if out.Least[k] == 0 || size[k] < out.Least[k] {
				out.Least[k] = size[k]
			}
		}
		sizes[size]++
	}
	out.Kinds = len(sizes)
	for size, n := range sizes {
		out.Sizes = append(out.Sizes, Size{size[0], size[1], n})
	}
	slices.SortFunc(out.Sizes, func(a, b Size) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Width, b.Width), cmp.Compare(a.Height, b.Height))
	})
	out.Sizes = out.Sizes[:min(len(out.Sizes), 10)]
	return out
}

// suggestSize returns a size of samples that suits the pictures, and says in words why. It
// looks at about a thousand of them. why is "" if all pictures have this size.
func suggestSize(files []file) (height, width int, why string) {
	const (
		looks   = 1000
		kept    = 128 // the longest side of samples that keep the pictures' size
		most    = 64  // the side of other samples
		roundTo = 8
	)
	step := max(1, len(files)/looks)
	var shorter []int
	sizes := map[image.Point]bool{}
	var one image.Point
	for i := 0; i < len(files); i += step {
		size, err := files[i].seen()
		if err != nil {
			continue
		}
		one = size
		sizes[size] = true
		shorter = append(shorter, min(size.X, size.Y))
	}
	if len(sizes) == 1 && max(one.X, one.Y) <= kept {
		return one.Y, one.X, ""
	}
	side := most
	if len(shorter) > 0 {
		slices.Sort(shorter)
		side = min(most, max(1, (shorter[len(shorter)/2]+roundTo/2)/roundTo)*roundTo)
	}
	what := "pictures of several sizes"
	if len(sizes) == 1 {
		what = fmt.Sprintf("pictures of %d x %d", one.X, one.Y)
	}
	return side, side, fmt.Sprintf("%s become samples of %d x %d", what, side, side)
}

// seen returns the size of the upright picture.
func (f *file) seen() (image.Point, error) {
	if f.bad != "" {
		return image.Point{}, errors.New(f.bad)
	}
	if f.image != nil {
		return f.image.Bounds().Size(), nil
	}
	b, err := f.in.readFile(f.path)
	if err != nil {
		return image.Point{}, err
	}
	info, err := picture.Header(b)
	return image.Pt(info.Width, info.Height), err
}

// warnings finds equal pictures. It returns warnings about those that do harm, and how
// many pictures are equal to an earlier one.
func (b *builder) warnings(l *listing) (warnings []string, repeated int) {
	var samples []sampleSum
	row := 0
	for part, files := range l.files {
		for i := range files {
			if of := &b.originals[row]; of.why == "" {
				samples = append(samples, sampleSum{of.sum, part, files[i].label, row})
			}
			row++
		}
	}
	t := findTwins(samples)
	return t.warnings(l.classes, func(s sampleSum) string { return b.files[s.index].path }), t.Repeated
}
