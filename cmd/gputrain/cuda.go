package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gputrain/gputrain/cuda/driver"
)

// cudaInfo describes what a machine has for CUDA. Its JSON is the output of the
// command.
type cudaInfo struct {
	Built     bool          `json:"built"` // this program was built with CUDA
	Usable    bool          `json:"usable"`
	Search    string        `json:"search,omitempty"` // the only folders that are searched; empty: the system's
	Libraries []libraryInfo `json:"libraries"`
	GPUs      []gpuInfo     `json:"gpus"`
	Problem   string        `json:"problem,omitempty"` // why there is no GPU that can be used
	ToDo      string        `json:"to_do,omitempty"`

	brief []string // everything that is wrong, in a few words each
	nccl  bool     // several GPUs can train together
}

// libraryInfo is one of NVIDIA's libraries.
type libraryInfo struct {
	Library    string   `json:"library"`
	Path       string   `json:"path,omitempty"`
	Version    string   `json:"version,omitempty"`
	Release    string   `json:"release,omitempty"` // the driver's own release number
	Without    []string `json:"without,omitempty"` // optional functions that it lacks
	PassedOver []string `json:"passed_over,omitempty"`
	Problem    string   `json:"problem,omitempty"`
	ToDo       string   `json:"to_do,omitempty"`
}

// gpuInfo is a GPU.
type gpuInfo struct {
	GPU               int    `json:"gpu"`
	Name              string `json:"name"`
	ComputeCapability string `json:"compute_capability"`
	Memory            uint64 `json:"memory"` // bytes
	Multiprocessors   int    `json:"multiprocessors"`
	PCI               string `json:"pci,omitempty"`
	Simulated         bool   `json:"simulated,omitempty"` // it is simulated by software, as its name tells
	Problem           string `json:"problem,omitempty"`
}

const installDriver = "install NVIDIA's driver, release 520 or newer (Debian: apt install nvidia-driver; " +
	"Ubuntu: ubuntu-drivers install; WSL: the one for Windows), or start the container with --gpus all"

// pipHint tells how to install a library with pip, for a driver with the given
// major version of CUDA. Up to CUDA 12, NVIDIA's Python packages have the version
// in their names and a folder for each library. From 13 on, cuBLAS has neither.
func pipHint(k driver.Kind, cuda int) string {
	pip, folder, apt := fmt.Sprintf("nvidia-cudnn-cu%d", cuda), "nvidia/cudnn/lib", "nvidia-cudnn"
	if k == driver.BLAS {
		pip, folder, apt = fmt.Sprintf("nvidia-cublas-cu%d", cuda), "nvidia/cublas/lib", "libcublas12"
		switch cuda {
		case 11:
			apt = "libcublas11"
		case 13:
			pip, folder = "'nvidia-cublas==13.*'", "nvidia/cu13/lib"
		}
	}
	if k == driver.NCCL {
		pip, folder, apt = fmt.Sprintf("nvidia-nccl-cu%d", max(cuda, 12)), "nvidia/nccl/lib", "libnccl2"
	}
	return fmt.Sprintf("pip install %s, then add its folder %s to LD_LIBRARY_PATH; or apt install %s", pip, folder, apt)
}

// cudaOf returns the major version of CUDA whose libraries suit the driver, from
// 11 to 13. Without a driver it returns 12, which newer drivers accept too.
func cudaOf(d driver.Library) int {
	if d.Err != nil {
		return 12
	}
	return min(max(d.Version.Major, 11), 13)
}

// simulated reports whether a GPU, or a device on it, is simulated, as its name
// tells.
func simulated(name string) bool { return strings.Contains(strings.ToLower(name), "simulat") }

// lookForCUDA describes this machine.
func lookForCUDA() *cudaInfo {
	l := driver.Describe()
	return newCUDAInfo(l, startError(l))
}

// newCUDAInfo describes what was found, and why a GPU can't be used: what
// startError returns.
func newCUDAInfo(l *driver.Libraries, start error) *cudaInfo {
	if errors.Is(start, driver.ErrNotBuilt) {
		return &cudaInfo{
			Libraries: []libraryInfo{}, GPUs: []gpuInfo{},
			Problem: "this build has no CUDA",
			ToDo: "on Linux (amd64 or arm64), where there is a C compiler, " +
				"make build writes a program that has it, bin/gputrain",
			brief: []string{"this build has no CUDA"},
		}
	}
	info := &cudaInfo{Built: true, Usable: l.Err() == nil && start == nil, Search: l.Search, GPUs: []gpuInfo{}}
	libraries := []driver.Library{l.Driver, l.DNN, l.BLAS}
	if l.BLASLt.Path != "" { // where it isn't, nothing is wrong
		libraries = append(libraries, l.BLASLt)
	}
	info.nccl = l.NCCL.Path != "" && l.NCCL.Err == nil && len(l.Devices) > 1
	if l.NCCL.Path != "" || l.NCCL.Err != nil && len(l.Devices) > 1 {
		libraries = append(libraries, l.NCCL)
	}
	for _, lib := range libraries {
		info.Libraries = append(info.Libraries, newLibraryInfo(lib, l))
		if lib.Err != nil && lib.Kind != driver.NCCL { // which one GPU doesn't need
			info.brief = append(info.brief, briefly(lib))
		}
		if lib.Kind == driver.Driver && start != nil {
			info.Problem, info.ToDo = start.Error(), startAdvice(start, len(l.Devices))
			info.brief = append(info.brief, brieflyStart(start, len(l.Devices)))
		}
	}
	for _, d := range l.Devices {
		gpu := gpuInfo{
			GPU: d.Index, Name: d.Name, ComputeCapability: fmt.Sprintf("%d.%d", d.Major, d.Minor), Memory: d.Memory,
			Multiprocessors: d.Multiprocessors, PCI: d.PCI, Simulated: simulated(d.Name),
		}
		if d.Err != nil {
			gpu.Problem = d.Err.Error()
		}
		info.GPUs = append(info.GPUs, gpu)
	}
	return info
}

func newLibraryInfo(lib driver.Library, l *driver.Libraries) libraryInfo {
	info := libraryInfo{Library: lib.Kind.String(), Path: lib.Path, Without: lib.Missing}
	for _, err := range lib.Passed {
		info.PassedOver = append(info.PassedOver, unnamed(lib.Kind, err))
	}
	if lib.Err != nil {
		info.Problem, info.ToDo = unnamed(lib.Kind, lib.Err), libraryAdvice(lib, l)
		return info
	}
	info.Version = lib.Version.String()
	if lib.Kind == driver.Driver {
		info.Release = driverRelease(lib.Path)
	}
	return info
}

// unnamed returns a library's error without the library's name.
func unnamed(k driver.Kind, err error) string {
	var library *driver.LibraryError
	if !errors.As(err, &library) {
		return err.Error()
	}
	bare := *library
	bare.Path = ""
	text := strings.TrimPrefix(bare.Error(), k.String()+": ")
	if library.Path != "" {
		text = library.Path + ": " + text
	}
	return text
}

var releaseName = regexp.MustCompile(`^libcuda\.so\.(\d{3,}\.\d+(?:\.\d+)*)$`)

// driverRelease returns the driver's release, such as 535.216.01, or "" if it
// isn't known. It takes it from the name of the file that libcuda.so.1 links to.
func driverRelease(path string) string {
	file, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	m := releaseName.FindStringSubmatch(filepath.Base(file))
	if m == nil {
		return ""
	}
	return m[1]
}

// startError returns why no GPU can be used although there is a driver, or that
// this build has no CUDA: of all that is wrong what isn't a library's fault.
func startError(l *driver.Libraries) error {
	all, ok := l.Err().(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	for _, err := range all.Unwrap() {
		if err != l.Driver.Err && err != l.DNN.Err && err != l.BLAS.Err {
			return err
		}
	}
	return nil
}

// briefly tells in a few words what is wrong with a library.
func briefly(lib driver.Library) string {
	name := map[driver.Kind]string{driver.Driver: "NVIDIA driver", driver.DNN: "cuDNN", driver.BLAS: "cuBLAS"}[lib.Kind]
	switch {
	case errors.Is(lib.Err, driver.ErrVersionTooOld):
		return name + " too old"
	case absent(lib.Err):
		return "no " + name
	}
	return name + " not usable"
}

// absent reports whether there is no file of a library at all, as opposed to a
// file that can't be loaded.
func absent(err error) bool {
	var library *driver.LibraryError
	return errors.As(err, &library) && library.Err == driver.ErrNoLibrary
}

// brieflyStart tells in a few words why no GPU can be used.
func brieflyStart(err error, gpus int) string {
	var call *driver.Error
	switch {
	case gpus > 0:
		return "no usable GPU"
	case !errors.As(err, &call):
		return "no GPU"
	case errors.Is(err, driver.ErrNoDevice):
		return fmt.Sprintf("no GPU (%d)", call.Status.Code())
	}
	return fmt.Sprintf("%s fails (%d)", call.Op, call.Status.Code())
}

// startAdvice tells what to do if no GPU can be used.
func startAdvice(err error, gpus int) string {
	switch {
	case gpus > 0:
		return "put in another GPU, or train on the CPU"
	case errors.Is(err, driver.ErrNoDevice):
		return "nvidia-smi has to list the GPU: load the kernel module (modprobe nvidia, or restart), " +
			"start a container with --gpus all, look at CUDA_VISIBLE_DEVICES; " +
			"where there is no NVIDIA GPU, the CPU trains too"
	}
	return "nvidia-smi, and the kernel's log, may say more"
}

// libraryAdvice tells what to do about a library that can't be used.
func libraryAdvice(lib driver.Library, l *driver.Libraries) string {
	if l.Search != "" && absent(lib.Err) {
		return fmt.Sprintf("unset %s, or name the folders, as in PATH, that hold all libraries", driver.SearchVariable)
	}
	install := installDriver
	if lib.Kind != driver.Driver {
		install = pipHint(lib.Kind, cudaOf(l.Driver))
	}
	switch {
	case absent(lib.Err) || lib.Kind == driver.Driver:
		return install
	case errors.Is(lib.Err, driver.ErrVersionTooOld):
		return install + "; a newer driver may do too"
	}
	return "the libraries that it needs may be missing beside it: " + install
}

// note tells in a few words whether networks can be trained with CUDA.
func (info *cudaInfo) note() string {
	if info.Usable {
		all := ""
		if info.nccl {
			all = ", cuda:all all of them"
		}
		return counted(info.usableGPUs(), "GPU") + " to train on; --device auto takes the first" + all
	}
	return strings.Join(info.brief, ", ")
}

// firstGPU returns the name of the first GPU that can be used, or "" if there is
// none.
func (info *cudaInfo) firstGPU() string {
	for _, g := range info.GPUs {
		if info.Usable && g.Problem == "" {
			return g.Name
		}
	}
	return ""
}

func (info *cudaInfo) usableGPUs() int { return len(info.usableIndices()) }

// usableIndices returns the numbers of the GPUs that can be used.
func (info *cudaInfo) usableIndices() (usable []int) {
	for _, g := range info.GPUs {
		if g.Problem == "" {
			usable = append(usable, g.GPU)
		}
	}
	return usable
}

// refusal returns the error for --device cuda if no GPU can be used.
func (info *cudaInfo) refusal() error {
	return fmt.Errorf("--device cuda: %s (gputrain devices says what to do); "+
		"use --device cpu, or leave the flag out for the best device there is", strings.Join(info.brief, ", "))
}

// write prints the information for people.
func (info *cudaInfo) write(s *stream) {
	var f facts
	advised := map[string]bool{}
	toDo := func(text string) {
		if text != "" && !advised[text] {
			f.add("  to do", text)
		}
		advised[text] = true
	}
	if info.Search != "" {
		f.add("looked in", fmt.Sprintf("%s alone (%s)", info.Search, driver.SearchVariable))
	}
	for _, lib := range info.Libraries {
		for _, passed := range lib.PassedOver {
			f.add(lib.Library, "passed over "+passed)
		}
		f.add(lib.Library, lib.String())
		toDo(lib.ToDo)
	}
	for _, gpu := range info.GPUs {
		f.add(fmt.Sprintf("GPU %d", gpu.GPU), gpu.String())
	}
	if info.Problem != "" {
		name := "GPU"
		if !info.Built {
			name = "CUDA"
		}
		f.add(name, info.Problem)
		toDo(info.ToDo)
	}
	fmt.Fprintln(s)
	f.write(s)
}

func (l libraryInfo) String() string {
	if l.Problem != "" {
		return l.Problem
	}
	text := l.Version
	if l.Release != "" {
		text = fmt.Sprintf("release %s, for CUDA up to %s", l.Release, l.Version)
	}
	text += ", " + l.Path
	if n := len(l.Without); n > 0 {
		text += ", without " + counted(n, "optional function")
	}
	return text
}

func (g gpuInfo) String() string {
	if g.Name == "" {
		return g.Problem
	}
	text := fmt.Sprintf("%s, compute capability %s, %.1f GiB, %s", g.Name, g.ComputeCapability, float64(g.Memory)/(1<<30),
		counted(g.Multiprocessors, "multiprocessor"))
	if g.Simulated {
		text += ", software that simulates a GPU"
	}
	if g.PCI != "" {
		text += ", " + g.PCI
	}
	if g.Problem != "" {
		text += "; not usable: " + g.Problem
	}
	return text
}
