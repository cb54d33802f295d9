package trampoline

import (
	"strings"
	"testing"
)

const small = `# a comment
library cuda
cuInit      -              required  own
cuMemAlloc  cuMemAlloc_v2  required  status

library cudnn
cudnnGetVersion - optional number since ever
`

func TestParse(t *testing.T) {
	got, err := Parse(small)
	if err != nil {
		t.Fatal(err)
	}
	want := []Function{
		{"cuInit", "cuInit", "cuda", true, "own", ""},
		{"cuMemAlloc", "cuMemAlloc_v2", "cuda", true, "status", ""},
		{"cudnnGetVersion", "cudnnGetVersion", "cudnn", false, "number", "since ever"},
	}
	if len(got) != len(want) {
		t.Fatalf("%d functions, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("function %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, why := range map[string]string{
		"":                                 "empty",
		"cuInit - required own":            "before the first library",
		"library x":                        "unknown library",
		"library":                          "library NAME",
		"library cuda\ncuInit - required":  "got \"cuInit",
		"library cuda\nf - perhaps status": "neither required nor optional",
		"library cuda\nf - required magic": "unknown stand-in",
		"library cuda\nf - required status\nf f_v2 required status": "listed twice",
		"library cuda\nf g required status\ng - required status":    "listed twice",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: got %v, want an error with %q", text, err, why)
		}
	}
}

func TestAssemblyJumpsThroughItsSlots(t *testing.T) {
	functions, err := Parse(small)
	if err != nil {
		t.Fatal(err)
	}
	files, err := Files(functions)
	if err != nil {
		t.Fatal(err)
	}
	// cuInit is a function of ours, so the second line has slot 0 and the third slot 1.
	for name, want := range map[string][]string{
		"trampolines_amd64.S": {
			"\ncuMemAlloc_v2:\n\tjmp *gputrain_slots+0(%rip)\n", "\ncudnnGetVersion:\n\tjmp *gputrain_slots+8(%rip)\n",
			".hidden cuMemAlloc_v2\n", "gputrain_slots:\n\t.quad gputrain_cuda_status\n\t.quad gputrain_cudnn_number\n",
		},
		"trampolines_arm64.S": {
			"\ncudnnGetVersion:\n\tadrp x16, gputrain_slots+8\n\tldr x16, [x16, :lo12:gputrain_slots+8]\n\tbr x16\n",
		},
		"symbols.go": {`{"cuMemAlloc_v2", Driver, true},`, `{"cudnnGetVersion", DNN, false},`},
	} {
		text := string(files[name])
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s lacks %q:\n%s", name, w, text)
			}
		}
		if strings.Contains(text, "cuInit") {
			t.Errorf("%s has a trampoline for cuInit", name)
		}
	}
}
