package mnist

import (
	"math"
	"strings"

	"github.com/gputrain/gputrain/net"
)

// byteScale brings a byte to [0, 1].
const byteScale = 1.0 / 255

// maxClasses is the most classes that labels may have. A greater label means a damaged
// file, and would make a network's last layer enormous.
const maxClasses = 1 << 16

// images makes a data set without labels from an array of images. For bytes, the data set
// shares the array's memory.
func (a *Array) images() (*net.Dataset, error) {
	d := &net.Dataset{}
	switch len(a.Dims) {
	case 3:
		d.Shape = net.Shape{C: 1, H: a.Dims[1], W: a.Dims[2]}
	case 4:
		d.Shape = net.Shape{C: a.Dims[1], H: a.Dims[2], W: a.Dims[3]}
	default:
		return nil, a.fail(rankOffset, "number of dimensions", reason(ErrDimensions,
			"images have 3 (N, rows, columns) or 4 (N, channels, rows, columns), got %d", len(a.Dims)))
	}
	if a.Len() == 0 {
		return nil, a.fail(dimsOffset, "dimensions", reason(ErrDimensions, "%s hold no image", a.describe()))
	}
	if a.Type == Uint8 {
		d.Pixels, d.Scale = a.Data, byteScale
		return d, nil
	}
	d.Values = make([]float32, a.Len())
	for i := range d.Values {
		v := float32(a.At(i))
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, a.fail(a.elementOffset(i), "image data", reason(ErrValue, "%v", a.At(i)))
		}
		d.Values[i] = v
	}
	return d, nil
}

// labels returns the array as labels, each from 0 to maxClasses-1.
func (a *Array) labels() ([]int32, error) {
	if a.Type == Float32 || a.Type == Float64 {
		return nil, a.fail(typeOffset, "element type", reason(ErrElementType, "labels are integers, got %v", a.Type))
	}
	if len(a.Dims) != 1 {
		return nil, a.fail(rankOffset, "number of dimensions", reason(ErrDimensions, "labels have 1, got %d", len(a.Dims)))
	}
	labels := make([]int32, a.Len())
	for i := range labels {
		labels[i] = int32(a.At(i))
	}
	return labels, a.labelFile(labels).check(maxClasses)
}

// labelFile returns the place of the array's labels in its file.
func (a *Array) labelFile(labels []int32) labelFile {
	return labelFile{
		path: a.file, gzip: a.gzip, labels: labels,
		first: a.headerSize(), step: int64(a.Type.Size()), field: "label data",
	}
}

// transpose swaps rows and columns of every image.
func transpose(d *net.Dataset) {
	s := d.Shape
	if d.Pixels != nil {
		transposePlanes(d.Pixels, s.H, s.W)
	} else {
		transposePlanes(d.Values, s.H, s.W)
	}
	d.Shape.H, d.Shape.W = s.W, s.H
}

// transposePlanes transposes each h by w matrix of planes.
func transposePlanes[T any](planes []T, h, w int) {
	old := make([]T, h*w)
	for ; len(planes) > 0; planes = planes[h*w:] {
		copy(old, planes)
		for y := range h {
			for x := range w {
				planes[x*h+y] = old[y*w+x]
			}
		}
	}
}

// storedTransposed reports whether the data set with this name stores its images
// transposed.
func storedTransposed(name string) bool { return strings.HasPrefix(name, "emnist-") }
