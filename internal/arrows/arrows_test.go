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
	"net":            {"internal/replacefile", "internal/regularfile"},
	"net/reference":  {"net"},
	"net/verify":     {"net", "net/reference", "internal/approx"},
	"net/lower":      {"net"},
	"net/agree":      {},
	"net/devicetest": {"net", "net/reference", "net/verify", "internal/approx"},
	"mnist":          {"net"},
	"serve":          {"net", "picture", "internal/page"},
	"picture":        {"net"}, "picture/picturetest": {"net"},
	"pictures":          {"net", "picture", "internal/replacefile"},
	"bench":             {"net", "net/lower", "net/reference", "cuda", "kernels", "bench/peers", "internal/chart", "internal/page"},
	"cpu":               {"net", "net/lower", "cpu/asm", "internal/cpufeat"},
	"cpu/asm":           {"internal/cpufeat"},
	"bench/peers":       {"net"},
	"bench/peers/serve": {"bench/peers", "net"},
	"cmd/gputrain":      {"net", "net/lower", "net/reference", "net/verify", "mnist", "cpu", "cuda", "cuda/driver", "onnx", "internal/regularfile", "picture", "pictures", "serve", "bench", "bench/peers", "internal/replacefile", "internal/runfolder", "internal/runreport", "internal/netgraph", "internal/cpufeat", "internal/chart", "internal/page", "internal/raster", "tensorboard"},
	"cuda":              {"net", "net/lower", "kernels", "cuda/driver"},
	"cuda/driver":       {}, "cuda/driver/internal/trampoline": {},
	"cuda/sim": {"cuda/sim/internal/build"}, "cuda/sim/internal/build": {}, "cuda/sim/internal/calls": {"cuda/driver"},
	"kernels": {}, "kernels/internal/ptx": {}, "kernels/internal/ptxtool": {"kernels/internal/ptx"},
	"cuda/driver/abi": {"cuda/driver/internal/trampoline"}, "cuda/testgpu": {},
	"onnx": {"net", "internal/protobuf"}, "internal/replacefile": {}, "internal/approx": {}, "internal/arrows": {}, "internal/cpufeat": {},
	"internal/runfolder": {"net", "internal/appendfile", "internal/replacefile", "internal/regularfile"}, "internal/regularfile": {},
	"internal/appendfile": {}, "internal/protobuf": {},
	"tensorboard":    {"net", "internal/appendfile", "internal/protobuf", "internal/raster", "internal/runreport"},
	"internal/chart": {}, "internal/page": {}, "internal/raster": {},
	"internal/netgraph":  {"net", "net/lower", "internal/chart"},
	"internal/runreport": {"net", "internal/chart", "internal/page", "internal/raster"},
}

// testOnly lists the packages that only tests import.
var testOnly = []string{"net/devicetest", "cuda/sim", "picture/picturetest"}

// cgo lists the packages that may use cgo.
var cgo = []string{"cuda", "cuda/driver", "cuda/sim", "cuda/sim/internal/calls"}

// A build with CUDA has other files, and a package that only it has.
func TestArrowsRunOneWay(t *testing.T) {
	touch(t, filepath.Join("..", ".."))
	seen := map[string]bool{}
	for _, tags := range []string{"", "cuda"} {
		t.Run("tags="+tags, func(t *testing.T) { arrows(t, tags, seen) })
	}
	for name := range allowed {
		if !seen[name] {
			t.Errorf("the table has %s, go list shows no such package", name)
		}
	}
}

func arrows(t *testing.T, tags string, seen map[string]bool) {
	list := exec.Command("go", "list", "-tags="+tags, "-json=ImportPath,Imports,CgoFiles", module+"/...")
	// Without cgo its files are not listed, and CUDA is for Linux alone.
	list.Env = append(os.Environ(), "CGO_ENABLED=1", "GOOS=linux", "GOARCH=amd64")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
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
		seen[name] = true
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
