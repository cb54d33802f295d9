package mnist

import (
	"errors"
	"fmt"
)

// What can be wrong with a data set; compare with errors.Is. A missing file or
// directory gives fs.ErrNotExist.
var (
	// ErrNotIDX means that a file does not begin as an IDX file does.
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
	// ErrGzip means that a file begins as a gzip file does but cannot be
	// decompressed.
	ErrGzip = errors.New("cannot decompress, fetch or copy the file again")
	// ErrCount means that there are not as many labels as images.
	ErrCount = errors.New("images and labels differ in number")
	// ErrLabel means a label outside the classes.
	ErrLabel = errors.New("label outside the classes")
	// ErrValue means an image value that is not a finite float32.
	ErrValue = errors.New("value is not a finite float32")
	// ErrTooFew means that training and validation set cannot both have an image.
	ErrTooFew = errors.New("too few training images")
	// ErrNames means a file of class names that is none, or of another data set.
	ErrNames = errors.New("wrong names of classes")
	// ErrNotDirectory means that a file's path was given for a directory's.
	ErrNotDirectory = errors.New("not a directory")
	// ErrNoDataSet means that a directory holds no file of a known name.
	ErrNoDataSet = errors.New("no data set found")
	// ErrAmbiguous means that a directory holds files of more than one data set.
	ErrAmbiguous = errors.New("more than one data set found")
)

// FormatError says what is wrong with a data file, and where.
type FormatError struct {
	File   string // path, or the name given to the reader
	Gzip   bool   // whether the file is compressed
	Offset int64  // the place of the fault, in bytes from the beginning of the data; where Gzip is set, of the decompressed data
	Field  string // the name of the part of the header or the data that is wrong
	Err    error  // what is wrong with it
}

// Error gives file, offset, field and reason in one line.
func (e *FormatError) Error() string {
	data := ""
	if e.Gzip {
		data = " of the decompressed data"
	}
	return fmt.Sprintf("%s: byte %d%s: %s: %v", e.File, e.Offset, data, e.Field, e.Err)
}

// Unwrap returns the reason.
func (e *FormatError) Unwrap() error { return e.Err }

// reason gives one of the errors above its details.
func reason(sentinel error, format string, a ...any) error {
	return fmt.Errorf("%w: %s", sentinel, fmt.Sprintf(format, a...))
}
