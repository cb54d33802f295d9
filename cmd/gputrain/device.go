package main

import (
	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/reference"
)

// deviceNames are the choices of --device.
var deviceNames = []string{"auto", "cpu", "reference", "cuda"}

func deviceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "device", Value: "auto", EnvVars: env("device"), Category: "Machine", Usage: "`NAME`: auto (the best there is), cpu, reference or cuda"},
		&cli.IntFlag{Name: "threads", DefaultText: "one a core", EnvVars: env("threads"), Category: "Machine", Usage: "run the CPU device on `N` threads"},
	}
}

// openDevice opens the device that the flags ask for, and says why it is that
// one where the flags leave it open.
func openDevice(c *cli.Context) (device net.Device, why string, err error) {
	name, threads := c.String("device"), c.Int("threads")
	if err := choose("device", name, deviceNames); err != nil {
		return nil, "", err
	}
	if c.IsSet("threads") && threads < 1 {
		return nil, "", usagef("--threads must be at least 1, got %d", threads)
	}
	switch name {
	case "cuda":
		return nil, "", lookForCUDA().refusal()
	case "reference":
		return reference.New(), "", nil
	case "auto":
		why = "chosen by auto: this version does not train on GPUs yet"
	}
	if device, err = cpu.New(cpu.Options{Threads: threads}); err != nil {
		// It refuses too many threads, and kernels that the environment asks for.
		return nil, "", usagef("%v", err)
	}
	return device, why, nil
}

// withReason returns a device's name, and why it was chosen.
func withReason(d net.Device, why string) string {
	if why == "" {
		return d.Name()
	}
	return d.Name() + "; " + why
}
