package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestExportGo exports a Go package and runs its test, twice: an earlier export is replaced, a file beside it stays.
func TestExportGo(t *testing.T) {
	inFolder(t)
	must(t, quick("--epochs", "1")...)
	for _, other := range []string{"", "other"} {
		args := []string{"export", "--format", "go", "--output", "My-Digits"}
		if other != "" {
			write(t, "My-Digits/own.go", "package other\n\n// own is mine.\nfunc own() float32 { return New().ClassifyBytes(make([]uint8, 784))[0] }\n\nvar _ = own\n")
			args = append(args, "--package", other)
		}
		out := must(t, args...)
		if !strings.HasPrefix(out, "My-Digits: Go package, network quick of runs/run-1, 500 weights, ") || !strings.HasSuffix(out, "\nTry it: go -C My-Digits test\n") {
			t.Errorf("export says %q", out)
		}
		test := exec.Command("go", "test", "-vet=all", ".")
		test.Dir = "My-Digits"
		test.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "GOPROXY=off")
		if out, err := test.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if mod, err := os.ReadFile("My-Digits/go.mod"); err != nil || string(mod) != "module example.com/mydigits\n\ngo 1.22\n" {
			t.Errorf("go.mod is %q, %v", mod, err)
		}
	}
	// In a module there is no other one.
	write(t, "go.mod", "module mine\n\ngo 1.22\n")
	must(t, "export", "--format", "go", "--output", "inside")
	if _, err := os.Stat("inside/go.mod"); err == nil {
		t.Error("a module within a module")
	}
}

// TestExportPage exports a page, twice. Package elsewhere tests what it does.
func TestExportPage(t *testing.T) {
	inFolder(t)
	must(t, quick("--epochs", "1")...)
	for range 2 {
		var e exported
		if err := json.Unmarshal([]byte(must(t, "export", "--format", "page", "--output", "page", "--json")), &e); err != nil {
			t.Fatal(err)
		}
		size, names := int64(0), []string{}
		entries, err := os.ReadDir("page")
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			info, err := entry.Info()
			if err != nil {
				t.Fatal(err)
			}
			size += info.Size()
			names = append(names, entry.Name())
		}
		if want := (exported{File: "page", Format: formatPage, From: e.From, Network: "quick", Weights: 500, Bytes: size}); e != want {
			t.Errorf("export says %+v, want %+v", e, want)
		}
		if want := []string{"engine.js", "index.html", "model.js", "page.css", "page.js"}; !slices.Equal(names, want) {
			t.Errorf("files %v, want %v", names, want)
		}
	}
}

// TestExportFolderRefuses leaves alone what it must not replace.
func TestExportFolderRefuses(t *testing.T) {
	inFolder(t)
	must(t, quick("--epochs", "1")...)
	for _, dir := range []string{"mine", "yours", "7"} {
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	write(t, "mine/page.css", "mine")
	write(t, "yours/network.go", "package yours\n")
	write(t, "file", "mine")
	write(t, "7/own.txt", "mine")
	for _, c := range []struct {
		args   string
		status int
		text   string
	}{
		{"--format page --output mine", exitFailed, "mine/page.css is there, and not from an export: write to another folder with --output"},
		{"--format go --output yours", exitFailed, "yours/network.go is there, and not from an export: write to another folder with --output"},
		{"--format go --output file", exitFailed, "--output file: a file, want a folder"},
		{"--format go --output none/digits", exitFailed, "--output none/digits: there is no folder none"},
		{"--format go --output 7", exitFailed, `--output 7: the folder's name, "7", makes no name of a Go package: give one with --package`},
		{"--format go --output new --package func", exitUsage, `--package: "func" is no name for a Go package: want letters and digits, such as digits, and none of Go's own words`},
		{"--format page --output new --package new", exitUsage, "--package is for --format go"},
		{"--output new.onnx --package new", exitUsage, "--package is for --format go"},
		{"--format go --output new.onnx", exitUsage, "--format go and --output new.onnx contradict each other: name a folder"},
		{"--format go --output -", exitUsage, "--format go writes a folder, which standard output can't take: name it with --output DIR"},
		{"--format page", exitUsage, "--format page writes a folder: name it with --output DIR"},
		{"--format page --output new --logits", exitUsage, "--logits is not for --format page"},
		{"--format go --output new --labels new.txt", exitUsage, "--labels is not for --format go"},
	} {
		refuses(t, c.status, c.text, append([]string{"export"}, strings.Fields(c.args)...)...)
	}
	count := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasPrefix(path, runsFolder) && path != "quick.json" {
			count++
		}
		return err
	})
	if err != nil || count != 4 {
		t.Errorf("%d files, want the 4 that were there (%v)", count, err)
	}
}
