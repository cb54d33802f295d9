//go:build cuda && cgo && linux && (amd64 || arm64)

package driver_test

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/cuda/driver/internal/trampoline"

	// That this test's program links and starts shows that the headers, the trampolines and the empty archives are
	// all that gorgonia's packages need.
	"gorgonia.org/cu"
	"gorgonia.org/cu/blas"
	cudnn "gorgonia.org/cu/dnn"
)

// The libraries fill the slots of a process once, so what a machine would say is asked of a process of its own: this
// program, started anew with childVariable set to what it shall do.
const childVariable = "GPUTRAIN_DRIVER_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case "":
		os.Exit(m.Run())
	case "describe":
		fmt.Print(driver.Describe())
	case "call":
		call()
	}
}

// call uses gorgonia's packages with whatever libraries there are.
func call() {
	l := driver.Describe()
	_, err := cu.GetDevice(0)
	fmt.Println("cu.GetDevice:", err)
	_, err = cu.MemAlloc(16)
	fmt.Println("cu.MemAlloc:", err)
	_, err = cudnn.NewOp(cudnn.TensorAdd, cudnn.Float, cudnn.PropagateNan)
	fmt.Println("cudnn.NewOp:", err)
	_, err = cu.MemAllocManaged(16, cu.AttachGlobal)
	fmt.Println("cu.MemAllocManaged:", err)
	_, err = cudnn.NewLRN(5, 1, 1, 1)
	fmt.Println("cudnn.NewLRN:", err)
	var h cublas.Standard
	fmt.Println("cublas.Init:", h.Init())
	fmt.Println("cu.Version:", cu.Version())
	again, err := driver.Open()
	fmt.Println("opened:", again != nil, err != nil)
	fmt.Println("same:", l.Driver.Path == driver.Describe().Driver.Path)
}

func child(t *testing.T, do string, env ...string) string {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, driver.SearchVariable+"=") || strings.HasPrefix(v, "LD_LIBRARY_PATH=")
	}), append(env, childVariable+"="+do, "GORACE=atexit_sleep_ms=0")...) // the race detector waits a second at exit
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func functions(t *testing.T) []trampoline.Function {
	t.Helper()
	text, err := os.ReadFile("functions.txt")
	if err != nil {
		t.Fatal(err)
	}
	f, err := trampoline.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func compile(t *testing.T, out, source string, args ...string) {
	t.Helper()
	compileWith(t, "gcc", out, source, args...)
}

func compileWith(t *testing.T, gcc, out, source string, args ...string) {
	t.Helper()
	file := out + ".c"
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-O1", "-Wall", "-Werror", "-Wno-builtin-declaration-mismatch", "-o", out, file}, args...)
	if text, err := exec.Command(gcc, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", gcc, err, text)
	}
}

// fake is a library with chosen functions, each of which returns 0.
type fake struct {
	file    string            // libcuda.so.1, ...
	library string            // cuda, ...
	bodies  map[string]string // the whole definition of some functions, instead
	without []string          // symbols to leave out
}

func (f fake) build(t *testing.T, dir string) {
	t.Helper()
	var b strings.Builder
	for _, fn := range functions(t) {
		switch {
		case fn.Library != f.library || slices.Contains(f.without, fn.Symbol):
		case f.bodies[fn.Symbol] != "":
			b.WriteString(f.bodies[fn.Symbol] + "\n")
		default:
			fmt.Fprintf(&b, "int %s(void) { return 0; }\n", fn.Symbol)
		}
	}
	compile(t, filepath.Join(dir, f.file), b.String(), "-shared", "-fPIC", "-Wl,-soname,"+f.file)
}

func cudaLibrary(version int) fake {
	return fake{"libcuda.so.1", "cuda", map[string]string{
		"cuDriverGetVersion": fmt.Sprintf("int cuDriverGetVersion(int *v) { *v = %d; return 0; }", version),
		"cuDeviceGetCount":   "int cuDeviceGetCount(int *n) { *n = 2; return 0; }",
		"cuDeviceGet":        "int cuDeviceGet(int *d, int i) { *d = i; return 0; }",
		"cuDeviceGetName": `int cuDeviceGetName(char *s, int n, int d) {
			const char *name = d ? "Old One" : "New One"; for (int i = 0; i < n && (s[i] = name[i]); i++); return 0; }`,
		"cuDeviceTotalMem_v2":  "int cuDeviceTotalMem_v2(unsigned long *b, int d) { *b = 16ul << 30; return 0; }",
		"cuDeviceGetPCIBusId":  "int cuDeviceGetPCIBusId(char *s, int n, int d) { s[0] = 'P'; s[1] = 0; return 0; }",
		"cuDeviceGetAttribute": "int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? (d ? 6 : 9) : a == 76 ? 1 : a == 16 ? 40 : 0; return 0; }",
	}, nil}
}

func dnnLibrary(file string, version, cuda int) fake {
	return fake{file, "cudnn", map[string]string{
		"cudnnGetVersion":       fmt.Sprintf("unsigned long cudnnGetVersion(void) { return %d; }", version),
		"cudnnGetCudartVersion": fmt.Sprintf("unsigned long cudnnGetCudartVersion(void) { return %d; }", cuda),
	}, []string{"cudnnGetLastErrorString"}}
}

func blasLibrary(file string, major int) fake {
	return fake{file, "cublas", map[string]string{
		"cublasGetProperty": fmt.Sprintf("int cublasGetProperty(int p, int *v) { *v = p == 0 ? %d : p; return 0; }", major),
	}, nil}
}

func ltLibrary(file string, major int) fake {
	return fake{file, "cublaslt", map[string]string{
		"cublasLtGetProperty": fmt.Sprintf("int cublasLtGetProperty(int p, int *v) { *v = p == 0 ? %d : p; return 0; }", major),
	}, nil}
}

func ncclLibrary(version int) fake {
	return fake{"libnccl.so.2", "nccl", map[string]string{
		"ncclGetVersion": fmt.Sprintf("int ncclGetVersion(int *v) { *v = %d; return 0; }", version),
	}, nil}
}

// Every trampoline, called with no library loaded, comes back with its library's own status; and again with the status
// that the loader sets for a function that a loaded library lacks.
func TestEveryTrampolineAnswersWithoutALibrary(t *testing.T) {
	t.Run(runtime.GOARCH, func(t *testing.T) { callEvery(t, runtime.GOARCH, "gcc") })
	if runtime.GOARCH != "arm64" {
		t.Run("arm64", func(t *testing.T) {
			for _, tool := range []string{"aarch64-linux-gnu-gcc", "qemu-aarch64"} {
				if _, err := exec.LookPath(tool); err != nil {
					t.Skip("no ", tool)
				}
			}
			callEvery(t, "arm64", "aarch64-linux-gnu-gcc", "qemu-aarch64")
		})
	}
}

// callEvery compiles a program that calls every function, and runs it, with an emulator if one is named.
func callEvery(t *testing.T, goarch, gcc string, emulator ...string) {
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n#include \"standin.h\"\n")
	for _, f := range functions(t) {
		if f.StandIn == "text" {
			fmt.Fprintf(&b, "const char *%s();\n", f.Symbol)
		} else {
			fmt.Fprintf(&b, "long %s();\n", f.Symbol)
		}
	}
	b.WriteString(`int main(void) {
	char space[256];
	for (int pass = 0; pass < 2; pass++) {
		if (pass) gputrain_standin = (struct gputrain_standin_status){801, 3000, 15, 15, 5};
`)
	for _, f := range functions(t) {
		// Sixteen arguments reach past the registers onto the stack, as the longest functions do.
		args := strings.TrimSuffix(strings.Repeat("space, ", 16), ", ")
		switch f.StandIn {
		case "text":
			fmt.Fprintf(&b, "\t\tprintf(\"%s %%s\\n\", %s(%s));\n", f.Symbol, f.Symbol, args)
		case "number":
			fmt.Fprintf(&b, "\t\tprintf(\"%s %%ld\\n\", %s(%s));\n", f.Symbol, f.Symbol, args)
		case "message":
			fmt.Fprintf(&b, "\t\tspace[0] = 'x'; %s(space, sizeof space); printf(\"%s '%%s'\\n\", space);\n", f.Symbol, f.Symbol)
		case "name":
			fmt.Fprintf(&b, "\t\t{ const char *s = space; int r = (int)%s(1, &s); printf(\"%s %%d %%d\\n\", r, s == NULL); }\n", f.Symbol, f.Symbol)
		default:
			fmt.Fprintf(&b, "\t\tprintf(\"%s %%d\\n\", (int)%s(%s));\n", f.Symbol, f.Symbol, args)
		}
	}
	b.WriteString("\t}\n\treturn 0;\n}\n")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "every")
	compileWith(t, gcc, program, b.String(), "-static", "-I"+here, "-I"+filepath.Join(here, "include"), filepath.Join(here, "standin.c"),
		filepath.Join(here, "trampolines_"+goarch+".S"))
	command := append(emulator, program)
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	list := functions(t)
	if len(lines) != 2*len(list) {
		t.Fatalf("%d answers of %d", len(lines), 2*len(list))
	}
	status := []map[string]string{{"cuda": "3", "cudnn": "1", "cublas": "1", "cublaslt": "1", "nccl": "5"},
		{"cuda": "801", "cudnn": "3000", "cublas": "15", "cublaslt": "15", "nccl": "5"}}
	text := map[string]string{
		"cudnn":  "cuDNN is not loaded or lacks this function",
		"cublas": "cuBLAS is not loaded or lacks this function",
	}
	for i, line := range lines {
		f := list[i%len(list)]
		answer := status[i/len(list)][f.Library]
		want := map[string]string{
			"status": answer, "number": "0", "text": text[f.Library], "name": answer + " 1", "message": "''", "own": "0",
		}[f.StandIn]
		if line != f.Symbol+" "+want {
			t.Errorf("got %q, want %q", line, f.Symbol+" "+want)
		}
	}
}

func TestStartsWithoutAnyLibrary(t *testing.T) {
	empty := t.TempDir()
	out := child(t, "describe", driver.SearchVariable+"="+empty)
	for _, want := range []string{
		"not usable:  CUDA driver: library not found: looked for libcuda.so.1 in GPUTRAIN_CUDA_LIBS=" + empty,
		"not usable:  cuDNN: library not found: looked for libcudnn.so.9, libcudnn.so.8 in ",
		"not usable:  cuBLAS: library not found: looked for libcublas.so.13, libcublas.so.12, libcublas.so.11 in ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	out = child(t, "call", driver.SearchVariable+"="+empty)
	for _, want := range []string{
		"cu.GetDevice: NotInitialized\n", "cu.MemAlloc: NotInitialized\n", "cudnn.NewOp: NotInitialized\n",
		"cublas.Init: Failed to initialize Standard implementation of CUBLAS: NotInitialized\n", "cu.Version: -1\n",
		"opened: false true\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("gorgonia's packages: lacks %q:\n%s", want, out)
		}
	}
}

func TestFindsTheBest(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []fake{
		cudaLibrary(12040), dnnLibrary("libcudnn.so.9", 90100, 12040), dnnLibrary("libcudnn.so.8", 8907, 11080),
		blasLibrary("libcublas.so.13", 13), blasLibrary("libcublas.so.12", 12), blasLibrary("libcublas.so.11", 11),
		ltLibrary("libcublasLt.so.13", 13), ltLibrary("libcublasLt.so.12", 12), ncclLibrary(22103),
	} {
		f.build(t, dir)
	}
	out := child(t, "describe", driver.SearchVariable+"="+dir)
	want := fmt.Sprintf(`GPUTRAIN_CUDA_LIBS=%[1]s
CUDA driver  12.4     %[1]s/libcuda.so.1
cuDNN        9.1      %[1]s/libcudnn.so.9 (without 1 optional functions)
cuBLAS       passed over: cuBLAS (%[1]s/libcublas.so.13): version too old: version 13.1.2 needs a driver for CUDA 13, this one is for 12.4
cuBLAS       12.1.2   %[1]s/libcublas.so.12
cuBLASLt     12.1.2   %[1]s/libcublasLt.so.12
NCCL         2.21.3   %[1]s/libnccl.so.2
GPU 0        New One, compute capability 9.1, 40 multiprocessors, 16.0 GiB, P
GPU 1        Old One, compute capability 6.1, 40 multiprocessors, 16.0 GiB, P: not usable: compute capability 6.1 is below 7.5
`, dir)
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	out = child(t, "call", driver.SearchVariable+"="+dir)
	for _, want := range []string{"cu.GetDevice: <nil>\n", "cu.MemAlloc: <nil>\n", "cudnn.NewOp: <nil>\n", "cublas.Init: <nil>\n",
		"cu.Version: 12040\n", "opened: true false\n", "same: true\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("gorgonia's packages: lacks %q:\n%s", want, out)
		}
	}
}

// Without cuBLASLt, or with one that can't be used, everything else can be.
func TestBLASLtIsOptional(t *testing.T) {
	lacking := ltLibrary("libcublasLt.so.12", 12)
	lacking.without = []string{"cublasLtMatmul"}
	for name, c := range map[string]struct {
		blas fake
		lt   *fake
		want string
	}{
		"missing":      {blasLibrary("libcublas.so.12", 12), nil, "library not found: looked for libcublasLt.so.12 in "},
		"lacking":      {blasLibrary("libcublas.so.12", 12), &lacking, "missing function cublasLtMatmul"},
		"of another":   {blasLibrary("libcublas.so.12", 12), new(ltLibrary("libcublasLt.so.13", 13)), "library not found: looked for libcublasLt.so.12 in "},
		"of before 12": {blasLibrary("libcublas.so.11", 11), new(ltLibrary("libcublasLt.so.11", 11)), "it is 11.1.2 and must be 12.0 or newer"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range []fake{cudaLibrary(12040), dnnLibrary("libcudnn.so.9", 90100, 12040), c.blas} {
				f.build(t, dir)
			}
			if c.lt != nil {
				c.lt.build(t, dir)
			}
			out := child(t, "describe", driver.SearchVariable+"="+dir)
			if !strings.Contains(out, "cuBLASLt     not used: ") || !strings.Contains(out, c.want) || strings.Contains(out, "not usable:  ") {
				t.Errorf("lacks %q:\n%s", c.want, out)
			}
			if out := child(t, "call", driver.SearchVariable+"="+dir); !strings.Contains(out, "opened: true false\n") {
				t.Errorf("the libraries can't be opened:\n%s", out)
			}
		})
	}
}

// NCCL connects GPUs; one can be used without it.
func TestNCCLIsOptional(t *testing.T) {
	for name, c := range map[string]struct {
		nccl *fake
		want string
	}{
		"missing": {nil, "library not found: looked for libnccl.so.2 in "},
		"old":     {new(ncclLibrary(2804)), "it is 2.8.4 and must be 2.13 or newer"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range []fake{cudaLibrary(12040), dnnLibrary("libcudnn.so.9", 90100, 12040), blasLibrary("libcublas.so.12", 12)} {
				f.build(t, dir)
			}
			if c.nccl != nil {
				c.nccl.build(t, dir)
			}
			out := child(t, "describe", driver.SearchVariable+"="+dir)
			if !strings.Contains(out, "NCCL         not used, and needed only for several GPUs: ") || !strings.Contains(out, c.want) || strings.Contains(out, "not usable:  ") {
				t.Errorf("lacks %q:\n%s", c.want, out)
			}
		})
	}
}

// cuBLASLt is taken from cuBLAS's folder, wherever that was found.
func TestBLASLtIsBesideBLAS(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for _, f := range []fake{cudaLibrary(12040), dnnLibrary("libcudnn.so.9", 90100, 12040), ltLibrary("libcublasLt.so.12", 12)} {
		f.build(t, first)
	}
	blasLibrary("libcublas.so.12", 12).build(t, second)
	ltLibrary("libcublasLt.so.12", 12).build(t, second)
	out := child(t, "describe", driver.SearchVariable+"="+first+":"+second)
	if !strings.Contains(out, second+"/libcublasLt.so.12") {
		t.Errorf("it is not:\n%s", out)
	}
}

func TestNewerLibrariesAreTakenWhereTheDriverIsNew(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []fake{cudaLibrary(13000), dnnLibrary("libcudnn.so.8", 8907, 11080),
		blasLibrary("libcublas.so.13", 13), blasLibrary("libcublas.so.12", 12)} {
		f.build(t, dir)
	}
	out := child(t, "describe", driver.SearchVariable+"="+dir)
	for _, want := range []string{"cuDNN        8.9.7    " + dir + "/libcudnn.so.8", "cuBLAS       13.1.2   " + dir + "/libcublas.so.13"} {
		if !strings.Contains(out, want) || strings.Contains(out, "not usable:  ") {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
}

// A function that a loaded library may lack answers "not supported", and the report says that it is lacking.
func TestOptionalFunctionsMayBeMissing(t *testing.T) {
	for _, c := range []struct {
		file    string
		version int
	}{{"libcudnn.so.8", 8907}, {"libcudnn.so.9", 90100}} {
		dir := t.TempDir()
		cuda, dnn := cudaLibrary(12040), dnnLibrary(c.file, c.version, 12040)
		cuda.without = append(cuda.without, "cuMemAllocManaged")
		dnn.without = append(dnn.without, "cudnnCreateLRNDescriptor")
		cuda.build(t, dir)
		dnn.build(t, dir)
		blasLibrary("libcublas.so.12", 12).build(t, dir)
		out := child(t, "call", driver.SearchVariable+"="+dir)
		for _, want := range []string{"cu.MemAlloc: <nil>\n", "cu.MemAllocManaged: NotSupported\n", "cudnn.NewOp: <nil>\n",
			"cudnn.NewLRN: NotSupported\n", "opened: true false\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: lacks %q:\n%s", c.file, want, out)
			}
		}
		out = child(t, "describe", driver.SearchVariable+"="+dir)
		for _, want := range []string{"/libcuda.so.1 (without 1 optional functions)", c.file + " (without 2 optional functions)"} {
			if !strings.Contains(out, want) {
				t.Errorf("lacks %q:\n%s", want, out)
			}
		}
	}
}

// Whatever this machine has, asking for it works, and every library is either there or missed. Where cuBLAS is missed,
// nothing is said about the libraries that are optional beside it.
func TestThisMachine(t *testing.T) {
	out := child(t, "describe")
	t.Log("\n" + out)
	missed := strings.Contains(out, "not usable:  cuBLAS: ")
	for _, k := range driver.Kinds {
		if missed && (k == driver.BLASLt || k == driver.NCCL) {
			continue
		}
		if !strings.Contains(out, k.String()) {
			t.Errorf("nothing about %v:\n%s", k, out)
		}
	}
	if out := child(t, "call"); !strings.Contains(out, "same: true") {
		t.Errorf("gorgonia's packages don't come to an end:\n%s", out)
	}
}

func TestSearchOrder(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for _, dir := range []string{first, second} {
		dnnLibrary("libcudnn.so.9", 90100, 12040).build(t, dir)
		blasLibrary("libcublas.so.12", 12).build(t, dir)
	}
	cudaLibrary(12040).build(t, second)

	// The system's search, led by LD_LIBRARY_PATH.
	out := child(t, "describe", "LD_LIBRARY_PATH="+first)
	if !strings.Contains(out, first+"/libcudnn.so.9") || strings.Contains(out, second) {
		t.Errorf("the system's search is not followed:\n%s", out)
	}
	// The variable alone, though the system's search would find more.
	out = child(t, "describe", "LD_LIBRARY_PATH="+second, driver.SearchVariable+"="+first)
	if !strings.Contains(out, first+"/libcudnn.so.9") || strings.Contains(out, second) ||
		!strings.Contains(out, "CUDA driver: library not found") {
		t.Errorf("libraries outside the folder are taken:\n%s", out)
	}
	// Several folders, in their order.
	out = child(t, "describe", driver.SearchVariable+"="+first+":"+second)
	if !strings.Contains(out, second+"/libcuda.so.1") || !strings.Contains(out, first+"/libcublas.so.12") {
		t.Errorf("the folders are not searched in order:\n%s", out)
	}
}

func TestLoaderSaysWhatIsWrong(t *testing.T) {
	good := t.TempDir()
	cudaLibrary(12040).build(t, good)
	dnnLibrary("libcudnn.so.9", 90100, 12040).build(t, good)
	blasLibrary("libcublas.so.12", 12).build(t, good)

	without := func(f fake, symbols ...string) fake {
		f.without = append(f.without, symbols...)
		return f
	}
	body := func(f fake, symbol, text string) fake {
		f.bodies[symbol] = text
		return f
	}
	for name, c := range map[string]struct {
		file string // what replaces or joins the good ones
		fake *fake
		text string // or a file that isn't a library
		want string
	}{
		"missing symbol": {"libcuda.so.1", new(without(cudaLibrary(12040), "cuMemAlloc_v2")), "",
			"not usable:  CUDA driver (DIR/libcuda.so.1): missing function cuMemAlloc_v2\n"},
		"missing cuInit": {"libcuda.so.1", new(without(cudaLibrary(12040), "cuInit")), "",
			"not usable:  CUDA driver (DIR/libcuda.so.1): missing function cuInit\n"},
		"missing symbols": {"libcudnn.so.9", new(without(dnnLibrary("libcudnn.so.9", 90100, 12040), "cudnnCreate", "cudnnDestroy")), "",
			"not usable:  cuDNN (DIR/libcudnn.so.9): missing function cudnnCreate: and 1 more\n"},
		"missing version": {"libcublas.so.12", new(without(blasLibrary("libcublas.so.12", 12), "cublasGetProperty")), "",
			"not usable:  cuBLAS (DIR/libcublas.so.12): missing function cublasGetProperty\n"},
		"old driver": {"libcuda.so.1", new(cudaLibrary(11040)), "",
			"not usable:  CUDA driver (DIR/libcuda.so.1): version too old: it is 11.4 and must be 11.8 or newer\n"},
		"old driver without a function": {"libcuda.so.1", new(without(cudaLibrary(10020), "cuStreamBeginCapture_v2")), "",
			"version too old: it is 10.2 and must be 11.8 or newer\n"},
		"driver older than cuDNN": {"libcudnn.so.9", new(dnnLibrary("libcudnn.so.9", 92800, 13000)), "",
			"not usable:  cuDNN (DIR/libcudnn.so.9): version too old: version 9.28 needs a driver for CUDA 13, this one is for 12.4\n"},
		"old cuDNN under a new name": {"libcudnn.so.9", new(dnnLibrary("libcudnn.so.9", 7605, 10020)), "",
			"not usable:  cuDNN (DIR/libcudnn.so.9): version too old: it is 7.6.5 and must be 8.0 or newer\n"},
		"not a library": {"libcublas.so.12", nil, "hello",
			"not usable:  cuBLAS (DIR/libcublas.so.12): library not found: cannot be loaded: DIR/libcublas.so.12: "},
		"no GPU": {"libcuda.so.1", new(body(cudaLibrary(12040), "cuInit", "int cuInit(unsigned f) { return 100; }")), "",
			"not usable:  cuInit: CUDA_ERROR_NO_DEVICE (100): no device; the driver sees no GPU"},
		"no devices": {"libcuda.so.1", new(body(cudaLibrary(12040), "cuDeviceGetCount", "int cuDeviceGetCount(int *n) { *n = 0; return 0; }")), "",
			"not usable:  no usable GPU"},
		"old GPU": {"libcuda.so.1", new(body(cudaLibrary(12040), "cuDeviceGetAttribute", "int cuDeviceGetAttribute(int *v, int a, int d) { *v = 5; return 0; }")), "",
			"not usable:  no usable GPU: compute capability 5.5 is below 7.5\n"},
		"broken GPU": {"libcuda.so.1", new(body(cudaLibrary(12040), "cuDeviceGetName", "int cuDeviceGetName(void) { return 46; }")), "",
			"not usable:  no usable GPU: cuDeviceGetName: CUDA_ERROR_DEVICE_UNAVAILABLE (46)"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range []string{"libcuda.so.1", "libcudnn.so.9", "libcublas.so.12"} {
				if file != c.file {
					if err := os.Symlink(filepath.Join(good, file), filepath.Join(dir, file)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if c.fake != nil {
				c.fake.build(t, dir)
			} else if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			out := child(t, "describe", driver.SearchVariable+"="+dir)
			if want := strings.ReplaceAll(c.want, "DIR", dir); !strings.Contains(out, want) {
				t.Errorf("lacks %q:\n%s", want, out)
			}
			if n := strings.Count(out, "not usable:  "); n != 1 {
				t.Errorf("%d complaints, want one:\n%s", n, out)
			}
			// No call ends the process, whatever is wrong.
			if out := child(t, "call", driver.SearchVariable+"="+dir); !strings.Contains(out, "opened: false true") {
				t.Errorf("Open succeeds:\n%s", out)
			}
		})
	}
}

// Within one process: what fails may be tried again, and is an error of the right kind.
func TestOpenMayBeTriedAgain(t *testing.T) {
	t.Setenv(driver.SearchVariable, t.TempDir())
	for range 2 {
		l, err := driver.Open()
		if l != nil || !errors.Is(err, driver.ErrNoLibrary) || errors.Is(err, driver.ErrNotBuilt) {
			t.Fatalf("got %v, %v", l, err)
		}
	}
	var e *driver.LibraryError
	if err := driver.Describe().Driver.Err; !errors.As(err, &e) || e.Kind != driver.Driver {
		t.Errorf("the driver's error is %#v", err)
	}
}

// Libraries that are loaded later must find each other and not our trampolines, so the program exports none of them.
func TestTrampolinesAreNotExported(t *testing.T) {
	f, err := elf.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := f.Symbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		t.Fatal(err)
	}
	dynamic, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	libraries, err := f.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	present := map[string]bool{}
	for _, s := range all {
		present[s.Name] = true
	}
	for _, fn := range functions(t) {
		if len(all) > 0 && !present[fn.Symbol] {
			t.Errorf("%s is not in the program", fn.Symbol)
		}
		for _, s := range dynamic {
			if s.Name == fn.Symbol {
				t.Errorf("%s is exported or imported", s.Name)
			}
		}
	}
	for _, name := range libraries {
		if strings.HasPrefix(name, "libcu") {
			t.Errorf("the program needs %s to start", name)
		}
	}
}
