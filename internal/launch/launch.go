// Package launch finds out which of several processes this one is, from what launchers set
// in the environment: mpirun of Open MPI and of MPICH (also Intel MPI's), Slurm's srun,
// torchrun, and Kubeflow's operators.
package launch

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Launcher says who starts processes.
type Launcher string

// The launchers.
const (
	OpenMPI Launcher = "Open MPI's mpirun"
	MPICH   Launcher = "MPICH's mpirun"
	Slurm   Launcher = "Slurm's srun"
	Torch   Launcher = "torchrun" // or who sets what it sets: Kubeflow's PyTorchJob, or a user
	Trainer Launcher = "Kubeflow Trainer"
)

// Place is which of several processes this one is.
type Place struct {
	Launcher  Launcher
	Rank      int
	Size      int
	LocalRank int    // among those on this machine; -1 if nobody says
	LocalSize int    // how many are on this machine; 0 if nobody says
	Address   string // host:port of process 0, if it is told; ""

	// PerNode is how many processes this one shall start on its machine in place of a
	// single one: Kubeflow starts one a node, and leaves the others to the program. 0 and 1
	// mean none, AllGPUs one for each GPU of the machine. Rank and Size count nodes then.
	PerNode int
}

// AllGPUs is the PerNode of a process that shall start one for each GPU.
const AllGPUs = -1

// variables are those that a launcher sets.
type variables struct {
	launcher                     Launcher
	rank, size, local, localSize string
	host, port                   string
	perNode                      string
}

// known lists the launchers. One that starts another's processes comes later: mpirun under
// Slurm sets its own variables beside srun's.
var known = []variables{
	{OpenMPI, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", "", "", ""},
	{MPICH, "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", "", "", ""},
	{Torch, "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", ""},
	{Trainer, "PET_NODE_RANK", "PET_NNODES", "", "", "PET_MASTER_ADDR", "PET_MASTER_PORT", "PET_NPROC_PER_NODE"},
	{Slurm, "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE", "MASTER_ADDR", "MASTER_PORT", ""},
}

// Without returns an environment without what launchers set, for processes that this one
// gives other places.
func Without(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.ContainsFunc(known, func(k variables) bool {
			return slices.Contains([]string{k.rank, k.size, k.local, k.localSize, k.host, k.port, k.perNode}, name)
		})
	})
}

// Find returns this process's place. Without a launcher, or with one that starts a single
// process, it returns a place of size 1. lookup is os.LookupEnv. Variables that contradict
// each other give an error that names them.
func Find(lookup func(string) (string, bool)) (Place, error) {
	alone := Place{Size: 1, LocalRank: -1}
	found, by := alone, variables{}
	for _, v := range known {
		if v.launcher == Trainer && by.launcher == Torch && found.LocalRank >= 0 {
			continue // torchrun has read them, and started this process
		}
		p, ok, err := v.place(lookup)
		if err != nil {
			return alone, err
		}
		switch {
		case !ok:
		case by == variables{}:
			found, by = p, v
		case v.launcher == Slurm:
			// Within an allocation, what srun set for a batch script stands beside
			// what mpirun or torchrun set. With PMI, srun itself has set both.
			if p.Rank == found.Rank && p.Size == found.Size {
				if found.LocalRank < 0 {
					found.LocalRank = p.LocalRank
				}
				if found.Address == "" {
					found.Address = p.Address
				}
			}
		case v.launcher == Trainer && by.launcher == Torch && p.Rank == found.Rank && p.Size*max(1, p.PerNode) == found.Size:
			// A PyTorchJob of Kubeflow with nprocPerNode: its RANK is a node's, and its
			// WORLD_SIZE counts the processes that the nodes shall start.
			found.Size, found.PerNode = p.Size, p.PerNode
			if found.Address == "" {
				found.Address = p.Address
			}
		case p.Size != found.Size || p.Rank != found.Rank:
			return alone, fmt.Errorf("the environment has two places for this process: %s=%d of %s=%d (%s), and %s=%d of %s=%d (%s). Unset those of the one that you don't use",
				by.rank, found.Rank, by.size, found.Size, by.launcher, v.rank, p.Rank, v.size, p.Size, v.launcher)
		case found.Address == "":
			found.Address = p.Address
		}
	}
	return found, nil
}

// place returns the place by one launcher's variables. Without its rank and size there is
// none.
func (v variables) place(lookup func(string) (string, bool)) (Place, bool, error) {
	number := func(name string, least int) (int, bool, error) {
		s, ok := lookup(name)
		if name == "" || !ok || strings.TrimSpace(s) == "" {
			return -1, false, nil
		}
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < least {
			return 0, false, fmt.Errorf("%s=%q is not a number of at least %d (%s sets it)", name, s, least, v.launcher)
		}
		return n, true, nil
	}
	rank, hasRank, err := number(v.rank, 0)
	if err != nil {
		return Place{}, false, err
	}
	if s, _ := lookup(v.size); v.launcher == Trainer && strings.Contains(s, ":") {
		return Place{}, false, fmt.Errorf("%s=%q is a range of numbers of nodes, but a group needs a fixed one, such as 4: leave out the elastic policy", v.size, s)
	}
	size, hasSize, err := number(v.size, 1)
	if err != nil {
		return Place{}, false, err
	}
	switch {
	case !hasRank && !hasSize:
		return Place{}, false, nil
	case v.launcher == Slurm && !(hasRank && hasSize):
		return Place{}, false, nil // salloc and sbatch set one of them
	case !hasRank:
		return Place{}, false, fmt.Errorf("the environment has %s=%d, but no %s", v.size, size, v.rank)
	case !hasSize:
		return Place{}, false, fmt.Errorf("the environment has %s=%d, but no %s", v.rank, rank, v.size)
	case rank >= size:
		return Place{}, false, fmt.Errorf("%s=%d is not below %s=%d", v.rank, rank, v.size, size)
	}
	p := Place{Launcher: v.launcher, Rank: rank, Size: size}
	if p.LocalRank, _, err = number(v.local, 0); err != nil {
		return Place{}, false, err
	}
	if v.launcher == Slurm {
		// "2(x3)" says two on each of three machines. "2,1" are uneven numbers, of which this machine's isn't told.
		s, _ := lookup(v.localSize)
		if each, _, _ := strings.Cut(s, "("); s != "" && !strings.Contains(s, ",") {
			p.LocalSize, _ = strconv.Atoi(each)
		}
	} else if n, ok, err := number(v.localSize, 1); err != nil {
		return Place{}, false, err
	} else if ok {
		p.LocalSize = n
	}
	switch s, _ := lookup(v.perNode); strings.TrimSpace(s) {
	case "auto", "gpu":
		p.PerNode = AllGPUs
	case "cpu": // torchrun would start one for each processor; ours takes all of them by itself
	default:
		if n, ok, err := number(v.perNode, 1); err != nil {
			return Place{}, false, err
		} else if ok {
			p.PerNode = n
		}
	}
	if host, ok := lookup(v.host); ok && v.host != "" && host != "" {
		port, ok, err := number(v.port, 1)
		if err != nil {
			return Place{}, false, err
		}
		if ok {
			p.Address = joinHostPort(host, port)
		}
	}
	return p, true, nil
}

// joinHostPort returns host:port, with the brackets that an IPv6 address needs.
func joinHostPort(host string, port int) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(port)
}
