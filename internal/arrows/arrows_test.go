// Package arrows holds the test that keeps the project's imports running one way.
// Its table is the only list of them. RATIONALE.md ("Imports run one way") shows
// it; go test ./internal/arrows -update writes it there.
package arrows

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gputrain/gputrain"

var update = flag.Bool("update", false, "write the list in RATIONALE.md anew")

// allowed lists, for each package of ours, the packages of ours that it may
// import outside its tests. A package that is not listed here fails the test.
var allowed = map[string][]string{
	"net":            {"internal/half", "internal/memlimit", "internal/replacefile", "internal/regularfile"},
	"net/reference":  {"net"},
	"net/verify":     {"net", "net/reference", "internal/approx"},
	"net/lower":      {"net"},
	"net/quantize":   {"net"},
	"net/agree":      {},
	"net/parallel":   {"net"},
	"net/devicetest": {"net", "net/reference", "net/verify", "internal/approx", "internal/testenv"},
	"mnist":          {"net"},
	"serve":          {"net", "picture", "internal/memlimit", "internal/page", "internal/shown"},
	"picture":        {"net", "internal/prepare"}, "picture/picturetest": {"net"}, "internal/prepare": {}, "internal/shown": {}, "internal/plain": {},
	"internal/elsewhere":        {"net", "picture", "serve", "internal/plain", "internal/prepare"},
	"internal/elsewhere/engine": {"internal/plain", "internal/prepare", "internal/shown"},
	"pictures":                  {"net", "picture", "internal/regularfile", "internal/replacefile"},
	"bench":                     {"net", "net/lower", "net/reference", "cuda", "kernels", "bench/peers", "onnx", "internal/chart", "internal/page"},
	"cpu":                       {"net", "net/lower", "net/quantize", "cpu/asm", "internal/cpufeat", "internal/memlimit"},
	"cpu/asm":                   {"internal/cpufeat"},
	"bench/peers":               {"net"},
	"bench/peers/serve":         {"bench/peers", "net"},
	"cmd/gputrain":              {"net", "net/lower", "net/quantize", "net/reference", "net/verify", "mnist", "cpu", "cuda", "cuda/driver", "onnx", "internal/memlimit", "internal/regularfile", "picture", "pictures", "serve", "bench", "bench/peers", "internal/replacefile", "internal/runfolder", "internal/runreport", "internal/netgraph", "internal/cpufeat", "internal/chart", "internal/page", "internal/raster", "tensorboard", "internal/launch", "internal/rendezvous", "net/parallel", "net/parallel/mpi", "internal/elsewhere"},
	"internal/launch":           {}, "internal/rendezvous": {},
	"net/parallel/mpi": {"net"}, "net/parallel/mpi/mpitest": {}, "net/parallel/lockstep": {"net", "net/devicetest", "internal/approx"},
	"cuda":        {"net", "net/lower", "kernels", "cuda/driver"},
	"cuda/driver": {}, "cuda/driver/internal/trampoline": {},
	"cuda/sim": {"cuda/sim/internal/build", "internal/testenv"}, "cuda/sim/internal/build": {}, "cuda/sim/internal/calls": {"cuda/driver"},
	"kernels": {}, "kernels/internal/ptx": {}, "kernels/internal/ptxtool": {"kernels/internal/ptx"},
	"cuda/driver/abi": {"cuda/driver/internal/trampoline"}, "cuda/testgpu": {},
	"onnx": {"net", "net/quantize", "internal/half", "internal/protobuf", "internal/regularfile"}, "internal/half": {}, "internal/replacefile": {}, "internal/approx": {}, "internal/arrows": {}, "internal/cpufeat": {}, "internal/testenv": {},
	"internal/runfolder": {"net", "internal/appendfile", "internal/replacefile", "internal/regularfile"}, "internal/regularfile": {}, "internal/memlimit": {},
	"internal/appendfile": {}, "internal/protobuf": {},
	"tensorboard":    {"net", "internal/appendfile", "internal/protobuf", "internal/raster", "internal/runreport"},
	"internal/chart": {}, "internal/page": {}, "internal/raster": {},
	"internal/netgraph":  {"net", "net/lower", "internal/chart"},
	"internal/runreport": {"net", "internal/chart", "internal/page", "internal/raster"},
}

// testOnly lists the packages that only tests import.
var testOnly = []string{"internal/testenv", "net/devicetest", "cuda/sim", "picture/picturetest", "net/parallel/mpi/mpitest", "net/parallel/lockstep"}

// cgo lists the packages that may use cgo.
var cgo = []string{"cuda", "cuda/driver", "cuda/sim", "cuda/sim/internal/calls", "net/parallel/mpi"}

// A build with CUDA has other files, and a package that only it has. So has one for browsers.
func TestArrowsRunOneWay(t *testing.T) {
	touch(t, filepath.Join("..", ".."))
	seen := map[string]bool{} // packages, and imports as "package importing package"
	for _, tags := range []string{"", "cuda"} {
		t.Run("tags="+tags, func(t *testing.T) { arrows(t, tags, "linux/amd64", "...", seen) })
	}
	t.Run("browser", func(t *testing.T) { arrows(t, "", "js/wasm", "internal/elsewhere/engine", seen) })
	for name, imports := range allowed {
		if !seen[name] {
			t.Errorf("the table has %s, go list shows no such package", name)
		}
		for _, p := range imports {
			if !seen[name+" importing "+p] {
				t.Errorf("the table lets %s import %s, which it doesn't", name, p)
			}
		}
	}
}

func arrows(t *testing.T, tags, place, packages string, seen map[string]bool) {
	list := exec.Command("go", "list", "-tags="+tags, "-json=ImportPath,Imports,CgoFiles", module+"/"+packages)
	// Without cgo its files are not listed, and CUDA is for Linux alone.
	system, processor, _ := strings.Cut(place, "/")
	list.Env = append(os.Environ(), "CGO_ENABLED=1", "GOOS="+system, "GOARCH="+processor)
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
			seen[name+" importing "+ours] = true
			if !slices.Contains(may, ours) {
				t.Errorf("%s must not import %s", name, ours)
			}
			if slices.Contains(testOnly, ours) && !slices.Contains(testOnly, name) {
				t.Errorf("%s imports %s, which is for tests alone", name, ours)
			}
		}
		if len(p.CgoFiles) > 0 && !slices.Contains(cgo, name) {
			t.Errorf("%s uses cgo in %v", name, p.CgoFiles)
		}
	}
}

// TestRationale compares the list in RATIONALE.md with the table.
func TestRationale(t *testing.T) {
	file := filepath.Join("..", "..", "RATIONALE.md")
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := bytes.Cut(page, []byte("<!-- imports -->\n"))
	have, after, ended := bytes.Cut(rest, []byte("<!-- end -->"))
	if !found || !ended {
		t.Fatal("RATIONALE.md has no <!-- imports --> with an <!-- end -->")
	}
	want := []byte(list())
	if bytes.Equal(have, want) {
		return
	}
	if !*update {
		t.Fatalf("RATIONALE.md lists\n%s\nand the table has\n%s\ngo test ./internal/arrows -update writes it", have, want)
	}
	if err := os.WriteFile(file, slices.Concat(before, []byte("<!-- imports -->\n"), want, []byte("<!-- end -->"), after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// list is the table as RATIONALE.md shows it. Packages are sorted by the number of
// packages that they need, so each one stands before all that it imports.
func list() string {
	below := map[string]map[string]bool{}
	var visit func(name string) map[string]bool
	visit = func(name string) map[string]bool {
		if below[name] == nil {
			below[name] = map[string]bool{}
			for _, p := range allowed[name] {
				below[name][p] = true
				maps.Copy(below[name], visit(p))
			}
		}
		return below[name]
	}
	names := slices.SortedFunc(maps.Keys(allowed), func(a, b string) int {
		return cmp.Or(len(visit(b))-len(visit(a)), strings.Compare(a, b))
	})
	const width, column = 110, 24
	out := &strings.Builder{}
	row := func(head string, items []string) {
		line := fmt.Sprintf("%-*s", column, head)
		for i, item := range items {
			if i < len(items)-1 {
				item += ","
			}
			if len(line)+1+len(item) > width {
				fmt.Fprintln(out, line)
				line = strings.Repeat(" ", column)
			}
			line += " " + item
		}
		fmt.Fprintln(out, line)
	}
	var leaves []string
	fmt.Fprintln(out, "```")
	for _, name := range names {
		if len(allowed[name]) == 0 {
			leaves = append(leaves, name)
			continue
		}
		row(name, slices.Sorted(slices.Values(allowed[name])))
	}
	fmt.Fprintln(out)
	row("import none of ours:", leaves)
	row("for tests alone:", testOnly)
	row("use cgo:", cgo)
	fmt.Fprintln(out, "```")
	return out.String()
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
