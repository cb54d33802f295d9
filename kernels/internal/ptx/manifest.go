package ptx

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
)

// ManifestName is the name of the manifest in the kernels' folder.
const ManifestName = "manifest.json"

// Manifest tells from what the committed PTX was made, and how. Hashes are SHA-256 in hexadecimal digits. Their keys
// are file names relative to the kernels' folder.
type Manifest struct {
	Compiler string            `json:"compiler"` // nvcc's version as it prints it: "release 11.8, V11.8.89"
	Flags    []string          `json:"flags"`
	Forms    []Form            `json:"forms"`
	Version  string            `json:"version"` // version of the PTX instruction set
	Sources  map[string]string `json:"sources"` // hashes of every .cu and .cuh; a header counts for every module
	PTX      map[string]string `json:"ptx"`
}

// ErrStale means that `make ptx` would repair what Check found. Errors of Check wrap it.
var ErrStale = errors.New("stale PTX: run make ptx")

// ReadManifest reads the manifest in a folder of kernels.
func ReadManifest(folder fs.FS) (Manifest, error) {
	data, err := fs.ReadFile(folder, ManifestName)
	if err != nil {
		return Manifest{}, err
	}
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", ManifestName, err)
	}
	return m, nil
}

// Check compares a folder of kernels with its manifest: sources, PTX, flags, target and instruction set. The error
// names every file that differs.
func Check(folder fs.FS) error {
	m, err := ReadManifest(folder)
	if err != nil {
		return err
	}
	sources, err := hashSources(folder)
	if err != nil {
		return err
	}
	outputs, err := hash(folder, "ptx/*.ptx")
	if err != nil {
		return err
	}
	problems := append(differences(m.Sources, sources), differences(m.PTX, outputs)...)
	if !reflect.DeepEqual(m.Forms, Forms) {
		problems = append(problems, fmt.Errorf("%w: compiled in the forms %v, not in %v", ErrStale, m.Forms, Forms))
	}
	if !slices.Equal(m.Flags, Flags) {
		problems = append(problems, fmt.Errorf("%w: compiled with %q, not with %q", ErrStale, m.Flags, Flags))
	}
	for _, source := range slices.Sorted(maps.Keys(sources)) {
		if path.Ext(source) != ".cu" {
			continue
		}
		text, err := fs.ReadFile(folder, source)
		if err != nil {
			return err
		}
		for _, form := range formsOf(text) {
			if name := OutputName(source, form); outputs[name] == "" {
				problems = append(problems, fmt.Errorf("%w: %s has no %s", ErrStale, source, name))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		problems = append(problems, checkText(folder, name, m))
	}
	return errors.Join(problems...)
}

func checkText(folder fs.FS, name string, m Manifest) error {
	data, err := fs.ReadFile(folder, name)
	if err != nil {
		return err
	}
	text, err := Parse(string(data))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if text.Version != m.Version {
		return fmt.Errorf("%w: %s is PTX %s, the manifest says %s", ErrStale, name, text.Version, m.Version)
	}
	if err := checkTarget(text, FormOf(name)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// checkTarget returns an error for PTX that not every supported driver or GPU could load.
func checkTarget(text Text, form Form) error {
	if text.Target != form.Target {
		return fmt.Errorf("target %s, want %s", text.Target, form.Target)
	}
	newer, err := Newer(text.Version, NewestVersion)
	if err == nil && newer {
		err = fmt.Errorf("PTX %s, at most %s loads on every driver that is supported: compile with CUDA 11.8", text.Version,
			NewestVersion)
	}
	return err
}

// differences compares the hashes that a manifest wants with those of the existing files.
func differences(want, got map[string]string) []error {
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] == "" {
			problems = append(problems, fmt.Errorf("%w: %s is in the manifest but not there", ErrStale, name))
		} else if got[name] != want[name] {
			problems = append(problems, fmt.Errorf("%w: %s is not what the manifest says", ErrStale, name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if want[name] == "" {
			problems = append(problems, fmt.Errorf("%w: %s is not in the manifest", ErrStale, name))
		}
	}
	return problems
}

func hashSources(folder fs.FS) (map[string]string, error) { return hash(folder, "*.cu", "*.cuh") }

func hash(folder fs.FS, patterns ...string) (map[string]string, error) {
	sums := map[string]string{}
	for _, pattern := range patterns {
		names, err := fs.Glob(folder, pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			data, err := fs.ReadFile(folder, name)
			if err != nil {
				return nil, err
			}
			sums[name] = sum(data)
		}
	}
	return sums, nil
}

func sum(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}

// OutputName returns the name of the PTX file that a source has in a form.
func OutputName(source string, form Form) string {
	return "ptx/" + strings.TrimSuffix(source, ".cu") + form.Suffix + ".ptx"
}
