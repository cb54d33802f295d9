package main

import (
	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/cuda/driver"
	"github.com/gputrain/gputrain/internal/cpufeat"
	"github.com/gputrain/gputrain/net/reference"
)

func (a *app) devicesCommand() *cli.Command {
	return &cli.Command{
		Name:      "devices",
		Usage:     "list the devices, and what is missing to use them",
		UsageText: "gputrain devices [FLAGS]",
		Description: `Of CUDA it lists NVIDIA's libraries and the GPUs, and says what to do where
something is missing. They are looked for where the system looks for libraries;
the environment variable ` + driver.SearchVariable + ` names a folder to look in alone.

The CPU device takes the best kernels that the processor can run. The
environment variable ` + cpufeat.Env + ` chooses others: avx512, avx2, neon or
portable.

Examples:
  gputrain devices
  gputrain devices --json
  ` + cpufeat.Env + `=avx2 gputrain devices`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", EnvVars: env("json"), Usage: "print one JSON object a device; cuda's has libraries and GPUs"},
		},
		Action: a.devices,
	}
}

// deviceInfo describes a device, in JSON.
type deviceInfo struct {
	Device    string `json:"device"` // as --device takes it
	Available bool   `json:"available"`
	Auto      bool   `json:"auto,omitempty"` // --device auto takes this one
	Name      string `json:"name,omitempty"`
	Note      string `json:"note"`
	*cudaInfo        // for cuda
}

func (a *app) devices(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	cuda := lookForCUDA()
	infos := []deviceInfo{
		{Device: "cuda", Available: cuda.Usable, Auto: cuda.Usable, Name: cuda.firstGPU(), Note: cuda.note(), cudaInfo: cuda},
		{Device: "cpu", Note: "float32, all fast cores"},
		{Device: "reference", Available: true, Name: reference.New().Name(), Note: "slow plain loops that judge the others"},
	}
	if device, err := cpu.New(cpu.Options{}); err != nil {
		infos[1].Note = oneLine(err.Error())
	} else {
		infos[1].Available, infos[1].Name = true, device.Name()
		if infos[1].Auto = !cuda.Usable; infos[1].Auto {
			infos[1].Note += "; --device auto takes it"
		}
		if err := device.Close(); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		for _, info := range infos {
			if err := a.printJSON(info, ""); err != nil {
				return err
			}
		}
		return nil
	}
	t := table{align: "lll"}
	t.add("Device", "Here", "Notes")
	for _, info := range infos {
		name := info.Name
		if !info.Available {
			name = "no"
		}
		for i, line := range a.noteLines(info, infos) {
			if i > 0 {
				info.Device, name = "", ""
			}
			t.add(info.Device, name, line)
		}
	}
	t.write(a.out)
	cuda.write(a.out)
	return nil
}

// noteLines breaks a device's note into lines if the terminal has no room for it beside the other columns.
func (a *app) noteLines(info deviceInfo, infos []deviceInfo) []string {
	note := info.Note
	if info.cudaInfo != nil {
		note += ": see below"
	}
	if !a.out.terminal {
		return []string{note}
	}
	left := len("reference") + 2
	widest := 0
	for _, info := range infos {
		widest = max(widest, len(info.Name))
	}
	return wrapped(note, max(20, a.out.width()-left-widest-2))
}
