package kernels_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/kernels/internal/ptx"
)

func TestPTXBelongsToItsSources(t *testing.T) {
	if err := ptx.Check(os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	m, err := ptx.ReadManifest(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	embedded := map[string]bool{}
	for _, module := range kernels.Modules() {
		name := "ptx/" + module.Name + ".ptx"
		embedded[name] = true
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if module.PTX() != string(text) {
			t.Errorf("module %s does not give the text of %s", module.Name, name)
		}
	}
	for name := range m.PTX {
		if !embedded[name] {
			t.Errorf("%s is no module of the package", name)
		}
	}
}

// copied returns this folder's kernels, to be changed.
func copied(t *testing.T) fstest.MapFS {
	t.Helper()
	folder := fstest.MapFS{}
	for _, pattern := range []string{"*.cu", "*.cuh", "ptx/*.ptx", ptx.ManifestName} {
		names, err := fs.Glob(os.DirFS("."), pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			folder[name] = &fstest.MapFile{Data: data}
		}
	}
	return folder
}

func TestStalePTXIsCaught(t *testing.T) {
	replace := func(name, old, new string) func(fstest.MapFS) {
		return func(folder fstest.MapFS) {
			text := string(folder[name].Data)
			if !strings.Contains(text, old) {
				t.Errorf("%s has no %q to replace", name, old)
			}
			folder[name].Data = []byte(strings.Replace(text, old, new, 1))
		}
	}
	remove := func(name string) func(fstest.MapFS) {
		return func(folder fstest.MapFS) { delete(folder, name) }
	}
	add := func(name string) func(fstest.MapFS) {
		return func(folder fstest.MapFS) { folder[name] = &fstest.MapFile{} }
	}
	for _, c := range []struct {
		name   string
		change func(fstest.MapFS)
		stale  string // what the error names
	}{
		{"source edited", replace("bias.cu", "+=", "-="), "bias.cu is not what"},
		{"header edited", replace("grid.cuh", "threadIdx", "blockIdx"), "grid.cuh is not what"},
		{"PTX edited", replace("ptx/bias.ptx", "add.f32", "sub.f32"), "ptx/bias.ptx is not what"},
		{"other flags", replace(ptx.ManifestName, `"-O3"`, `"-O2"`), "compiled with"},
		{"other version", replace(ptx.ManifestName, `"7.8"`, `"7.7"`), "the manifest says 7.7"},
		{"other target", replace(ptx.ManifestName, `"sm_75"`, `"sm_70"`), "compiled in the forms"},
		{"no bfloat16", remove("ptx/bias_bf16.ptx"), "bias.cu has no ptx/bias_bf16.ptx"},
		{"source never compiled", add("new.cu"), "new.cu has no ptx/new.ptx"},
		{"header added", add("new.cuh"), "new.cuh is not in the manifest"},
		{"source gone", remove("bias.cu"), "bias.cu is in the manifest but not there"},
		{"PTX gone", remove("ptx/bias.ptx"), "ptx/bias.ptx is in the manifest"},
		{"PTX left over", func(f fstest.MapFS) { f["ptx/old.ptx"] = f["ptx/bias.ptx"] }, "ptx/old.ptx is not"},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := copied(t)
			if err := ptx.Check(folder); err != nil {
				t.Fatalf("before the change: %v", err)
			}
			c.change(folder)
			err := ptx.Check(folder)
			if !errors.Is(err, ptx.ErrStale) || !strings.Contains(err.Error(), c.stale) {
				t.Errorf("got %v, want a stale PTX that says %q", err, c.stale)
			}
		})
	}
}

// TestPTXIsWhatTheCompilerWrites compiles anew where it can, in a folder of another name, as the text must not depend
// on it.
func TestPTXIsWhatTheCompilerWrites(t *testing.T) {
	compiler, err := ptx.FindCompiler()
	if errors.Is(err, ptx.ErrMissing) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	m, err := ptx.ReadManifest(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	if compiler.Version != m.Compiler {
		t.Skipf("nvcc is %s, the PTX was made by %s", compiler.Version, m.Compiler)
	}
	folder := filepath.Join(t.TempDir(), "another folder")
	if err := os.CopyFS(folder, copied(t)); err != nil {
		t.Fatal(err)
	}
	for source := range m.Sources {
		if path.Ext(source) != ".cu" {
			continue
		}
		for _, form := range ptx.Forms {
			name := ptx.OutputName(source, form)
			if m.PTX[name] == "" {
				continue
			}
			got, err := compiler.Compile(folder, source, form)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("%s is not what nvcc makes of %s: run make ptx", name, source)
			}
		}
	}
}

func TestPTXAssembles(t *testing.T) {
	ptxas, err := ptx.Find("ptxas")
	if errors.Is(err, ptx.ErrMissing) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	for _, module := range kernels.Modules() {
		file := filepath.Join("ptx", module.Name+".ptx")
		for _, architecture := range ptx.Architectures(file) {
			usages, err := ptx.Assemble(ptxas, file, architecture)
			if err != nil {
				t.Error(err)
			}
			for _, u := range usages {
				if u.SpillStores+u.SpillLoads > 0 {
					t.Errorf("%s spills registers on %s: %+v", u.Kernel, architecture, u)
				}
			}
		}
	}
}

// compare returns how a module's signatures differ from the entries of a PTX text.
func compare(module kernels.Module, text string) ([]string, error) {
	parsed, err := ptx.Parse(text)
	if err != nil {
		return nil, err
	}
	var problems []string
	entries := map[string]ptx.Entry{}
	for _, e := range parsed.Entries {
		entries[e.Name] = e
	}
	for _, k := range module.Kernels {
		e, ok := entries[k.Name]
		delete(entries, k.Name)
		var params []string
		for _, p := range k.Params {
			params = append(params, p.PTX())
		}
		switch {
		case !ok:
			problems = append(problems, k.Name+": no such entry")
		case !slices.Equal(e.Params, params):
			problems = append(problems, fmt.Sprintf("%s: parameters %v, in Go %v", k.Name, e.Params, params))
		case e.MaxThreads != k.MaxThreads:
			problems = append(problems, fmt.Sprintf("%s: %d threads, in Go %d", k.Name, e.MaxThreads, k.MaxThreads))
		}
	}
	for name := range entries {
		problems = append(problems, name+": no signature in Go")
	}
	return problems, nil
}

func TestSignaturesAreThoseOfThePTX(t *testing.T) {
	for _, module := range kernels.Modules() {
		problems, err := compare(module, module.PTX())
		if err != nil || len(problems) > 0 {
			t.Errorf("%s: %v %q", module.Name, err, problems)
		}
	}
}

func TestWrongSignaturesAreCaught(t *testing.T) {
	module := kernels.Modules()[slices.IndexFunc(kernels.Modules(), func(m kernels.Module) bool { return m.Name == "bias" })]
	for _, c := range []struct{ old, new string }{
		{".param .u64 bias_add_param_1", ".param .u32 bias_add_param_1"},
		{".param .u64 bias_add_param_0,", ""},
		{".entry bias_add(", ".entry bias_sub("},
		{".maxntid 256", ".maxntid 512"},
		{".visible .entry bias_add(", ".visible .entry extra() { ret; }\n.visible .entry bias_add("},
	} {
		text := strings.Replace(module.PTX(), c.old, c.new, 1)
		if problems, err := compare(module, text); err != nil || len(problems) == 0 {
			t.Errorf("%q for %q: %v %q", c.new, c.old, err, problems)
		}
	}
}

// TestConvolutionsLimits compares what conv.cu has room for with what Filtering.Chunk gives it.
func TestConvolutionsLimits(t *testing.T) {
	source, err := os.ReadFile("conv.cu")
	if err != nil {
		t.Fatal(err)
	}
	limits := map[string]uint64{}
	for _, m := range regexp.MustCompile(`constexpr uint32_t (\w+) = (\d+);`).FindAllStringSubmatch(string(source), -1) {
		if limits[m[1]], err = strconv.ParseUint(m[2], 10, 32); err != nil {
			t.Fatal(err)
		}
	}
	filters, values, taps := uint32(limits["FILTERS"]), uint32(limits["MOST_VALUES"]), uint32(limits["MOST_TAPS"])
	if filters == 0 || values == 0 || taps%32 != 0 || !strings.Contains(string(source), fmt.Sprintf("part.sum<%d>", taps/32)) {
		t.Fatalf("conv.cu's limits are %v", limits)
	}
	for kernel := range int32(20) {
		for out := range uint32(60) {
			f := kernels.Filtering{Filters: 3, Channels: 200, H: 50, W: 50, KernelH: kernel, KernelW: kernel}
			chunk := f.Chunk(out, out)
			rows := 2*out + uint32(kernel) - 1
			if chunk > 0 && (kernel == 0 || out == 0 || chunk*rows*rows > values || chunk*uint32(kernel*kernel) > taps) {
				t.Errorf("%d channels with filters of %d and %d windows have no room", chunk, kernel, out)
			}
		}
	}
	if f := (kernels.Filtering{Filters: 32, Channels: 1, H: 28, W: 28, KernelH: 5, KernelW: 5, Top: 2, Left: 2}); f.Chunk(14, 14) != 1 || !f.Few() {
		t.Error("the tutorial's first convolution has no room")
	}
	const many = 1 << 20
	for name, k := range map[string]kernels.ConvBiasReLUPool{
		"no images":    {Filtering: kernels.Filtering{Filters: 1, Channels: 1, H: 2, W: 2, KernelH: 1, KernelW: 1}},
		"many images":  {Batch: many, Filtering: kernels.Filtering{Filters: 1, Channels: many, H: 2, W: 2, KernelH: 1, KernelW: 1}},
		"many values":  {Batch: many, Filtering: kernels.Filtering{Filters: many, Channels: 1, H: 2, W: 2, KernelH: 1, KernelW: 1}},
		"many weights": {Batch: 1, Filtering: kernels.Filtering{Filters: many, Channels: many, H: 2, W: 2, KernelH: 1, KernelW: 1}},
	} {
		k.Y, k.X = kernels.Float32.At(16), kernels.Float32.At(16)
		k.Mask, k.Weight, k.Bias, k.MadeH, k.MadeW, k.OutH, k.OutW, k.Chunk = 16, 16, 16, 2, 2, 1, 1, 1
		if _, err := k.Launch(kernels.Device{Multiprocessors: 1, ThreadsPerMultiprocessor: 1024, ThreadsPerBlock: 1024}); err == nil {
			t.Errorf("%s: launched", name)
		}
	}
}

// TestActivationFunctions compares the table of functions in Go with that of activation.cu.
func TestActivationFunctions(t *testing.T) {
	source, err := os.ReadFile("activation.cu")
	if err != nil {
		t.Fatal(err)
	}
	var table []kernels.ActivationFunction
	for i, m := range regexp.MustCompile(`(?m)^  FUNCTION\((\d+), (\w+), .*, +([xy]), `).FindAllStringSubmatch(string(source), -1) {
		if m[1] != strconv.Itoa(i) {
			t.Errorf("%s has number %s, not %d", m[2], m[1], i)
		}
		table = append(table, kernels.ActivationFunction{Name: m[2], Number: uint32(i), ReadsOutput: m[3] == "y"})
	}
	inGo := kernels.ActivationFunctions()
	for i := range min(len(table), len(inGo)) {
		table[i].InCuDNN = inGo[i].InCuDNN // of which the kernels know nothing
	}
	if !slices.Equal(table, inGo) {
		t.Errorf("activation.cu has %+v, activation.go %+v", table, inGo)
	}
	for _, f := range table {
		if found, ok := kernels.FindActivation(f.Name); !ok || found != f {
			t.Errorf("%s is %+v, %v", f.Name, found, ok)
		}
	}
	if f, ok := kernels.FindActivation("none"); ok {
		t.Errorf("there is a function %+v", f)
	}
	k := kernels.Activation{Y: kernels.Float32.At(16), X: kernels.Float32.At(16), Count: 1, Function: uint32(len(table))}
	if _, err := k.Launch(kernels.Device{Multiprocessors: 1, ThreadsPerMultiprocessor: 1024, ThreadsPerBlock: 1024}); err == nil {
		t.Error("a function that there is not was launched")
	}
}

var prototype = regexp.MustCompile(`extern "C" __global__ void(?:\s+__launch_bounds__\(\d+(?:, \d+)?\))?\s+(\w+)\(([^)]*)\)`)

// parametersMacro is a macro for the parameters of several kernels of a source.
var parametersMacro = regexp.MustCompile(`(?m)^#define PARAMETERS +((?:.*\\\n)+.*)$`)

// expanded returns a source with the macro's text wherever it is used.
func expanded(source string) string {
	m := parametersMacro.FindStringSubmatch(source)
	if m == nil {
		return source
	}
	return strings.ReplaceAll(source, "(PARAMETERS)", "("+strings.ReplaceAll(m[1], "\\\n", "\n")+")")
}

// cuType returns how our .cu files spell a parameter's type, without const and __restrict__.
func cuType(t reflect.Type) string {
	name := map[reflect.Kind]string{
		reflect.Float32: "float", reflect.Int32: "int32_t", reflect.Uint32: "uint32_t", reflect.Uint64: "uint64_t",
		reflect.Uint8: "uint8_t", reflect.Uint16: "uint16_t", reflect.Float64: "double",
	}
	if t == reflect.TypeFor[kernels.Values]() {
		return "Value *"
	}
	if p, ok := reflect.Zero(t).Interface().(interface{ Element() reflect.Type }); ok {
		if e := p.Element(); e.Kind() == reflect.Struct || e == reflect.TypeFor[kernels.BFloat16]() {
			return e.Name() + " *"
		}
		return name[p.Element().Kind()] + " *"
	}
	return name[t.Kind()]
}

// PTX writes all pointers alike, so the order of two of them can only be seen in the source.
func TestSignaturesAreThoseOfTheSource(t *testing.T) {
	for _, module := range kernels.Modules() {
		source, err := os.ReadFile(module.Source)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for _, m := range prototype.FindAllStringSubmatch(expanded(string(source)), -1) {
			var params []string
			for p := range strings.SplitSeq(m[2], ",") {
				p = strings.NewReplacer("const ", "", "__restrict__ ", "").Replace(p)
				params = append(params, strings.Join(strings.Fields(p), " "))
			}
			found[m[1]] = strings.Join(params, ", ")
		}
		if len(found) != len(module.Kernels) {
			t.Errorf("%s has %d kernels, in Go it has %d", module.Source, len(found), len(module.Kernels))
		}
		for _, k := range module.Kernels {
			var params []string
			for _, p := range k.Params {
				params = append(params, strings.ReplaceAll(cuType(p.Type)+" "+p.Name, "* ", "*"))
			}
			if want := strings.Join(params, ", "); found[k.Name] != want {
				t.Errorf("%s(%s) in %s, in Go (%s)", k.Name, found[k.Name], module.Source, want)
			}
		}
	}
}
