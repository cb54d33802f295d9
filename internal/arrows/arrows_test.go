// Package arrows holds the test that keeps the project's imports running one
// way, as RATIONALE.md ("Arrows run one way") draws them.
package arrows

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gputrain/gputrain"

// allowed lists, for each package of ours, the packages of ours that it may
// import outside its tests. A package that is not listed here fails the test.
var allowed = map[string][]string{
	"net":            {},
	"net/reference":  {"net"},
	"net/verify":     {"net", "net/reference", "internal/approx"},
	"net/devicetest": {"net", "net/reference", "net/verify", "internal/approx"},
	"mnist":          {"net"},
	"cpu":            {"net", "cpu/asm", "internal/cpufeat"},
	"cpu/asm":        {"internal/cpufeat"},
	"cmd/gputrain":   {"net", "net/reference", "net/verify", "mnist", "cpu", "internal/cpufeat"},
	"cuda/driver":    {}, "cuda/driver/internal/trampoline": {}, "cuda/sim": {},
	"internal/approx": {}, "internal/arrows": {}, "internal/cpufeat": {},
}

// testOnly lists the packages that only tests import.
var testOnly = []string{"net/devicetest"}

// cgo lists the packages that may use cgo.
var cgo = []string{"cuda", "cuda/driver"}

func TestArrowsRunOneWay(t *testing.T) {
	touch(t, filepath.Join("..", ".."))
	list := exec.Command("go", "list", "-json=ImportPath,Imports,CgoFiles", module+"/...")
	list.Env = append(os.Environ(), "CGO_ENABLED=1") // without it cgo's files are not listed
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; seen++ {
		var p struct {
			ImportPath        string
			Imports, CgoFiles []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		may, ok := allowed[name]
		if !ok {
			t.Errorf("package %s has no entry here: decide what it may import", name)
			continue
		}
		for _, imp := range p.Imports {
			ours, found := strings.CutPrefix(imp, module+"/")
			if !found {
				continue
			}
			if !slices.Contains(may, ours) {
				t.Errorf("%s must not import %s", name, ours)
			}
			if slices.Contains(testOnly, ours) {
				t.Errorf("%s imports %s, which is for tests alone", name, ours)
			}
		}
		if len(p.CgoFiles) > 0 && !slices.Contains(cgo, name) {
			t.Errorf("%s uses cgo in %v", name, p.CgoFiles)
		}
	}
	if seen < len(allowed) {
		t.Errorf("go list shows %d packages, the table has %d", seen, len(allowed))
	}
}

// touch looks at every Go file, so that the test's result is not taken from the
// cache once one has changed: what go list reads is not seen there.
func touch(t *testing.T, root string) {
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".go" {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
