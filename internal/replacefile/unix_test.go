//go:build unix

package replacefile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestModes checks that a file keeps its mode, and that a new one has what the umask leaves.
func TestModes(t *testing.T) {
	dir := t.TempDir()
	write := func(name string) os.FileMode {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := Write(path, func(w io.Writer) error { _, err := io.WriteString(w, "new"); return err }); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || contents(t, path) != "new" {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	for _, mode := range []os.FileMode{0o600, 0o640, 0o666} {
		path := filepath.Join(dir, "kept")
		if err := errors.Join(os.WriteFile(path, nil, mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		if got := write("kept"); got != mode {
			t.Errorf("mode %o became %o", mode, got)
		}
	}
	for umask, want := range map[int]os.FileMode{0o022: 0o644, 0o077: 0o600, 0o002: 0o664} {
		old := syscall.Umask(umask)
		got := write("new" + want.String())
		syscall.Umask(old)
		if got != want {
			t.Errorf("umask %o: mode %o, want %o", umask, got, want)
		}
	}
	if os.Geteuid() != 0 { // root may write anything
		path := filepath.Join(dir, "locked")
		if err := os.WriteFile(path, []byte("old"), 0o444); err != nil {
			t.Fatal(err)
		}
		if err := Write(path, func(io.Writer) error { return nil }); !errors.Is(err, os.ErrPermission) || contents(t, path) != "old" {
			t.Errorf("a file that may not be written: error %v, %q", err, contents(t, path))
		}
	} else { // then a file of somebody else stays his
		path := filepath.Join(dir, "theirs")
		if err := errors.Join(os.WriteFile(path, nil, 0o644), os.Chown(path, 65534, 65534)); err != nil {
			t.Fatal(err)
		}
		write("theirs")
		info, err := os.Stat(path)
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != 65534 || info.Sys().(*syscall.Stat_t).Gid != 65534 {
			t.Errorf("the owner changed: %+v (%v)", info.Sys(), err)
		}
	}
}

// TestStreams writes into a pipe and into a device, which stay what they are.
func TestStreams(t *testing.T) {
	dir := t.TempDir()
	pipe, null := filepath.Join(dir, "pipe"), filepath.Join(dir, "null")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	go func() {
		b, err := os.ReadFile(pipe)
		got <- string(b) + errorText(err)
	}()
	if err := Write(pipe, func(w io.Writer) error { _, err := io.WriteString(w, "through"); return err }); err != nil {
		t.Fatal(err)
	}
	if text := <-got; text != "through" {
		t.Errorf("through the pipe came %q", text)
	}
	onlyFile(t, dir, "pipe")

	const device = 1<<8 | 3 // as /dev/null has
	if err := syscall.Mknod(null, syscall.S_IFCHR|0o600, device); err != nil {
		t.Skipf("a device node can't be made here: %v", err)
	}
	err := Write(null, func(w io.Writer) error { _, err := io.WriteString(w, "away"); return err })
	if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) {
		t.Skipf("a device node can't be used here: %v", err)
	}
	if info, statErr := os.Lstat(null); err != nil || statErr != nil || info.Mode()&os.ModeCharDevice == 0 {
		t.Errorf("the device is %v now (%v, %v)", info, err, statErr)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
