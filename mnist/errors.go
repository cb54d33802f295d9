package mnist

import (
	"errors"
	"fmt"
)

// Errors of data sets. Compare them with errors.Is. A missing file or directory gives
// fs.ErrNotExist.
var (
	// ErrNotIDX means that a file does not begin like an IDX file.
	ErrNotIDX = errors.New("not an IDX file")
	// ErrElementType means an unknown element type, or one that does not fit the
	// file's purpose.
	ErrElementType = errors.New("wrong element type")
	// ErrDimensions means dimensions that do not fit the file's purpose, do not
	// match those of another file, or multiply to more than MaxElements.
	ErrDimensions = errors.New("wrong dimensions")
	// ErrTruncated means that a file ends before its data do.
	ErrTruncated = errors.New("file is truncated")
	// ErrTrailing means that a file goes on after its data.
	ErrTrailing = errors.New("file goes on after its data")
	// ErrGzip means that a file begins like a gzip file but cannot be decompressed.
	ErrGzip = errors.New("cannot decompress, fetch or copy the file again")
	// ErrCount means that the numbers of labels and images differ.
	ErrCount = errors.New("images and labels differ in number")
	// ErrLabel means a label outside the classes.
	ErrLabel = errors.New("label outside the classes")
	// ErrValue means an image value that is not a finite float32.
	ErrValue = errors.New("value is not a finite float32")
	// ErrTooFew means that there are not enough images for a training and a validation set.
	ErrTooFew = errors.New("too few training images")
	// ErrNames means that a file of class names is wrong, or is that of another data set.
	ErrNames = errors.New("wrong names of classes")
	// ErrNotDirectory means that the path is that of a file, not of a directory.
	ErrNotDirectory = errors.New("not a directory")
	// ErrNoDataSet means that a directory has no file with a known name.
	ErrNoDataSet = errors.New("no data set found")
	// ErrAmbiguous means that a directory has files of more than one data set.
	ErrAmbiguous = errors.New("more than one data set found")
)

// FormatError says what is wrong with a data file, and where.
type FormatError struct {
	File   string // path, or the name given to the reader
	Gzip   bool   // whether the file is compressed
	Offset int64  // the place of the fault, in bytes from the beginning of the file, or of the decompressed data if Gzip is set
	Field  string // which part of the header or the data is wrong
	Err    error  // the reason
}

// Error returns file, offset, field and reason in one line.
func (e *FormatError) Error() string {
	data := ""
	if e.Gzip {
		data = " of the decompressed data"
	}
	return fmt.Sprintf("%s: byte %d%s: %s: %v", e.File, e.Offset, data, e.Field, e.Err)
}

// Unwrap returns e.Err.
func (e *FormatError) Unwrap() error { return e.Err }

// reason adds details to one of these errors.
func reason(sentinel error, format string, a ...any) error {
	return fmt.Errorf("%w: %s", sentinel, fmt.Sprintf(format, a...))
}
