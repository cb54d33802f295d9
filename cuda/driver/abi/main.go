// Abi compares this project's declarations of CUDA, cuDNN and cuBLAS with NVIDIA's own headers and libraries. Run it
// from the module's root, or with make:
//
//	make check-abi          every function, value, type and field, and the simulator's sources, against the headers
//	make check-descriptors  cuDNN's descriptors in the simulator against the real library, which needs no GPU for them
//
// It fetches the headers and libraries that parts.txt lists into a folder of the user's cache, or into ABI_CACHE.
package main

import (
	_ "embed"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

//go:embed parts.txt
var partsText string

//go:embed known-differences.txt
var differencesText string

const (
	driver    = "cuda/driver"
	simulator = "cuda/sim"
)

func main() {
	log.SetFlags(0)
	command := ""
	if len(os.Args) == 2 {
		command = os.Args[1]
	}
	var err error
	switch command {
	case "headers":
		err = checkHeaders()
	case "descriptors":
		err = checkDescriptors()
	default:
		err = fmt.Errorf("usage: abi headers | descriptors")
	}
	if err != nil {
		log.Fatal(err)
	}
}

func openCache() (cache, error) {
	if folder := os.Getenv("ABI_CACHE"); folder != "" {
		folder, err := filepath.Abs(folder)
		return cache(folder), err
	}
	folder, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder for a cache, set ABI_CACHE: %w", err)
	}
	return cache(filepath.Join(folder, "gputrain", "abi")), nil
}

func cxx() string {
	if c := os.Getenv("CXX"); c != "" {
		return c
	}
	return "g++"
}

// A result holds the outcome for one set of headers: how many items of each kind were compared, and what is wrong.
type result struct {
	set        string
	counts     map[string]int
	known      int
	sources    int
	complaints []string
	unchecked  error
}

func checkHeaders() error {
	store, err := openCache()
	if err != nil {
		return err
	}
	all, err := parseParts(partsText)
	if err != nil {
		return err
	}
	known, err := parseDifferences(differencesText)
	if err != nil {
		return err
	}
	items, err := readItems(driver)
	if err != nil {
		return err
	}
	sources, err := simulatorSources()
	if err != nil {
		return err
	}
	var results []result
	for _, set := range all.sets {
		r := result{set: set[0] + " " + set[1]}
		folders, err := fetchSet(store, all, set)
		if err != nil {
			r.unchecked = err
		} else if err := r.check(set, folders, items, known, sources); err != nil {
			return fmt.Errorf("%s: %w", r.set, err)
		}
		results = append(results, r)
	}
	return report(results)
}

func fetchSet(store cache, all parts, set [2]string) ([]string, error) {
	var folders []string
	for _, part := range set {
		f, err := store.fetch(all, part, "include")
		if err != nil {
			return nil, err
		}
		folders = append(folders, f...)
	}
	return folders, nil
}

func (r *result) check(set [2]string, folders []string, items []item, known []difference, sources []string) error {
	major := "8"
	if strings.HasPrefix(set[1], "cudnn-9") {
		major = "9"
	}
	own := probe{cxx(), []string{"-I", filepath.Join(driver, "include"), "-DCUDNN_MAJOR=" + major}}
	ours, err := own.answers(items)
	if err != nil {
		return fmt.Errorf("our headers: %w", err)
	}
	var system []string // warnings in NVIDIA's headers are not ours to fix
	for _, f := range folders {
		system = append(system, "-isystem", f)
	}
	nvidia := probe{cxx(), system}
	theirs, err := nvidia.answers(items)
	if err != nil {
		return fmt.Errorf("NVIDIA's headers: %w", err)
	}
	r.counts = map[string]int{}
	for _, i := range items {
		if theirs[i.String()] != "missing" {
			r.counts[i.kind]++
		}
	}
	found := compare(items, ours, theirs, map[string]string{"cuda": set[0], "cudnn": set[1]})
	r.complaints = unexplained(found, known, set[:], "ours", ours)
	r.known = len(found)
	for _, source := range sources {
		if _, err := nvidia.compile(nil, sourceFlags, source); err != nil {
			if _, also := own.compile(nil, sourceFlags, source); also != nil {
				err = fmt.Errorf("doesn't compile with our headers either: %w", also)
			}
			r.complaints = append(r.complaints, fmt.Sprintf("%s: %v", source, err))
			continue
		}
		r.sources++
	}
	return nil
}

// sourceFlags are those flags of the simulator's build that matter here.
var sourceFlags = []string{"-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I", filepath.Join(simulator, "src")}

// simulatorSources returns the files that define NVIDIA's functions or use their declarations.
func simulatorSources() ([]string, error) {
	var sources []string
	for _, folder := range []string{"core", "driver", "cudnn", "cublas", "cublaslt"} {
		found, err := filepath.Glob(filepath.Join(simulator, "src", folder, "*.cpp"))
		if err != nil {
			return nil, err
		}
		sources = append(sources, found...)
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("no sources of the simulator in %s: run this from the module's root", simulator)
	}
	return sources, nil
}

// report prints the table. It returns an error unless the whole check passed.
func report(results []result) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	kinds := []string{"function", "symbol", "value", "type", "field"}
	fmt.Fprintln(table, "NVIDIA's headers\tfunctions\tsymbols\tvalues\ttypes\tfields\tsources\tresult")
	checked, failed := 0, 0
	for _, r := range results {
		if r.unchecked != nil {
			fmt.Fprintf(table, "%s\t\t\t\t\t\t\tNOT CHECKED\n", r.set)
			continue
		}
		checked++
		fmt.Fprintf(table, "%s\t", r.set)
		for _, kind := range kinds {
			fmt.Fprintf(table, "%d\t", r.counts[kind])
		}
		verdict := fmt.Sprintf("same, %d known differences", r.known)
		if len(r.complaints) > 0 {
			failed++
			verdict = fmt.Sprintf("FAILED, %d unexplained", len(r.complaints))
		}
		fmt.Fprintf(table, "%d\t%s\n", r.sources, verdict)
	}
	table.Flush()
	for _, r := range results {
		if r.unchecked != nil {
			fmt.Printf("\n%s was NOT CHECKED: %v\n", r.set, r.unchecked)
		}
		if len(r.complaints) > 0 {
			fmt.Printf("\n%s:\n  %s\n", r.set, strings.Join(r.complaints, "\n  "))
		}
	}
	switch {
	case checked == 0:
		return fmt.Errorf("nothing was checked: no headers could be had")
	case failed > 0:
		return fmt.Errorf("our declarations are not NVIDIA's")
	}
	return nil
}
