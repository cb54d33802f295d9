package main

import (
	"github.com/urfave/cli/v2"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/internal/cpufeat"
	"github.com/gputrain/gputrain/net/reference"
)

func (a *app) devicesCommand() *cli.Command {
	return &cli.Command{
		Name:      "devices",
		Usage:     "list what networks can be trained on here",
		UsageText: "gputrain devices [FLAGS]",
		Description: `The CPU device takes the best kernels that the processor can run. The
environment variable ` + cpufeat.Env + ` chooses others: avx512, avx2 or portable.

Examples:
  gputrain devices
  gputrain devices --json
  ` + cpufeat.Env + `=avx2 gputrain devices`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", EnvVars: env("json"), Usage: "print one JSON object a device"},
		},
		Action: a.devices,
	}
}

// deviceInfo is a device as it stands in JSON.
type deviceInfo struct {
	Device    string `json:"device"` // as --device takes it
	Available bool   `json:"available"`
	Auto      bool   `json:"auto,omitempty"` // what --device auto takes
	Name      string `json:"name,omitempty"`
	Note      string `json:"note"`
}

func (a *app) devices(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	infos := []deviceInfo{
		{Device: "cuda", Note: "NVIDIA GPUs: not in this build"},
		{Device: "cpu", Note: "float32, all cores; --device auto takes it"},
		{Device: "reference", Available: true, Name: reference.New().Name(), Note: "float64, plain loops: slow, the judge of the others"},
	}
	if device, err := cpu.New(cpu.Options{}); err != nil {
		infos[1].Note = oneLine(err.Error())
	} else {
		infos[1].Available, infos[1].Auto, infos[1].Name = true, true, device.Name()
		if err := device.Close(); err != nil {
			return err
		}
	}
	t := table{align: "lll"}
	t.add("Device", "Here", "Notes")
	for _, info := range infos {
		if c.Bool("json") {
			if err := a.printJSON(info, ""); err != nil {
				return err
			}
			continue
		}
		name := info.Name
		if !info.Available {
			name = "no"
		}
		t.add(info.Device, name, info.Note)
	}
	if !c.Bool("json") {
		t.write(a.out)
	}
	return nil
}
