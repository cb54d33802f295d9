package bench

import "testing"

func TestNameIn(t *testing.T) {
	for cpuinfo, want := range map[string]string{
		"processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9V74\nprocessor\t: 1\nmodel name\t: AMD EPYC 9V74\n":      "AMD EPYC 9V74",
		"processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n\nprocessor\t: 1\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n": "Neoverse V1",
		"CPU implementer\t: 0x41\nCPU part\t: 0xd05\n\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n":                                 "Cortex-A55, Cortex-A76",
		"CPU implementer\t: 0x48\nCPU part\t: 0xd01\n":                                                                               "ARM core 0xd01 of 0x48",
		"": "",
	} {
		if got := nameIn(cpuinfo); got != want {
			t.Errorf("%q is %q, want %q", cpuinfo, got, want)
		}
	}
}
