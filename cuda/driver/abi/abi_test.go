package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/cuda/driver/internal/trampoline"
)

func ourItems(t *testing.T) []item {
	t.Helper()
	items, err := readItems("..")
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// What the compiler finds in our headers is what is compared: no declaration escapes the forms that declared knows.
func TestEveryLineIsRead(t *testing.T) {
	named := map[string]bool{}
	for _, i := range ourItems(t) {
		for _, w := range regexp.MustCompile(`\w+`).FindAllString(i.name, -1) {
			named[w] = true
		}
	}
	comment := regexp.MustCompile(`(?s)/\*.*?\*/`)
	declares := regexp.MustCompile(`(\w+)\s*= |(\w+)(?:\[\d+\])*;|\(\*(\w+)\)\(|#define (\w+) |\b(cu\w+)\(`)
	for _, h := range headers {
		text, err := os.ReadFile(filepath.Join("..", "include", h.file))
		if err != nil {
			t.Fatal(err)
		}
		read := 0
		for _, m := range declares.FindAllStringSubmatch(comment.ReplaceAllString(string(text), ""), -1) {
			if name := strings.Join(m[1:], ""); !named[name] {
				t.Errorf("%s: %s is never compared, in %q", h.file, name, m[0])
			}
			read++
		}
		if read == 0 {
			t.Errorf("%s: no declaration is read", h.file)
		}
	}
}

func TestDeclared(t *testing.T) {
	text := `#ifndef GUARD_H
#define GUARD_H
#define API
#define MAX 8
#define cuFoo cuFoo_v2
typedef struct Opaque *Handle;
typedef enum tag {
	ONE  = 1,
	MANY = 0x40000000,
} Kind;
typedef struct Pair {
	float x, y;
	void **p;
	int z[3];
	union U {
	Kind k;
	} u;
} __attribute__((aligned(8))) Pair;
typedef void (*Call)(void *data);
CUresult CUDAAPI cuFoo(int a);
`
	var got []string
	for _, i := range declared(text, "cuda") {
		got = append(got, i.String())
	}
	want := []string{
		"value MAX", "type Handle", "value ONE", "value MANY", "type Kind", "type Pair", "field Pair.x", "field Pair.y",
		"field Pair.p", "field Pair.z", "field Pair.u.k", "field Pair.u", "type Call",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// A change in any kind of declaration is found, and only that: the tree is copied, changed, and compared with itself.
func TestChangesAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("compiling the headers several times takes too long for -short")
	}
	if _, err := exec.LookPath(cxx()); err != nil {
		t.Skipf("no C++ compiler: %v", err)
	}
	items := ourItems(t)
	ours := answersOf(t, items, nil)
	theirs := answersOf(t, items, map[string]string{
		"CUDA_ERROR_NO_DEVICE                      = 100":              "CUDA_ERROR_NO_DEVICE                      = 101",
		"#define CUDNN_DIM_MAX           8":                            "#define CUDNN_DIM_MAX           9",
		"\tCUDNN_POOLING_MAX_DETERMINISTIC             = 3,\n":         "",
		"#define cuMemFree cuMemFree_v2":                               "#define cuMemFree cuMemFree_v3",
		"typedef uint64_t cuuint64_t;":                                 "typedef uint32_t cuuint64_t;",
		"\tint textureAlign;":                                          "\tint texturePad;\n\tint textureAlign;",
		"cudnnSetStream(cudnnHandle_t handle, cudaStream_t streamId);": "cudnnSetStream(cudnnHandle_t handle);",
	})
	var got []string
	for _, d := range compare(items, ours, theirs, map[string]string{"cuda": "cuda", "cudnn": "cudnn"}) {
		got = append(got, d.String())
	}
	want := []string{
		"cuda value CUDA_ERROR_NO_DEVICE 101", "cudnn value CUDNN_DIM_MAX 9",
		"cudnn value CUDNN_POOLING_MAX_DETERMINISTIC missing", "cuda symbol cuMemFree cuMemFree_v3",
		"cuda function cuMemFree_v2 missing", // the symbol that the changed macro no longer names
		"cuda function cuStreamGetCaptureInfo_v2 cudaError_enum(CUstream_st*, CUstreamCaptureStatus_enum*, unsigned int*, " +
			"CUgraph_st**, CUgraphNode_st* const**, long unsigned int*)",
		"cuda type cuuint64_t unsigned int, size 4, alignment 4",
		"cuda type CUdevprop CUdevprop_st, size 60, alignment 4", "cuda field CUdevprop.textureAlign int at 56",
		"cudnn function cudnnSetStream cudnnStatus_t(cudnnContext*)",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// answersOf asks our headers after texts in them were replaced.
func answersOf(t *testing.T, items []item, changes map[string]string) map[string]string {
	t.Helper()
	folder := t.TempDir()
	left := maps.Clone(changes)
	for _, h := range headers {
		bytes, err := os.ReadFile(filepath.Join("..", "include", h.file))
		if err != nil {
			t.Fatal(err)
		}
		text := string(bytes)
		for from, to := range changes {
			if strings.Contains(text, from) {
				text = strings.ReplaceAll(text, from, to)
				delete(left, from)
			}
		}
		if err := os.WriteFile(filepath.Join(folder, h.file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for from := range left {
		t.Fatalf("no header has %q", from)
	}
	answers, err := probe{cxx(), []string{"-I", folder}}.answers(items)
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

func TestUnexplained(t *testing.T) {
	known := []difference{{"cuda-1", "value A", "1"}, {"cuda-1", "value B", "missing"}, {"cuda-2", "value A", "1"}}
	found := []difference{{"cuda-1", "value A", "1"}, {"cuda-1", "value C", "2"}}
	got := unexplained(found, known, []string{"cuda-1"}, "ours", map[string]string{"value C": "3"})
	want := []string{
		"cuda-1 value C 2, but ours: 3", "cuda-1 value B missing: listed as a known difference, but not so",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPatternsCover(t *testing.T) {
	known := []difference{{"simulator", "pooling 2,[13],*", "refused"}, {"simulator", "filter ?", "refused"}}
	found := []difference{
		{"simulator", "pooling 2,1,1", "refused"}, {"simulator", "pooling 2,3,7", "refused"},
		{"simulator", "pooling 2,2,7", "refused"}, {"simulator", "pooling 2,3,8", "SUCCESS"},
	}
	got := unexplained(found, known, []string{"simulator"}, "cudnn", nil)
	want := []string{
		"simulator pooling 2,2,7 refused, but cudnn: ", "simulator pooling 2,3,8 SUCCESS, but cudnn: ",
		"simulator filter ? refused: listed as a known difference, but not so",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTranscripts(t *testing.T) {
	want := readTranscript("a 1\tSUCCESS x\nb 1\tBAD_PARAM\nc 1\tNOT_SUPPORTED\nstatusName 1\tA\n")
	got := readTranscript("a 1\tSUCCESS y\nb 1\tNOT_SUPPORTED\nd 1\tSUCCESS\nstatusName 1\tB\n")
	exact := []difference{
		{"simulator", "a 1", "SUCCESS y"}, {"simulator", "b 1", "NOT_SUPPORTED"}, {"simulator", "c 1", "missing"},
		{"simulator", "statusName 1", "B"}, {"simulator", "d 1", "SUCCESS"},
	}
	if found := got.differences(want, "simulator"); !slices.Equal(found, exact) {
		t.Errorf("exactly: %v", found)
	}
	plain := got.withoutReasons().differences(want.withoutReasons(), "simulator")
	if !slices.Equal(plain, slices.Delete(exact, 1, 2)) { // both refuse b
		t.Errorf("without reasons: %v", plain)
	}
	if found := got.differences(want, "cudnn-8.9"); slices.ContainsFunc(found, func(d difference) bool {
		return strings.HasPrefix(d.item, "statusName")
	}) {
		t.Errorf("statuses of 8 and 9 are compared: %v", found)
	}
}

func TestParseDifferences(t *testing.T) {
	got, err := parseDifferences("# head\n\nbecause it grew,\n  and more\n\ta-1,a-2 type T struct T, size 8\n")
	want := []difference{{"a-1", "type T", "struct T, size 8"}, {"a-2", "type T", "struct T, size 8"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, wrong := range []string{
		"\ta-1 type T missing\n", "because\n\ta-1 type T missing\n", "because x\n\n\ta-1 type T missing\n",
		"because x\n\ta-1 type T\n", "because x\n\ta type T missing\n\ta type T missing\n", "because x\nand so on\n",
	} {
		if got, err := parseDifferences(wrong); err == nil {
			t.Errorf("%q gives %v and no error", wrong, got)
		}
	}
}

func TestParseParts(t *testing.T) {
	all, err := parseParts(partsText)
	if err != nil {
		t.Fatal(err)
	}
	if len(all.sets) < 3 || len(all.packs) < len(all.sets) {
		t.Errorf("%d packages in %d sets", len(all.packs), len(all.sets))
	}
	for _, wrong := range []string{
		"check a b", "a wheel b 1.0", "a rpm b 1.0 " + strings.Repeat("0", 64), "a wheel b 1.0 00",
	} {
		if _, err := parseParts(wrong); err == nil {
			t.Errorf("%q gives no error", wrong)
		}
	}
}

// The list of known differences is about parts that are fetched and items that are compared, and whoever reads a
// function's line in functions.txt learns there that versions differ.
func TestKnownDifferencesAreAboutOurs(t *testing.T) {
	if _, err := parseDifferences(descriptorDifferences); err != nil {
		t.Error(err)
	}
	known, err := parseDifferences(differencesText)
	if err != nil {
		t.Fatal(err)
	}
	all, err := parseParts(partsText)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("..", "functions.txt"))
	if err != nil {
		t.Fatal(err)
	}
	functions, err := trampoline.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	items := ourItems(t)
	for _, d := range known {
		if !slices.ContainsFunc(all.packs, func(p pack) bool { return p.part == d.part }) {
			t.Errorf("%v: no such part", d)
		}
		if !slices.ContainsFunc(items, func(i item) bool { return i.String() == d.item }) {
			t.Errorf("%v: no such item", d)
		}
		kind, name, _ := strings.Cut(d.item, " ")
		for _, f := range functions {
			if (kind == "function" && f.Symbol == name || kind == "symbol" && f.Name == name) && f.Note == "" {
				t.Errorf("%v: functions.txt has no remark on it", d)
			}
		}
	}
}

func TestWanted(t *testing.T) {
	for _, c := range []struct{ name, what, want string }{
		{"./usr/include/cuda.h", "include", "cuda.h"},
		{"nvidia/cu13/include/crt/host_defines.h", "include", "crt/host_defines.h"},
		{"nvidia/cu13/include/cuda_fp16.hpp", "include", "cuda_fp16.hpp"},
		{"usr/include/thrust/sort.h", "include", ""},
		{"nvidia/cudnn/include/README", "include", ""},
		{"nvidia/cudnn/lib/libcudnn.so.9", "lib", "libcudnn.so.9"},
		{"nvidia/cudnn/lib/libcudnn_ops_infer.so.8", "lib", "libcudnn_ops_infer.so.8"},
		{"nvidia/cudnn/lib/libcudnn_engines_precompiled.so.9", "lib", ""},
	} {
		if got := wanted(c.name, c.what); got != c.want {
			t.Errorf("%s of %s: %q, want %q", c.what, c.name, got, c.want)
		}
	}
}
