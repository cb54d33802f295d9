package mnist

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Load reads the data set in a directory of IDX or CIFAR files. The package's documentation
// says which file names it knows. The splitter, such as [BySeed] or [FirstTenth], takes the
// validation set from the training images. The caller owns the result. A wrong file gives a
// [*FormatError], a missing one fs.ErrNotExist.
func Load(dir string, splitter Splitter) (*Split, error) {
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("data directory %s: %w", dir, fs.ErrNotExist)
	case err != nil:
		return nil, fmt.Errorf("data directory: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("%s: %w, give the directory that holds the file", dir, ErrNotDirectory)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", dir, err)
	}
	return directory{fsys: os.DirFS(dir), path: dir, name: filepath.Base(absolute), splitter: splitter}.load()
}

// Known reports whether a directory holds files with the names of a data set that [Load]
// reads. It reads no file.
func Known(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return len(findIDX(names)) > 0 || len(findCIFAR(names)) > 0
}

// LoadFS is [Load] for files at the top of an [io/fs.FS], such as an archive or embedded
// files. name is the data set's name if its files do not tell it, and the directory's name in
// errors.
func LoadFS(files fs.FS, name string, splitter Splitter) (*Split, error) {
	return directory{fsys: files, path: name, name: name, splitter: splitter}.load()
}

// directory is the place of a data set's files.
type directory struct {
	fsys     fs.FS
	path     string // for errors
	name     string // the data set's name if its files do not tell it
	splitter Splitter
}

// load finds out the data set's format by its files' names, and reads it.
func (d directory) load() (*Split, error) {
	entries, err := fs.ReadDir(d.fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", d.path, err)
	}
	var names []string
	for _, e := range entries {
		// Only files count: a folder may have the name of the file that it holds.
		if t := e.Type(); t.IsRegular() || t&fs.ModeSymlink != 0 {
			names = append(names, e.Name())
		}
	}
	idx, cifar := findIDX(names), findCIFAR(names)
	switch {
	case len(names) == 0:
		return nil, d.fail(ErrNoDataSet, "the directory holds no files")
	case len(idx) == 0 && len(cifar) == 0:
		return nil, d.fail(ErrNoDataSet, "want IDX files such as train-images-idx3-ubyte.gz, or CIFAR-10's data_batch_1.bin")
	case len(idx) > 0 && len(cifar) > 0:
		return nil, d.fail(ErrAmbiguous, "IDX and %s files, keep one kind in the directory", cifar[0].form.name)
	case len(cifar) > 1:
		return nil, d.fail(ErrAmbiguous, "%s and %s files, keep one kind in the directory", cifar[0].form.name, cifar[1].form.name)
	case len(idx) > 1:
		return nil, d.fail(ErrAmbiguous, "%s and %s, keep one set in the directory", idx[0].first(), idx[1].first())
	case len(idx) == 1:
		return d.loadIDX(idx[0])
	}
	return d.loadCIFAR(cifar[0])
}

// fail returns the error for a directory in which something is wrong.
func (d directory) fail(sentinel error, format string, a ...any) error {
	return fmt.Errorf("data directory %s: %w", d.path, reason(sentinel, format, a...))
}

// missing returns the error for a missing file.
func (d directory) missing(name string) error {
	return fmt.Errorf("%s: %w", filepath.Join(d.path, name), fs.ErrNotExist)
}

// open opens a file and returns its path for errors.
func (d directory) open(name string) (f fs.File, path string, err error) {
	path = filepath.Join(d.path, name)
	f, err = d.fsys.Open(name)
	if err != nil {
		// The operating system's error has the file's name without its directory.
		if inner := (*fs.PathError)(nil); errors.As(err, &inner) {
			err = inner.Err
		}
		return nil, path, fmt.Errorf("%s: %w", path, err)
	}
	return f, path, nil
}
