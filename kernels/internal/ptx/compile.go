// Package ptx compiles the PTX of our kernels with nvcc, and assembles it with ptxas as a test. It also checks,
// without these tools, that the committed files belong together. It is for the build and for tests; programs that use
// the kernels don't need it.
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
	// NewestVersion is the newest version of the PTX instruction set that the oldest supported driver, 520, can load:
	// that of CUDA 11.8.
	NewestVersion = "7.8"
)

// Flags holds the flags for nvcc that every form has. Line numbers cost nothing at run time. Profilers, sanitizers and the
// simulator show them.
var Flags = []string{"-ptx", "-std=c++17", "-O3", "-lineinfo", "-Werror", "all-warnings"}

// Form is a form in which a source is compiled.
type Form struct {
	Suffix string   `json:"suffix"` // of the PTX file's name
	Target string   `json:"target"` // the lowest architecture on which the kernels run
	Flags  []string `json:"flags"`  // besides the common ones
}

// Forms lists the forms: for float32 values on every GPU from Turing on, and for bfloat16 values on those that have that
// type, from Ampere on. Sources whose kernels take pointers to a Value are compiled in all forms. Those that include mma.cuh
// use tensor cores and are compiled in the last form, the others in the first.
var Forms = []Form{
	{"", "sm_75", []string{"-arch=compute_75"}},
	{"_bf16", "sm_80", []string{"-arch=compute_80", "-DVALUE_BF16"}},
}

// formsOf returns the forms of a source's text.
func formsOf(text []byte) []Form {
	if strings.Contains(string(text), "Value *") {
		return Forms
	}
	if strings.Contains(string(text), `#include "mma.cuh"`) {
		return Forms[1:]
	}
	return Forms[:1]
}

// FormOf returns the form of a PTX file.
func FormOf(name string) Form {
	for _, f := range Forms[1:] {
		if strings.HasSuffix(strings.TrimSuffix(path.Base(name), ".ptx"), f.Suffix) {
			return f
		}
	}
	return Forms[0]
}

// ErrMissing means that a tool is not installed.
var ErrMissing = errors.New("not found")

// Find looks for a tool of the CUDA toolkit, "nvcc" or "ptxas". First it takes the file that the variable NVCC or
// PTXAS names, then it looks in PATH, then in $CUDA_HOME/bin.
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

// Compiler is an installed nvcc.
type Compiler struct {
	Path    string
	Version string // "release 11.8, V11.8.89"
}

// FindCompiler finds nvcc and reads its version.
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

// Compile compiles one .cu file of a folder in one form. Its result depends only on the sources, the compiler's version and
// the flags, and not on the machine or the folder.
func (c Compiler) Compile(folder, source string, form Form) ([]byte, error) {
	work, err := os.MkdirTemp("", "ptx")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	output := filepath.Join(work, "out.ptx")
	command := exec.Command(c.Path, slices.Concat(Flags, form.Flags, []string{source, "-o", output})...)
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

// Build compiles every .cu file of a folder. If all of them compile, it replaces the folder's PTX and manifest.
func Build(folder string) error {
	compiler, err := FindCompiler()
	if err != nil {
		return err
	}
	m := Manifest{Compiler: compiler.Version, Flags: Flags, Forms: Forms, PTX: map[string]string{}}
	if m.Sources, err = hashSources(os.DirFS(folder)); err != nil {
		return err
	}
	texts := map[string][]byte{}
	for _, source := range slices.Sorted(maps.Keys(m.Sources)) {
		if path.Ext(source) != ".cu" {
			continue
		}
		code, err := os.ReadFile(filepath.Join(folder, source))
		if err != nil {
			return err
		}
		for _, form := range formsOf(code) {
			text, err := compiler.Compile(folder, source, form)
			if err != nil {
				return err
			}
			parsed, err := Parse(string(text))
			if err == nil {
				err = checkTarget(parsed, form)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", source, err)
			}
			m.Version = parsed.Version
			m.PTX[OutputName(source, form)] = sum(text)
			texts[OutputName(source, form)] = text
		}
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
