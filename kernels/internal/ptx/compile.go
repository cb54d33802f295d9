// Package ptx makes the PTX of our kernels with nvcc, assembles it with ptxas to see that it can be, and checks,
// without either, that what is committed belongs together. It is for the build and for tests; the kernels' users need
// nothing of it.
package ptx

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const (
	// Target is the least architecture that the kernels run on: Turing.
	Target = "sm_75"
	// NewestVersion is the newest PTX instruction set that the oldest supported driver, 520, loads: CUDA 11.8's.
	NewestVersion = "7.8"
)

// Flags are nvcc's. Line numbers cost nothing at run time, and profilers, sanitizers and the simulator show them.
var Flags = []string{"-ptx", "-arch=compute_75", "-std=c++17", "-O3", "-lineinfo", "-Werror", "all-warnings"}

// ErrMissing is what the error for a tool that is not installed wraps.
var ErrMissing = errors.New("not found")

// Find looks for a tool of the CUDA toolkit, "nvcc" or "ptxas": the file that the variable of its name in capitals
// names, then PATH, then $CUDA_HOME/bin.
func Find(tool string) (string, error) {
	variable := strings.ToUpper(tool)
	if named := os.Getenv(variable); named != "" {
		found, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("%s=%s: %w", variable, named, err)
		}
		return found, nil
	}
	if found, err := exec.LookPath(tool); err == nil {
		return found, nil
	}
	if home := os.Getenv("CUDA_HOME"); home != "" {
		if found, err := exec.LookPath(filepath.Join(home, "bin", tool)); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("%s %w in $%s, PATH or $CUDA_HOME/bin: install CUDA 11.8's toolkit (on Debian 12 the packages "+
		"nvidia-cuda-toolkit, of the component non-free, and g++-11)", tool, ErrMissing, variable)
}

// Compiler is an nvcc.
type Compiler struct {
	Path    string
	Version string // "release 11.8, V11.8.89"
}

// FindCompiler finds nvcc and asks for its version.
func FindCompiler() (Compiler, error) {
	found, err := Find("nvcc")
	if err != nil {
		return Compiler{}, err
	}
	out, err := exec.Command(found, "--version").CombinedOutput()
	if err != nil {
		return Compiler{}, fmt.Errorf("%s --version: %w\n%s", found, err, out)
	}
	version := regexp.MustCompile(`release [\d.]+, V[\d.]+`).FindString(string(out))
	if version == "" {
		return Compiler{}, fmt.Errorf("%s --version names no release:\n%s", found, out)
	}
	return Compiler{Path: found, Version: version}, nil
}

// Compile compiles one .cu file of a folder. The text it gives depends on the sources, the compiler's version and Flags
// alone, not on the machine or the folder.
func (c Compiler) Compile(folder, source string) ([]byte, error) {
	work, err := os.MkdirTemp("", "ptx")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	output := filepath.Join(work, "out.ptx")
	command := exec.Command(c.Path, append(slices.Clone(Flags), source, "-o", output)...)
	command.Dir = folder
	if out, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("nvcc %s: %w\n%s(nvcc %s wants a host compiler it knows; NVCC_PREPEND_FLAGS='-ccbin g++-11' "+
			"names one)", source, err, out, c.Version)
	}
	text, err := os.ReadFile(output)
	if err != nil {
		return nil, err
	}
	return withoutMachine(text), nil
}

// Build compiles every .cu file of a folder, and replaces its PTX and its manifest when all of them have compiled.
func Build(folder string) error {
	compiler, err := FindCompiler()
	if err != nil {
		return err
	}
	m := Manifest{Compiler: compiler.Version, Flags: Flags, Target: Target, PTX: map[string]string{}}
	if m.Sources, err = hashSources(os.DirFS(folder)); err != nil {
		return err
	}
	texts := map[string][]byte{}
	for _, source := range slices.Sorted(maps.Keys(m.Sources)) {
		if path.Ext(source) != ".cu" {
			continue
		}
		text, err := compiler.Compile(folder, source)
		if err != nil {
			return err
		}
		parsed, err := Parse(string(text))
		if err == nil {
			err = checkTarget(parsed)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
		m.Version = parsed.Version
		m.PTX[outputName(source)] = sum(text)
		texts[outputName(source)] = text
	}
	return replace(folder, texts, m)
}

func replace(folder string, texts map[string][]byte, m Manifest) error {
	old, err := fs.Glob(os.DirFS(folder), "ptx/*.ptx")
	if err != nil {
		return err
	}
	for _, name := range old {
		if texts[name] == nil {
			if err := os.Remove(filepath.Join(folder, filepath.FromSlash(name))); err != nil {
				return err
			}
		}
	}
	manifest, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	texts[ManifestName] = append(manifest, '\n')
	if err := os.MkdirAll(filepath.Join(folder, "ptx"), 0o755); err != nil {
		return err
	}
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(folder, filepath.FromSlash(name)), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
