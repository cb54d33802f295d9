package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// commitFile makes a folder a kit. It names the commit that the kit was built from.
const commitFile = "commit.txt"

// moduleRoot returns the folder with go.mod.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("this needs Go, or a kit (make gpu-kit, on a machine with Go): %w", err)
	}
	file := strings.TrimSpace(string(out))
	if file == "" || file == os.DevNull {
		return "", errors.New("run it in gputrain's folder")
	}
	return filepath.Dir(file), nil
}

// commitOf returns the commit of the sources, and tells if they have been changed since.
func commitOf(root string) string {
	describe := exec.Command("git", "describe", "--always", "--dirty=, with changes", "--abbrev=12")
	describe.Dir = root
	out, err := describe.Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// build builds programs with CUDA (gputrain or its tests) into a folder.
func build(ctx context.Context, t *transcript, root, folder string, names ...string) error {
	for _, name := range names {
		verb, source := []string{"go", "build"}, "cmd/gputrain"
		for dir, program := range testPrograms {
			if program == name {
				verb, source = []string{"go", "test", "-c"}, dir
			}
		}
		_, err := t.run(ctx, command{
			args: append(verb, "-tags", "cuda", "-ldflags=-s -w", "-o", filepath.Join(folder, name), "./"+source),
			dir:  root,
			env:  []string{"CGO_ENABLED=1", "CGO_CFLAGS=-g -O2 -I" + filepath.Join(root, "cuda", "driver", "include")},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// buildKit builds a kit: a folder with this program and what it tests. On the GPU's machine nothing else is needed.
func buildKit(ctx context.Context, folder string) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return err
	}
	t := &transcript{}
	names := append(slices.Sorted(maps.Values(testPrograms)), product)
	if err := build(ctx, t, root, folder, names...); err != nil {
		fmt.Print(t.text.String())
		return err
	}
	self := command{
		args: []string{"go", "build", "-trimpath", "-o", filepath.Join(folder, "testgpu"), "./cuda/testgpu"},
		dir:  root, env: []string{"CGO_ENABLED=0"},
	}
	if _, err := t.run(ctx, self); err != nil {
		fmt.Print(t.text.String())
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, commitFile), []byte(commitOf(root)+"\n"), 0o644); err != nil {
		return err
	}
	fmt.Printf("%s\nCopy this folder to a GPU's machine (of this processor, with this C library or a newer one), and there run ./testgpu\n", folder)
	return nil
}
