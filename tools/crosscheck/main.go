// Crosscheck checks the types of every package of the module above it, with its tests, for other systems. It runs in the
// folder tools, and its arguments name the systems:
//
//	go -C tools run ./crosscheck darwin/arm64 windows/amd64
//
// It finds what a compiler finds before it makes code, and in tests too. It takes seconds, because it compiles nothing:
// `make cross` builds the packages, for each system from Go's own library up.
package main

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "crosscheck: name the systems, such as darwin/arm64 windows/amd64")
		os.Exit(2)
	}
	failed := false
	for _, system := range os.Args[1:] {
		errs, err := check("..", system)
		if err != nil {
			fmt.Fprintf(os.Stderr, "crosscheck %s: %v\n", system, err)
			os.Exit(2)
		}
		for _, e := range errs {
			fmt.Fprintf(os.Stderr, "%s: %s\n", system, e)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

// check returns what is wrong with the packages of the module in folder dir, for a system such as darwin/arm64, without cgo.
func check(dir, system string) (wrong []string, err error) {
	goos, goarch, ok := strings.Cut(system, "/")
	if !ok {
		return nil, fmt.Errorf("want a system and an architecture, such as darwin/arm64")
	}
	found, err := packages.Load(&packages.Config{
		Mode:  packages.LoadAllSyntax, // types of imported packages too come from their source
		Dir:   dir,
		Env:   append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0"),
		Tests: true,
	}, "./...")
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("there are no packages in %s", dir)
	}
	seen := map[string]bool{} // a file is also in the package for tests
	add := func(message string) {
		if !seen[message] {
			seen[message] = true
			wrong = append(wrong, message)
		}
	}
	for _, p := range found {
		for _, e := range p.Errors {
			add(e.Error())
		}
		for _, f := range bodiless(p) {
			add(fmt.Sprintf("%s: function %s has no body, and the package no assembly", p.Fset.Position(f.Pos()), f.Name.Name))
		}
	}
	return wrong, nil
}

// bodiless returns the functions of a package that have no body, if it has no assembly either. Only a compiler asks for one.
func bodiless(p *packages.Package) (functions []*ast.FuncDecl) {
	for _, name := range p.OtherFiles {
		if filepath.Ext(name) == ".s" {
			return nil
		}
	}
	for _, file := range p.Syntax {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body == nil {
				functions = append(functions, f)
			}
		}
	}
	return functions
}
