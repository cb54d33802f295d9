package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gputrain/gputrain/cuda/driver/internal/trampoline"
)

// headers lists our own declarations, and the part of NVIDIA's software that each stands for.
var headers = []struct{ file, part string }{
	{"cuda.h", "cuda"}, {"cudaProfiler.h", "cuda"}, {"cuComplex.h", "cuda"}, {"library_types.h", "cuda"},
	{"cublas_v2.h", "cuda"}, {"cublasLt.h", "cuda"}, {"nccl.h", "cuda"}, {"cudnn.h", "cudnn"},
}

// An item is one thing that our headers declare and NVIDIA's must declare in the same way.
type item struct {
	kind string // function, symbol, value, type or field
	name string // as C calls it; a field is TYPE.FIELD
	part string // cuda or cudnn
}

func (i item) String() string { return i.kind + " " + i.name }

// words returns the identifiers that must occur if the item is declared. A symbol needs none: a name that isn't a
// macro stands for itself.
func (i item) words() []string {
	if i.kind == "symbol" {
		return nil
	}
	return strings.Split(i.name, ".")
}

// owner returns the item of the type that a field belongs to. For other items it returns the item itself.
func (i item) owner() item {
	if name, _, found := strings.Cut(i.name, "."); found {
		return item{"type", name, i.part}
	}
	return i
}

// The forms in which our headers declare things. The headers are ours, so one form for each kind is enough.
// TestEveryLineIsRead fails if another one is added.
var (
	enumeratorLine = regexp.MustCompile(`^\t(\w+)\s*= .*,$`)
	constantLine   = regexp.MustCompile(`^#define (\w+)\s+\S`)
	renameLine     = regexp.MustCompile(`^#define (cu\w+) (cu\w+)$`)
	closingLine    = regexp.MustCompile(`^} (?:__attribute__\(.*\) )?(\w+);$`)
	fieldLine      = regexp.MustCompile(`^\t[\w ]+?[ *]+(\w+(?:, \w+)*)(?:\[\d+\])*;$`)
	innerLine      = regexp.MustCompile(`^\t} (\w+);$`)
	pointerLine    = regexp.MustCompile(`^typedef .*\(\*(\w+)\)\(.*\);$`)
	typedefLine    = regexp.MustCompile(`^typedef [\w ]+[ *](\w+);$`)
)

// declared returns what a header declares, except functions, which come from the list.
func declared(text, part string) []item {
	var items []item
	add := func(kind, name string) { items = append(items, item{kind, name, part}) }
	var fields []string // fields of the structure that is being read
	inner := 0          // where the fields of a union inside it begin
	for _, line := range strings.Split(text, "\n") {
		switch m := []string(nil); {
		case match(renameLine, line, &m): // it is in the list
		case match(constantLine, line, &m), match(enumeratorLine, line, &m):
			add("value", m[1])
		case strings.HasPrefix(line, "typedef struct") && strings.HasSuffix(line, "{"):
			fields = nil
		case strings.HasPrefix(line, "\tunion "):
			inner = len(fields)
		case match(innerLine, line, &m):
			for i := inner; i < len(fields); i++ {
				fields[i] = m[1] + "." + fields[i]
			}
			fields = append(fields, m[1])
		case match(fieldLine, line, &m):
			fields = append(fields, strings.Split(m[1], ", ")...)
		case match(closingLine, line, &m):
			add("type", m[1])
			for _, f := range fields {
				add("field", m[1]+"."+f)
			}
			fields = nil
		case match(pointerLine, line, &m), match(typedefLine, line, &m):
			add("type", m[1])
		}
	}
	return items
}

func match(form *regexp.Regexp, line string, found *[]string) bool {
	*found = form.FindStringSubmatch(line)
	return *found != nil
}

// readItems returns everything that folder/include declares, and the functions of folder/functions.txt.
func readItems(folder string) ([]item, error) {
	var items []item
	for _, h := range headers {
		text, err := os.ReadFile(filepath.Join(folder, "include", h.file))
		if err != nil {
			return nil, err
		}
		items = append(items, declared(string(text), h.part)...)
	}
	list, err := os.ReadFile(filepath.Join(folder, "functions.txt"))
	if err != nil {
		return nil, err
	}
	functions, err := trampoline.Parse(string(list))
	if err != nil {
		return nil, fmt.Errorf("functions.txt: %w", err)
	}
	for _, f := range functions {
		part := "cuda"
		if f.Library == "cudnn" {
			part = "cudnn"
		}
		items = append(items, item{"function", f.Symbol, part}, item{"symbol", f.Name, part})
	}
	return items, nil
}
