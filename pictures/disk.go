package pictures

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// disk is the file system that holds a set's files: an [fs.FS], or that of the operating
// system if the disk is nil.
type disk struct {
	files fs.FS
	name  string // of the set, for people
}

func (d *disk) stat(file string) (fs.FileInfo, error) {
	if d == nil {
		return os.Stat(file)
	}
	return fs.Stat(d.files, file)
}

func (d *disk) lstat(file string) (fs.FileInfo, error) {
	if d == nil {
		return os.Lstat(file)
	}
	return fs.Lstat(d.files, file)
}

func (d *disk) readDir(dir string) ([]fs.DirEntry, error) {
	if d == nil {
		return os.ReadDir(dir)
	}
	return fs.ReadDir(d.files, dir)
}

func (d *disk) readFile(file string) ([]byte, error) {
	if d == nil {
		return os.ReadFile(file)
	}
	return fs.ReadFile(d.files, file)
}

func (d *disk) join(dir, name string) string {
	if d == nil {
		return filepath.Join(dir, name)
	}
	return path.Join(dir, name)
}

// show returns the name of a file for messages.
func (d *disk) show(file string) string {
	if d == nil {
		return file
	}
	return path.Join(d.name, file)
}
