package ptx

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const twoEntries = `// .entry in_a_comment(
.version 7.8
.target sm_75, debug /* .entry
in_another( */
.address_size 64
.visible .entry first(
	.param .u64 first_param_0,
	.param .u64 .ptr .global .align 4 first_param_1,
	.param .align 8 .b8 first_param_2[24],
	.param .f32 first_param_3
)
.maxntid 64, 4, 1
.minnctapersm 2
{
	ret;
}
.func helper(.param .b32 x) { ret; }
.entry second()
{
	ret;
}
.entry third
{
	ret;
}
`

func TestParse(t *testing.T) {
	got, err := Parse(twoEntries)
	want := Text{Version: "7.8", Target: "sm_75", Entries: []Entry{
		{Name: "first", Params: []string{"u64", "u64", "b8[24]", "f32"}, MaxThreads: 256}, {Name: "second"}, {Name: "third"},
	}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"empty":             "",
		"no version":        ".target sm_75\n",
		"no target":         ".version 7.8\n",
		"unknown parameter": strings.Replace(twoEntries, ".param .f32", ".parameter .f32", 1),
		"cut short":         twoEntries[:strings.Index(twoEntries, ".maxntid")],
		"too many threads":  strings.Replace(twoEntries, "maxntid 64", "maxntid 99999999999999999999", 1),
	} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%s: got %+v and no error", name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(twoEntries)
	f.Fuzz(func(t *testing.T, source string) {
		text, err := Parse(source)
		if err == nil && (text.Version == "" || text.Target == "") {
			t.Errorf("no error, but %+v", text)
		}
	})
}

func TestNewer(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"7.8", "7.8", false}, {"7.9", "7.8", true}, {"8.0", "7.8", true}, {"7.10", "7.8", true}, {"6.9", "7.8", false}} {
		if got, err := Newer(c.a, c.b); err != nil || got != c.want {
			t.Errorf("Newer(%s, %s) = %v, %v", c.a, c.b, got, err)
		}
	}
	if _, err := Newer("seven", "7.8"); err == nil {
		t.Error("no error for a version that is none")
	}
}

// PTX that a supported driver could not load is refused even where the manifest agrees with it.
func TestCheckRefusesWhatCannotBeLoaded(t *testing.T) {
	check := func(version, target string) error {
		text := ".version " + version + "\n.target " + target + "\n"
		forms, err := json.Marshal(Forms)
		if err != nil {
			t.Fatal(err)
		}
		manifest := `{"flags": ["` + strings.Join(Flags, `", "`) + `"], "version": "` + version + `", "forms": ` + string(forms) +
			`, "sources": {"a.cu": "` + sum(nil) + `"}, "ptx": {"ptx/a.ptx": "` + sum([]byte(text)) + `"}}`
		return Check(fstest.MapFS{
			"a.cu": {}, "ptx/a.ptx": {Data: []byte(text)}, ManifestName: {Data: []byte(manifest)},
		})
	}
	if err := check("7.8", "sm_75"); err != nil {
		t.Error(err)
	}
	if err := check("8.0", "sm_75"); err == nil || !strings.Contains(err.Error(), "at most 7.8") {
		t.Errorf("PTX 8.0: %v", err)
	}
	if err := check("7.8", "sm_80"); err == nil || !strings.Contains(err.Error(), "target sm_80") {
		t.Errorf("sm_80: %v", err)
	}
}

func TestWithoutMachine(t *testing.T) {
	const text = "\t.file\t1 \"/home/someone/kernels/bias.cu\", 1700000000, 5\n" +
		"call _ZN37_INTERNAL_56aaa7f7_7_bias_cu_bias_add3minEmm\n" +
		".b8 95,73,78,84,69,82,78,65,76,95,53,54,97\n.b8 97,97,55,102,55,95,55,0\n"
	const want = "\t.file\t1 \"bias.cu\"\n" +
		"call _ZN37_INTERNAL_00000000_7_bias_cu_bias_add3minEmm\n" +
		".b8 95,73,78,84,69,82,78,65,76,95,48,48,48\n.b8 48,48,48,48,48,95,55,0\n"
	if got := string(withoutMachine([]byte(text))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestParseUsage(t *testing.T) {
	const out = `ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'a' for 'sm_75'
ptxas info    : Function properties for a
    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 26 registers, 1024 bytes smem, 384 bytes cmem[0]
ptxas info    : Compiling entry function 'b' for 'sm_75'
ptxas info    : Function properties for b
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 28 registers, 384 bytes cmem[0]
`
	got, err := parseUsage(out, "sm_75")
	want := []Usage{
		{Kernel: "a", Architecture: "sm_75", Registers: 26, SpillStores: 4, SpillLoads: 12, Stack: 8, Shared: 1024},
		{Kernel: "b", Architecture: "sm_75", Registers: 28},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, wrong := range []string{"", out[:strings.Index(out, "Used 28")]} {
		if got, err := parseUsage(wrong, "sm_75"); err == nil {
			t.Errorf("got %+v and no error for\n%s", got, wrong)
		}
	}
}

func TestFind(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the stand-ins for tools are shell scripts")
	}
	folder := t.TempDir()
	script := func(path string) string {
		path = filepath.Join(folder, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\necho Cuda, release 12.3, V12.3.4\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("NVCC", "")
	t.Setenv("CUDA_HOME", filepath.Join(folder, "home"))
	t.Setenv("PATH", filepath.Join(folder, "path"))
	if _, err := Find("nvcc"); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "nvidia-cuda-toolkit") {
		t.Errorf("nothing there: %v", err)
	}
	for _, where := range []string{"home/bin/nvcc", "path/nvcc", "own"} { // each goes before the last
		want := script(where)
		if where == "own" {
			t.Setenv("NVCC", want)
		}
		if got, err := Find("nvcc"); err != nil || got != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
	if c, err := FindCompiler(); err != nil || c.Version != "release 12.3, V12.3.4" {
		t.Errorf("got %+v, %v", c, err)
	}
	t.Setenv("NVCC", filepath.Join(folder, "none"))
	if _, err := Find("nvcc"); err == nil || errors.Is(err, ErrMissing) {
		t.Errorf("NVCC names nothing: %v", err) // a wrong setting must not count as no compiler
	}
}

// A build whose compiler fails, or writes PTX that is too new, leaves what there was.
func TestBuildKeepsTheOldOnFailure(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in for nvcc is a shell script")
	}
	folder := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("a.cu", "", 0o644)
	old := write("ptx/a.ptx", "old", 0o644)
	orphan := write("ptx/orphan.ptx", "old", 0o644)
	nvcc := func(end string) {
		t.Setenv("NVCC", write("nvcc", "#!/bin/sh\n[ \"$1\" = --version ] && { echo release 1.2, V1.2.3; exit 0; }\n"+
			"for output; do :; done\n"+end, 0o755))
	}
	for _, c := range []struct{ end, want string }{
		{"echo bad code; exit 2", "bad code"},
		{`printf '.version 8.4\n.target sm_75\n' >"$output"`, "at most 7.8"},
		{`printf '.version 7.8\n.target sm_90\n' >"$output"`, "target sm_90"},
	} {
		nvcc(c.end)
		if err := Build(folder); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
		if text, err := os.ReadFile(old); err != nil || string(text) != "old" {
			t.Errorf("%s: the old PTX is %q, %v", c.want, text, err)
		}
	}
	nvcc(`printf '.version 7.8\n.target sm_75\n' >"$output"`)
	if err := Build(folder); err != nil {
		t.Fatal(err)
	}
	if err := Check(os.DirFS(folder)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(orphan); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("PTX without a source is still there: %v", err)
	}
}
