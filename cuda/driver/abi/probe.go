package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// prologue is the beginning of the program that a compiler builds with one set of headers. The program prints a line
// for each item with what the compiler makes of it: the full spelling of a function or a type (typedefs resolved), or
// the value of a constant.
const prologue = `#include <cstddef>
#include <cstdio>
#include <type_traits>
#include <cuda.h>
#include <cudaProfiler.h>
#include <cudnn.h>
#include <cuComplex.h>
#include <nccl.h>
#if __has_include(<cuda_bf16.h>)
#include <cuda_bf16.h>
#endif

// For C++, cuBLAS adds functions of its own under the names of those that the library exports: read its header as C.
extern "C" {
#undef __cplusplus
#include <cublas_v2.h>
#include <cublasLt.h>
#define __cplusplus 201703L
}

#define TEXT_OF(x) TEXT(x)
#define TEXT(x) #x

template <typename T> const char *spelling() {
	static char text[4096];
	const char *start = __builtin_strstr(__PRETTY_FUNCTION__, "T = ") + 4;
	snprintf(text, sizeof text, "%.*s", (int)(__builtin_strlen(start) - 1), start);
	return text;
}

template <typename T> void value(const char *item, T v) {
	if constexpr (std::is_floating_point_v<T>)
		printf("%s\t%.17g\n", item, (double)v);
	else if constexpr (std::is_null_pointer_v<T>)
		printf("%s\t0\n", item);
	else
		printf("%s\t%lld\n", item, (long long)v);
}

// An incomplete type has no size.
template <typename T, size_t = sizeof(T)> void size(int) { printf(", size %zu, alignment %zu", sizeof(T), alignof(T)); }
template <typename T> void size(long) {}

template <typename T> void type(const char *item) {
	printf("%s\t%s", item, spelling<T>());
	if constexpr (std::is_enum_v<T>)
		printf(" of %s", spelling<std::underlying_type_t<T>>());
	if constexpr (!std::is_function_v<T>)
		size<T>(0);
	printf("\n");
}
`

// A probe is a set of headers and a compiler that reads them.
type probe struct {
	compiler string
	flags    []string // the folders of the headers, and which version of our headers is read
}

// internal makes cuda.h declare every version of a function under its own symbol, as drivers export them.
const internal = "-D__CUDA_API_VERSION_INTERNAL"

// answers returns what the headers say about each item, or "missing".
func (p probe) answers(items []item) (map[string]string, error) {
	answers := map[string]string{}
	for _, flags := range [][]string{nil, {internal}} {
		var asked []item
		for _, i := range items {
			if (i.kind == "function") == (flags != nil) {
				asked = append(asked, i)
			}
		}
		if err := p.ask(asked, flags, answers); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

func (p probe) ask(items []item, flags []string, answers map[string]string) error {
	words, err := p.words(flags)
	if err != nil {
		return err
	}
	program := bytes.NewBufferString(prologue)
	program.WriteString("\nint main() {\n")
	for _, i := range items {
		if !words.haveAll(i.words()) {
			answers[i.String()] = "missing"
			continue
		}
		program.WriteString(i.statement())
	}
	program.WriteString("}\n")
	out, err := p.run(program.Bytes(), flags)
	if err != nil {
		return err
	}
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		name, answer, _ := strings.Cut(line, "\t")
		answers[name] = answer
	}
	return nil
}

// statement returns the C++ statement that prints the item's line.
func (i item) statement() string {
	owner, field, _ := strings.Cut(i.name, ".")
	switch i.kind {
	case "function":
		return fmt.Sprintf("\ttype<decltype(%s)>(\"%v\");\n", i.name, i)
	case "symbol":
		return fmt.Sprintf("\tprintf(\"%v\\t%%s\\n\", TEXT_OF(%s));\n", i, i.name)
	case "value":
		return fmt.Sprintf("\tvalue(\"%v\", %s);\n", i, i.name)
	case "type":
		return fmt.Sprintf("\ttype<%s>(\"%v\");\n", i.name, i)
	case "field":
		return fmt.Sprintf("\tprintf(\"%v\\t%%s at %%zu\\n\", spelling<decltype(%s{}.%s)>(), offsetof(%s, %s));\n",
			i, owner, field, owner, field)
	}
	panic("BUG: an item of kind " + i.kind)
}

type vocabulary map[string]bool

var word = regexp.MustCompile(`\w+`)

// words returns all words in the preprocessed headers, and the definitions of macros.
func (p probe) words(flags []string) (vocabulary, error) {
	out, err := p.compile([]byte(prologue), append([]string{"-E", "-dD"}, flags...), "-")
	if err != nil {
		return nil, err
	}
	known := vocabulary{}
	for _, w := range word.FindAllString(out, -1) {
		known[w] = true
	}
	return known, nil
}

func (v vocabulary) haveAll(words []string) bool {
	for _, w := range words {
		if !v[w] {
			return false
		}
	}
	return true
}

// run compiles a program, and returns what it prints.
func (p probe) run(program []byte, flags []string) (string, error) {
	folder, err := os.MkdirTemp("", "abi")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(folder)
	binary := filepath.Join(folder, "probe")
	if _, err := p.compile(program, append([]string{"-w", "-o", binary}, flags...), "-"); err != nil {
		return "", err
	}
	out, err := exec.Command(binary).Output()
	return string(out), err
}

// compile runs the compiler on source. If source is nil, it runs it on the named file.
func (p probe) compile(source []byte, flags []string, file string) (string, error) {
	args := append([]string{"-std=c++17"}, flags...)
	args = append(args, p.flags...)
	cmd := exec.Command(p.compiler, append(args, "-x", "c++", file)...)
	cmd.Stdin = bytes.NewReader(source)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", p.compiler, err, firstLines(stderr.String(), 20))
	}
	return stdout.String(), nil
}

func firstLines(text string, n int) string {
	lines := strings.SplitAfterN(text, "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], "")
}
