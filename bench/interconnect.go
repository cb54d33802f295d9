package bench

import (
	"math"
	"math/bits"
	"time"
)

// Hop is a kind of connection between two GPUs. It indexes the latencies of a [SumWay].
type Hop int

// The kinds of connections.
const (
	ByNVLink  Hop = iota
	ByPCIe        // between GPUs of one machine, directly or through the processor
	ByNetwork     // between GPUs of two machines
	hops
)

// Link is what connects the GPUs of one machine.
type Link struct {
	Name      string  `json:"name"`
	Hop       Hop     `json:"-"`
	Bandwidth float64 `json:"bandwidth"` // the bus bandwidth of NCCL's sums, in bytes a second each way
	Source    string  `json:"source"`    // where the bandwidth comes from
}

// Links lists the usual links.
var Links = []Link{
	{"nvlink", ByNVLink, 18 * 20.6e9,
		"H100 and H200 with NVSwitch: 18 links of 20.6 GB/s, as NCCL counts them (src/graph/topo.h, SM90_NVLINK_BW). The line rate is 450 GB/s; an author of NCCL gives 370 GB/s for rings (NVIDIA/nccl-tests issue 212)"},
	{"pcie4", ByPCIe, 16 * 12e9 / 8, "16 lanes of 12 Gbit/s, as NCCL counts 16 GT/s (src/graph/topo.cc, kvDictPciGen). The line rate is 31.5 GB/s"},
	{"pcie5", ByPCIe, 16 * 24e9 / 8, "16 lanes of 24 Gbit/s, as NCCL counts 32 GT/s (src/graph/topo.cc, kvDictPciGen). The line rate is 63 GB/s"},
}

// MachineNetwork is what connects machines.
type MachineNetwork struct {
	Name      string  `json:"name"`
	Bandwidth float64 `json:"bandwidth"` // of one machine, with all its network cards, in bytes a second each way
	Source    string  `json:"source"`
}

// NetworkOf returns a network with so many Gbit/s for each machine.
func NetworkOf(name string, gigabits float64) MachineNetwork {
	return MachineNetwork{name, gigabits * 1e9 / 8, "the line rate, as NCCL takes it (src/graph/topo.cc: Mbit/s over 8000)"}
}

// MachineNetworks lists the usual networks, Ethernet or InfiniBand, with one network card in a machine.
var MachineNetworks = []MachineNetwork{NetworkOf("10gbit", 10), NetworkOf("100gbit", 100), NetworkOf("400gbit", 400)}

// SumWay is a way in which NCCL adds up values of all GPUs: an algorithm, ring or tree, with a protocol.
type SumWay struct {
	Name string
	Tree bool
	// Within and Between are the shares of the bandwidth that it reaches: in one machine, and if there are several.
	Within, Between float64
	NoPCIe          bool                // NCCL doesn't take it where GPUs of a machine are connected by PCIe
	Start           time.Duration       // what a sum takes without any hop
	Latency         [hops]time.Duration // of one hop
	Alone           time.Duration       // of a hop by network, with one GPU in each machine
}

// microseconds returns a time in microseconds.
func microseconds(x float64) time.Duration { return time.Duration(x * float64(time.Microsecond)) }

// NCCLWays lists the ways of NCCL 2.30.7 that need no help of switches. The figures are taken from the model by which NCCL chooses
// among the ways (src/graph/tuning.cc: ncclTunerConstantsDefaults and ncclTopoTuneModel). LL sends a flag with each 4
// bytes, LL128 one with each 120 bytes, and Simple waits for whole pieces. [Interconnect.SumTime] says what is left out.
var NCCLWays = []SumWay{
	{"ring, LL", false, 0.5, 0.5, false, microseconds(6.6), [hops]time.Duration{microseconds(0.6), microseconds(1), microseconds(2.7)}, microseconds(5)},
	{"ring, LL128", false, 0.92, 0.92, true, microseconds(14), [hops]time.Duration{microseconds(1.9), microseconds(2.5), microseconds(4)}, microseconds(8.5)},
	{"ring, Simple", false, 1, 1, false, microseconds(8.4), [hops]time.Duration{microseconds(3.4), microseconds(5.7), microseconds(14)}, microseconds(14)},
	{"tree, LL", true, 0.92 / 3.8, 0.92 / 3.8, false, microseconds(6.8), [hops]time.Duration{microseconds(0.6), microseconds(1), microseconds(5)}, microseconds(5)},
	{"tree, LL128", true, 0.92 * 7 / 9, 0.92 * 120 / 128, true, microseconds(14), [hops]time.Duration{microseconds(1.25), microseconds(1.9), microseconds(8.5)}, microseconds(8.5)},
	{"tree, Simple", true, 0.92, 0.92, false, microseconds(8.4), [hops]time.Duration{microseconds(4), microseconds(4), microseconds(14)}, microseconds(14)},
}

// Interconnect is what connects the GPUs of a group.
type Interconnect struct {
	Link           Link           `json:"link"`
	Network        MachineNetwork `json:"network"`
	GPUsPerMachine int            `json:"gpus_per_machine"`
	// Ways are those in which sums can be computed; nil: NCCLWays.
	Ways []SumWay `json:"-"`
}

// machines returns how many machines so many GPUs take, and how many GPUs are in each.
func (c Interconnect) machines(gpus int) (machines, each int) {
	return (gpus + c.GPUsPerMachine - 1) / c.GPUsPerMachine, min(gpus, c.GPUsPerMachine)
}

// SumTime returns how many seconds a sum of so many bytes takes over a number of GPUs, and the way that takes least. One GPU
// takes no time, and the way is then "".
//
// N GPUs are on M machines, G on each:
//
//	ring: start + 2(N-1)/N * bytes/B + 2(N-M) hops in machines + 2(M-1) hops between them
//	tree: start + 2 * bytes/B + 2(G-1) hops in machines + 2*log2(M) hops between them
//
// The tree connects machines. In each machine the GPUs are a chain. log2 is rounded down. In one machine, the bandwidth B is that of
// the link, times the way's share. With several machines, it is that of the network, or that of the link if that is less. A GPU
// that is alone in its machine needs no NVLink, but PCIe limits it too. A tree of exactly two machines has twice the
// network's bandwidth, up to that of the link: each machine sends all values once, not twice.
//
// The formulas are simplified from NCCL's own model (src/graph/tuning.cc, ncclTopoTuneModel; src/graph/search.cc, "increase bwIntra
// for trees"; for the ring see also doc/PERFORMANCE.md of nccl-tests). These parts of it are left out, so NCCL may choose another way:
//
//   - the factor 1.4 of the latency of Simple rings over several machines (the "plateau");
//   - the network's overhead, which hops in machines take at least, in rings over several machines;
//   - the caps of LL (llMaxBws), and those of each channel;
//   - the latency of the network card (latencyInter);
//   - the factor 0.85 of the plain tree pattern, and the corrections for trees of medium size;
//   - that NCCL takes LL128 between machines only where a network card is near each GPU. Here it always is.
func (c Interconnect) SumTime(bytes int64, gpus int) (seconds float64, way string) {
	if gpus < 2 {
		return 0, ""
	}
	ways := c.Ways
	if ways == nil {
		ways = NCCLWays
	}
	for _, w := range ways {
		if t := c.time(w, bytes, gpus); w.NoPCIe && c.Link.Hop == ByPCIe && c.GPUsPerMachine > 1 {
			continue
		} else if way == "" || t < seconds {
			seconds, way = t, w.Name
		}
	}
	return seconds, way
}

// time returns how many seconds a sum takes in one way.
func (c Interconnect) time(w SumWay, bytes int64, gpus int) float64 {
	machines, each := c.machines(gpus)
	bandwidth, share, between := c.Link.Bandwidth, w.Within, w.Latency[ByNetwork]
	if machines > 1 {
		network := c.Network.Bandwidth
		if each == 1 {
			between = w.Alone
			if c.Link.Hop == ByPCIe {
				network = min(network, bandwidth)
			}
			bandwidth = math.Inf(1) // nothing passes between GPUs of a machine
		}
		if w.Tree && machines == 2 {
			network *= 2
		}
		bandwidth, share = min(bandwidth, network), w.Between
	}
	moved := 2 * float64(bytes)
	inner, outer := each-1, bits.Len(uint(machines))-1 // hops; of a tree
	if !w.Tree {
		moved *= float64(gpus-1) / float64(gpus)
		inner, outer = gpus-machines, machines-1
	}
	latency := w.Start + 2*(time.Duration(inner)*w.Latency[c.Link.Hop]+time.Duration(outer)*between)
	return latency.Seconds() + moved/(bandwidth*share)
}
