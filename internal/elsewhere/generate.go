//go:build ignore

// Command generate compiles the engine of exported pages, and takes over Go's script that starts it: go generate. Both
// belong to one version of Go, which browser/go-version says. With another version it leaves everything as it is, and says
// so: -with-this-go makes it anew nevertheless.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

const folder = "browser"

func main() {
	anyway := flag.Bool("with-this-go", false, "make it by this version of Go, whatever made it before")
	flag.Parse()
	recorded, err := os.ReadFile(filepath.Join(folder, "go-version"))
	if err != nil && !*anyway {
		log.Fatal(err)
	}
	if before := strings.TrimSpace(string(recorded)); before != runtime.Version() && !*anyway {
		fmt.Printf("internal/elsewhere/%s is neither made nor checked: %s made it, and this is %s\n", folder, before, runtime.Version())
		return
	}
	dir, err := os.MkdirTemp("", "engine")
	check(err)
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "engine.wasm")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", out, "./engine")
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0", "GOWASM=", "GOFLAGS=")
	build.Stderr = os.Stderr
	check(build.Run())
	wasm, err := os.ReadFile(out)
	check(err)
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	check(err)
	_, err = z.Write(wasm)
	check(err)
	check(z.Close())
	write("sources.txt", sources())
	root, err := exec.Command("go", "env", "GOROOT").Output()
	check(err)
	write("engine.wasm.gz", b.Bytes())
	write("go-version", []byte(runtime.Version()+"\n"))
	for name, from := range map[string]string{"wasm_exec.js": "lib/wasm/wasm_exec.js", "LICENSE-go": "LICENSE"} {
		b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), filepath.FromSlash(from)))
		check(err)
		write(name, b)
	}
}

// sources lists the files of ours that the engine is made of, and their hashes. A test compares them, so that with any
// version of Go it is found out that the engine is an old one.
func sources() []byte {
	var list bytes.Buffer
	for _, folder := range []string{"engine", "../plain", "../prepare", "../shown"} {
		files, err := filepath.Glob(folder + "/*.go")
		check(err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			b, err := os.ReadFile(file)
			check(err)
			fmt.Fprintf(&list, "%x  %s\n", sha256.Sum256(b), filepath.ToSlash(file))
		}
	}
	return list.Bytes()
}

func write(name string, content []byte) {
	check(os.WriteFile(filepath.Join(folder, name), content, 0o644))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
