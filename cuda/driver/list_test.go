package driver

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/cuda/driver/internal/trampoline"
)

func list(t *testing.T) []trampoline.Function {
	t.Helper()
	text, err := os.ReadFile("functions.txt")
	if err != nil {
		t.Fatal(err)
	}
	functions, err := trampoline.Parse(string(text))
	if err != nil {
		t.Fatal("functions.txt: ", err)
	}
	return functions
}

func header(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("include", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestGeneratedFilesAreCurrent(t *testing.T) {
	files, err := trampoline.Files(list(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		have, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, want) {
			t.Errorf("%s is not what go generate writes from functions.txt", name)
		}
	}
}

func TestArchivesAreEmpty(t *testing.T) {
	for _, name := range []string{"libcuda.a", "libcudnn.a", "libcublas.a"} {
		text, err := os.ReadFile(filepath.Join("link", name))
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != "!<arch>\n" {
			t.Errorf("%s is not an archive without members: %q", name, text)
		}
	}
}

// The headers and the list say the same: every function once in each, in its library, under the same symbol.
func TestHeadersDeclareTheList(t *testing.T) {
	declaration := regexp.MustCompile(`(?m)^[A-Za-z][\w *]*?(?:CUDAAPI|CUDNNWINAPI|CUBLASWINAPI|NCCLAPI) (\w+)\(`)
	macro := regexp.MustCompile(`(?m)^#define (cu\w+) (cu\w+)$`)
	for library, files := range map[string][]string{
		"cuda": {"cuda.h", "cudaProfiler.h"}, "cudnn": {"cudnn.h"}, "cublas": {"cublas_v2.h"},
		"cublaslt": {"cublasLt.h"}, "nccl": {"nccl.h"},
	} {
		symbols := map[string]string{}
		for _, file := range files {
			text := header(t, file)
			for _, m := range declaration.FindAllStringSubmatch(text, -1) {
				if symbols[m[1]] != "" {
					t.Errorf("%s declares %s twice", file, m[1])
				}
				symbols[m[1]] = m[1]
			}
			for _, m := range macro.FindAllStringSubmatch(text, -1) {
				if symbols[m[1]] == "" {
					t.Errorf("%s renames %s, which it doesn't declare", file, m[1])
				}
				symbols[m[1]] = m[2]
			}
		}
		for _, f := range list(t) {
			if f.Library != library {
				continue
			}
			if got := symbols[f.Name]; got != f.Symbol {
				t.Errorf("%s: the list says symbol %s, the header %q", f.Name, f.Symbol, got)
			}
			delete(symbols, f.Name)
		}
		for name := range symbols {
			t.Errorf("%s is declared but not in the list", name)
		}
	}
}

// The tables of status names are the headers' enumerations.
func TestStatusNamesAreTheHeaders(t *testing.T) {
	enum := func(file, end string) string {
		text := header(t, file)
		stop := strings.Index(text, "} "+end+";")
		if stop < 0 {
			t.Fatalf("%s has no %s", file, end)
		}
		return text[strings.LastIndex(text[:stop], "typedef enum"):stop]
	}
	value := regexp.MustCompile(`(?m)^\t(\w+)\s+= (\d+),$`)
	check := func(what, body string, names map[int]string, low, high int) {
		byCode := map[int][]string{}
		for _, m := range value.FindAllStringSubmatch(body, -1) {
			code, err := strconv.Atoi(m[2])
			if err != nil {
				t.Fatal(err)
			}
			byCode[code] = append(byCode[code], m[1])
		}
		if len(byCode) < 8 {
			t.Fatalf("%s: only %d codes read from the header", what, len(byCode))
		}
		for code, alternatives := range byCode {
			sort.Strings(alternatives)
			if i := sort.SearchStrings(alternatives, names[code]); i == len(alternatives) || alternatives[i] != names[code] {
				t.Errorf("%s %d is %q, the header says %v", what, code, names[code], alternatives)
			}
		}
		for code, name := range names {
			if code >= low && code < high && byCode[code] == nil {
				t.Errorf("%s has %s = %d, the header hasn't", what, name, code)
			}
		}
	}
	check("CUresult", enum("cuda.h", "CUresult"), resultNames, 0, 1<<30)
	check("cublasStatus_t", enum("cublas_v2.h", "cublasStatus_t"), blasNames, 0, 1<<30)
	check("ncclResult_t", enum("nccl.h", "ncclResult_t"), ncclNames, 0, 1<<30)
	nine, eight, found := strings.Cut(enum("cudnn.h", "cudnnStatus_t"), "#else")
	if !found {
		t.Fatal("cudnnStatus_t has no second version")
	}
	check("cudnnStatus_t of 9", nine, dnnNames, 1000, 1<<30)
	check("cudnnStatus_t of 8", eight, dnnNames, 0, 1000)
}

func TestEveryKindHasSymbolsThatAreRequired(t *testing.T) {
	required := map[Kind]int{}
	for _, s := range symbols {
		if s.required {
			required[s.kind]++
		}
	}
	for _, k := range Kinds {
		if required[k] == 0 {
			t.Errorf("%v: nothing is required", k)
		}
	}
}
