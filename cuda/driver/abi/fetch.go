package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// A pack is one of NVIDIA's packages, with its exact version and checksum.
type pack struct{ part, source, name, version, sum string }

// parts is the content of parts.txt.
type parts struct {
	packs []pack
	sets  [][2]string // pairs of CUDA and cuDNN that are checked together
}

func parseParts(text string) (parts, error) {
	var all parts
	known := map[string]bool{}
	for n, line := range strings.Split(text, "\n") {
		w := strings.Fields(line)
		switch {
		case len(w) == 0 || strings.HasPrefix(line, "#"):
		case w[0] == "check" && len(w) == 3 && known[w[1]] && known[w[2]]:
			all.sets = append(all.sets, [2]string{w[1], w[2]})
		case len(w) == 5 && (w[1] == "deb" || w[1] == "wheel") && len(w[4]) == 2*sha256.Size:
			known[w[0]] = true
			all.packs = append(all.packs, pack{w[0], w[1], w[2], w[3], w[4]})
		default:
			return parts{}, fmt.Errorf("parts.txt:%d: want a package or a check of known parts: %q", n+1, line)
		}
	}
	return all, nil
}

// A cache is the folder with the files that were taken from packages.
type cache string

// fetch returns the folders with a part's headers or libraries, one for each of its packages. It downloads what the
// cache lacks.
func (c cache) fetch(all parts, part, what string) ([]string, error) {
	var folders []string
	for _, p := range all.packs {
		if p.part != part {
			continue
		}
		folder := filepath.Join(string(c), p.name+"-"+p.version, what)
		if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
			if err := c.fill(p, what, folder); err != nil {
				return nil, fmt.Errorf("%s %s: %w", p.name, p.version, err)
			}
		} else if err != nil {
			return nil, err
		}
		folders = append(folders, folder)
	}
	return folders, nil
}

// fill downloads a package beside the cache, keeps the wanted files and deletes the rest. The folder appears complete
// or not at all.
func (c cache) fill(p pack, what, folder string) error {
	if err := os.MkdirAll(string(c), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(string(c), "fetch")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	fmt.Fprintf(os.Stderr, "fetching %s %s\n", p.name, p.version)
	file, err := p.download(work)
	if err != nil {
		return err
	}
	kept := filepath.Join(work, "kept")
	if p.source == "deb" {
		err = unpackDeb(file, what, kept)
	} else {
		err = unpackWheel(file, what, kept)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return err
	}
	return os.Rename(kept, folder)
}

// platforms lists the platform names of the wheels for Linux on x86-64.
var platforms = []string{"manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64"}

func (p pack) download(folder string) (string, error) {
	var cmd *exec.Cmd
	if p.source == "deb" {
		cmd = exec.Command("apt-get", "-q", "download", p.name+"="+p.version)
	} else {
		args := []string{"-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"}
		for _, name := range platforms {
			args = append(args, "--platform", name)
		}
		cmd = exec.Command("python3", append(args, p.name+"=="+p.version)...)
	}
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		hint := ""
		if p.source == "deb" {
			hint = "\n  Debian's archive has it in the component non-free: add that to apt's sources, then apt-get update"
		}
		return "", fmt.Errorf("%s: %w%s%s", strings.Join(cmd.Args[:3], " "), err, indented(out), hint)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.*"))
	if err != nil {
		return "", err
	}
	if len(files) != 1 {
		return "", fmt.Errorf("want one file, have %q", files)
	}
	return files[0], p.verify(files[0])
}

// indented returns a command's output as indented lines, to stand below an error.
func indented(out []byte) string {
	text := strings.TrimSpace(string(out))
	if text == "" {
		return ""
	}
	return "\n  " + strings.ReplaceAll(text, "\n", "\n  ")
}

func (p pack) verify(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if have := hex.EncodeToString(sum.Sum(nil)); have != p.sum {
		return fmt.Errorf("SHA-256 is %s, parts.txt says %s", have, p.sum)
	}
	return nil
}

// wanted returns the name under which a file of a package is kept, or "" if it isn't. It keeps headers, except those
// of C++ libraries, and those libraries of cuDNN that hold descriptors.
func wanted(name, what string) string {
	folder, file := path.Split(path.Clean(name))
	switch what {
	case "include":
		if !strings.HasSuffix(file, ".h") && !strings.HasSuffix(file, ".hpp") {
			return ""
		}
		if strings.HasSuffix(folder, "/include/crt/") {
			return path.Join("crt", file)
		}
		if strings.HasSuffix(folder, "/include/") {
			return file
		}
	case "lib":
		if strings.HasSuffix(folder, "/lib/") && descriptorLibrary.MatchString(file) {
			return file
		}
	}
	return ""
}

func unpackWheel(file, what, folder string) error {
	archive, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	defer archive.Close()
	for _, entry := range archive.File {
		name := wanted(entry.Name, what)
		if name == "" {
			continue
		}
		content, err := entry.Open()
		if err != nil {
			return err
		}
		err = write(filepath.Join(folder, name), content)
		if err := errors.Join(err, content.Close()); err != nil {
			return err
		}
	}
	return nil
}

func unpackDeb(file, what, folder string) error {
	cmd := exec.Command("dpkg-deb", "--fsys-tarfile", file)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = unpackTar(tar.NewReader(pipe), what, folder)
	if err != nil {
		return errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("dpkg-deb: %w\n%s", err, stderr.String())
	}
	return nil
}

func unpackTar(archive *tar.Reader, what, folder string) error {
	for {
		entry, err := archive.Next()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if name := wanted(entry.Name, what); name != "" && entry.Typeflag == tar.TypeReg {
			if err := write(filepath.Join(folder, name), archive); err != nil {
				return err
			}
		}
	}
}

func write(file string, content io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}
