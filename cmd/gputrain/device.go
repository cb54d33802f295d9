package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// deviceNames lists the choices of --device. The number of a GPU may follow cuda.
var deviceNames = []string{"auto", "cpu", "reference", "cuda"}

// precisionNames lists the choices of --precision.
var precisionNames = []string{string(cuda.FP32), string(cuda.TF32), string(cuda.BF16)}

func deviceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "device", Value: "auto", EnvVars: env("device"), Category: "Machine", Usage: "`NAME`: auto (a GPU, or else the CPU), cpu, reference, cuda or cuda:N"},
		&cli.IntFlag{Name: "threads", DefaultText: "one a fast core", EnvVars: env("threads"), Category: "Machine", Usage: "run the CPU device on `N` threads"},
		&cli.StringFlag{Name: "precision", DefaultText: "the GPU's fastest", EnvVars: env("precision"), Category: "Machine", Usage: "multiply on a GPU in `NAME`: fp32, tf32 or bf16"},
		&cli.BoolFlag{Name: "deterministic", EnvVars: env("deterministic"), Category: "Machine", Usage: "the same bytes every time on a GPU too (other devices always give them)"},
		&cli.StringFlag{Name: "memory-limit", DefaultText: "all there is", EnvVars: env("memory-limit"), Category: "Machine", Usage: "take at most `SIZE` of a GPU's memory, such as 512MB or 2GiB"},
		&cli.StringFlag{Name: "workspace", DefaultText: "256MiB", EnvVars: env("workspace"), Category: "Machine", Usage: "give a convolution at most `SIZE` to work in; less may be slower"},
		&cli.StringFlag{Name: "algorithm-cache", DefaultText: "the user's cache", EnvVars: env("algorithm-cache"), Category: "Machine", Usage: "keep what was measured of a GPU's convolutions in `DIR` for later runs; off keeps nothing"},
	}
}

// withDefault changes what the help says of the default of a flag of strings.
func withDefault(name, text string, flags []cli.Flag) []cli.Flag {
	for _, f := range flags {
		if f, ok := f.(*cli.StringFlag); ok && f.Name == name {
			f.DefaultText = text
		}
	}
	return flags
}

// groupDeviceFlags are deviceFlags of a command that can use several GPUs.
func groupDeviceFlags() []cli.Flag {
	flags := deviceFlags()
	for _, f := range flags {
		if f, is := f.(*cli.StringFlag); is && f.Name == "device" {
			f.Usage += "; cuda:all is all GPUs"
		}
	}
	return flags
}

// gpuOptions returns the options for a GPU from the flags.
func gpuOptions(c *cli.Context) (o cuda.Options, err error) {
	o = cuda.Options{Precision: cuda.Precision(c.String("precision")), Deterministic: c.Bool("deterministic")}
	if o.Precision != "" {
		if err := choose("precision", string(o.Precision), precisionNames); err != nil {
			return o, err
		}
	}
	if o.MemoryLimit, err = sizeOf(c, "memory-limit"); err != nil {
		return o, err
	}
	if o.Workspace, err = sizeOf(c, "workspace"); err != nil {
		return o, err
	}
	o.AlgorithmCache, err = cacheFolder(c.String("algorithm-cache"))
	return o, err
}

// openDevice opens the device that the flags ask for. If the flags leave it open,
// why tells why it chose that device.
func openDevice(c *cli.Context) (device net.Device, why string, err error) {
	gpu, err := gpuOptions(c)
	if err != nil {
		return nil, "", err
	}
	return openNamed(c, gpu)
}

// openNamed opens the device that --device names. The options are for a GPU. If the device is not a GPU,
// a precision that was asked for has no effect, and why says so.
func openNamed(c *cli.Context, gpu cuda.Options) (device net.Device, why string, err error) {
	threads := c.Int("threads")
	if c.IsSet("threads") && threads < 1 {
		return nil, "", usagef("--threads must be at least 1, got %d", threads)
	}
	device, why, err = openDeviceNamed(c.String("device"), threads, gpu)
	if asked := gpu.Precision; err == nil && asked != "" && asked != cuda.FP32 {
		if _, is := device.(interface{ Precision() cuda.Precision }); !is {
			why = strings.TrimPrefix(fmt.Sprintf("%s; --precision %s is for GPUs", why, asked), "; ")
		}
	}
	return device, why, err
}

// openDeviceNamed opens the device with the given name. The CPU uses the given
// number of threads; 0: one for each fast core.
func openDeviceNamed(full string, threads int, gpu cuda.Options) (device net.Device, why string, err error) {
	name, number, numbered := strings.Cut(full, ":")
	if full == allGPUs {
		return nil, "", usagef("--device %s: several GPUs train together; here use one, such as cuda:0", allGPUs)
	}
	if name != "cuda" || !numbered {
		name = full
	} else if gpu.Index, err = strconv.Atoi(number); err != nil || gpu.Index < 0 {
		return nil, "", usagef("--device: %q is not the number of a GPU, as in cuda:0; cuda:all is for train", number)
	}
	if err := chooseDevice(name, deviceNames); err != nil {
		return nil, "", err
	}
	switch name {
	case "cuda":
		device, err = openGPU(gpu)
		return device, "", err
	case "reference":
		return reference.New(), "", nil
	case "auto":
		if device, why = openBest(gpu); device != nil {
			return device, why, nil
		}
	}
	if device, err = cpu.New(cpu.Options{Threads: threads}); err != nil {
		// cpu.New refuses too many threads, and kernels from the environment that
		// are not available.
		return nil, "", usagef("%v", err)
	}
	return device, why, nil
}

// openGPU opens a GPU that was asked for.
func openGPU(o cuda.Options) (net.Device, error) {
	info := lookForCUDA()
	if !info.Usable {
		return nil, info.refusal()
	}
	device, err := cuda.Open(o)
	if err != nil {
		return nil, fmt.Errorf("--device cuda: %w", err)
	}
	return device, nil
}

// openBest opens a GPU if one can be used, otherwise the CPU. why tells the
// reason.
func openBest(o cuda.Options) (device net.Device, why string) {
	info := lookForCUDA()
	if !info.Usable {
		return nil, "chosen by auto: " + info.note()
	}
	gpu, err := cuda.Open(o)
	if err != nil {
		return nil, "chosen by auto, as the GPU can't be used: " + oneLine(err.Error())
	}
	return gpu, "chosen by auto"
}

// withReason returns a device's name, and why it was chosen.
func withReason(d net.Device, why string) string {
	if why == "" {
		return d.Name()
	}
	return d.Name() + "; " + why
}
