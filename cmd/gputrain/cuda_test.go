package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/cuda/driver"
)

// Machines of all kinds, made up.
var machines = []struct {
	name      string
	libraries driver.Libraries
	start     error
	refusal   string // of --device cuda, up to the advice
}{
	{
		name:    "not-built",
		start:   driver.ErrNotBuilt,
		refusal: "this build has no CUDA",
	},
	{
		name: "nothing",
		libraries: driver.Libraries{
			Driver: lost(driver.Driver, "looked for libcuda.so.1"),
			DNN:    lost(driver.DNN, "looked for libcudnn.so.9"),
			BLAS:   lost(driver.BLAS, "looked for libcublas.so.12"),
		},
		refusal: "no NVIDIA driver, no cuDNN, no cuBLAS",
	},
	{
		name: "empty-folder",
		libraries: driver.Libraries{
			Search: "/empty",
			Driver: lost(driver.Driver, "looked for libcuda.so.1 in GPUTRAIN_CUDA_LIBS=/empty"),
			DNN:    lost(driver.DNN, "looked for libcudnn.so.9 in GPUTRAIN_CUDA_LIBS=/empty"),
			BLAS:   lost(driver.BLAS, "looked for libcublas.so.12 in GPUTRAIN_CUDA_LIBS=/empty"),
		},
		refusal: "no NVIDIA driver, no cuDNN, no cuBLAS",
	},
	{
		name: "old-driver",
		libraries: driver.Libraries{
			Driver: bad(driver.Driver, "/lib/libcuda.so.1", driver.ErrVersionTooOld, "it is 11.4 and must be 11.8 or newer"),
			DNN:    found(driver.DNN, "/lib/libcudnn.so.8", 8, 9, 7),
			BLAS:   bad(driver.BLAS, "/lib/libcublas.so.12", errCannotLoad, "libcublasLt.so.12: no such file"),
		},
		refusal: "NVIDIA driver too old, cuBLAS not usable",
	},
	{
		name: "no-gpu",
		libraries: driver.Libraries{
			Driver: found(driver.Driver, "/lib/libcuda.so.1", 11, 8, 0),
			DNN: bad(driver.DNN, "/lib/libcudnn.so.9", driver.ErrVersionTooOld,
				"version 9.1 needs a driver for CUDA 12, this one is for 11.8"),
			BLAS: lost(driver.BLAS, "looked for libcublas.so.11"),
		},
		start:   driver.Check("cuInit", 100),
		refusal: "no GPU (100), cuDNN too old, no cuBLAS",
	},
	{
		name: "driver-alone",
		libraries: driver.Libraries{
			Driver:  found(driver.Driver, "/lib/libcuda.so.1", 13, 0, 0),
			DNN:     lost(driver.DNN, "looked for libcudnn.so.9"),
			BLAS:    lost(driver.BLAS, "looked for libcublas.so.13"),
			Devices: []driver.Device{{Name: "NVIDIA H200", Major: 9, Memory: 139 << 30, Multiprocessors: 132, PCI: "0000:01:00.0"}},
		},
		refusal: "no cuDNN, no cuBLAS",
	},
	{
		name: "mismatch",
		libraries: driver.Libraries{
			Driver: found(driver.Driver, "/lib/libcuda.so.1", 12, 4, 0),
			DNN:    found(driver.DNN, "/lib/libcudnn.so.9", 9, 1, 0),
			BLAS:   found(driver.BLAS, "/lib/libcublas.so.12", 12, 4, 5),
		},
		start:   driver.Check("cuInit", 803),
		refusal: "cuInit fails (803)",
	},
	{
		name: "count-of-none",
		libraries: driver.Libraries{
			Driver: found(driver.Driver, "/lib/libcuda.so.1", 12, 4, 0),
			DNN:    found(driver.DNN, "/lib/libcudnn.so.9", 9, 1, 0),
			BLAS:   found(driver.BLAS, "/lib/libcublas.so.12", 12, 4, 5),
		},
		start:   fmt.Errorf("%w (CUDA_VISIBLE_DEVICES is \"\")", driver.ErrNoDevice),
		refusal: "no GPU",
	},
	{
		name: "old-gpu",
		libraries: driver.Libraries{
			Driver: found(driver.Driver, "/lib/libcuda.so.1", 12, 4, 0),
			DNN:    found(driver.DNN, "/lib/libcudnn.so.9", 9, 1, 0),
			BLAS:   found(driver.BLAS, "/lib/libcublas.so.12", 12, 4, 5),
			Devices: []driver.Device{{
				Name: "Tesla K80", Major: 3, Minor: 7, Memory: 12 << 30, Multiprocessors: 13,
				Err: errors.New("compute capability 3.7 is below 7.5"),
			}},
		},
		start:   fmt.Errorf("%w: compute capability 3.7 is below 7.5", driver.ErrNoDevice),
		refusal: "no usable GPU",
	},
	{
		name: "usable",
		libraries: driver.Libraries{
			Search: "/sim",
			Driver: found(driver.Driver, "/sim/libcuda.so.1", 12, 4, 0),
			DNN: driver.Library{
				Kind: driver.DNN, Path: "/sim/libcudnn.so.8", Version: driver.Version{Major: 8, Minor: 9, Patch: 7},
				Missing: []string{"cudnnGetLastErrorString"},
				Passed:  []error{bad(driver.DNN, "/sim/libcudnn.so.9", driver.ErrMissingSymbol, "cudnnCreate").Err},
			},
			BLAS: found(driver.BLAS, "/sim/libcublas.so.12", 12, 4, 5),
			NCCL: found(driver.NCCL, "/sim/libnccl.so.2", 2, 21, 3),
			Devices: []driver.Device{
				{Name: "NVIDIA A100 (simulated)", Major: 8, Minor: 0, Memory: 1 << 30, Multiprocessors: 108, PCI: "0000:01:00.0"},
				{Index: 1, Name: "Tesla T4", Major: 7, Minor: 5, Memory: 15_000_000_000, Multiprocessors: 40},
				{Index: 2, Err: driver.Check("cuDeviceGet", 999)},
			},
		},
	},
}

// errCannotLoad is of a file that is there, unlike ErrNoLibrary itself.
var errCannotLoad = fmt.Errorf("%w: cannot be loaded", driver.ErrNoLibrary)

func found(k driver.Kind, path string, version ...int) driver.Library {
	v := driver.Version{Major: version[0], Minor: version[1], Patch: version[2]}
	return driver.Library{Kind: k, Path: path, Version: v}
}

func lost(k driver.Kind, detail string) driver.Library {
	return driver.Library{Kind: k, Err: &driver.LibraryError{Kind: k, Detail: detail, Err: driver.ErrNoLibrary}}
}

func bad(k driver.Kind, path string, err error, detail string) driver.Library {
	return driver.Library{Kind: k, Err: &driver.LibraryError{Kind: k, Path: path, Detail: detail, Err: err}}
}

// TestCUDAInfo reads what devices says of all kinds of machines, on a terminal.
func TestCUDAInfo(t *testing.T) {
	for _, m := range machines {
		info := newCUDAInfo(&m.libraries, m.start)
		var out bytes.Buffer
		s := newStream(&out, nil)
		s.terminal = true
		fmt.Fprintf(s, "cuda: %s\n", info.note())
		info.write(s)
		golden(t, "devices-"+m.name, out.String())
		for _, line := range strings.Split(out.String(), "\n") {
			if len(line) > 80 {
				t.Errorf("%s: line of %d characters: %s", m.name, len(line), line)
			}
		}
		if got, want := info.refusal().Error(), "--device cuda: "+m.refusal; !info.Usable && !strings.HasPrefix(got, want) {
			t.Errorf("%s: --device cuda says %q, want %q", m.name, got, want)
		}
		if usable := m.name == "usable"; info.Usable != usable {
			t.Errorf("%s: usable is %v", m.name, info.Usable)
		}
	}
	last := machines[len(machines)-1]
	text, err := json.MarshalIndent(newCUDAInfo(&last.libraries, last.start), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "devices-json", string(text)+"\n")
}

func TestCUDADriverRelease(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ file, want string }{
		{"libcuda.so.535.216.01", "535.216.01"},
		{"libcuda.so.580.65", "580.65"},
		{"libcuda.so.1.1", ""}, // as in WSL
		{"simulator", ""},
	} {
		path := filepath.Join(dir, c.file+"-", "libcuda.so.1")
		if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o755), os.WriteFile(filepath.Join(dir, c.file), nil, 0o644),
			os.Symlink(filepath.Join(dir, c.file), path)); err != nil {
			t.Skipf("no symbolic links here: %v", err)
		}
		if got := driverRelease(path); got != c.want {
			t.Errorf("%s: release %q, want %q", c.file, got, c.want)
		}
	}
	if got := driverRelease(filepath.Join(dir, "nowhere")); got != "" {
		t.Errorf("a file that isn't there has release %q", got)
	}
}

// TestDevices runs the command where no library can be found, whatever the
// machine has.
func TestDevices(t *testing.T) {
	t.Setenv(driver.SearchVariable, t.TempDir())
	short := "this build has no CUDA"
	if driver.Built {
		short = "no NVIDIA driver, no cuDNN, no cuBLAS"
	}
	out := must(t, "devices")
	for _, want := range []string{
		"cuda       no", "  " + short + ": see below\n", "cpu        cpu (", "reference  reference (", "  to do",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("devices lacks %q:\n%s", want, out)
		}
	}
	lines := strings.Split(strings.TrimSpace(must(t, "devices", "--json")), "\n")
	if len(lines) != 3 {
		t.Fatalf("devices --json prints %d lines, want 3", len(lines))
	}
	var cuda struct {
		Device, Note     string
		Available, Built bool
		Libraries        []struct {
			Library, Problem string
			ToDo             string `json:"to_do"`
		}
	}
	if err := json.Unmarshal([]byte(lines[0]), &cuda); err != nil {
		t.Fatal(err)
	}
	if cuda.Device != "cuda" || cuda.Available || cuda.Built != driver.Built || cuda.Note != short {
		t.Errorf("devices --json: %+v", cuda)
	}
	libraries := ""
	for _, lib := range cuda.Libraries {
		if lib.Problem != "" && lib.ToDo != "" {
			libraries += lib.Library + " "
		}
	}
	if want := "CUDA driver cuDNN cuBLAS "; driver.Built && libraries != want {
		t.Errorf("devices --json: libraries %q, want %q", libraries, want)
	}
	if strings.Contains(lines[1], "built") {
		t.Errorf("the CPU's line has CUDA's fields: %s", lines[1])
	}
	refuses(t, exitFailed, "--device cuda: "+short+" (gputrain devices says what to do); "+
		"use --device cpu, or leave the flag out for the best device there is",
		"train", "--device", "cuda")
}
