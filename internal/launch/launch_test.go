package launch_test

import (
	"strings"
	"testing"

	"github.com/gputrain/gputrain/internal/launch"
)

func TestFind(t *testing.T) {
	const none = -1
	for _, c := range []struct {
		env  string
		want launch.Place
		err  string // part of the error
	}{
		{"", launch.Place{Size: 1, LocalRank: none}, ""},
		{"OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_RANK=0 OMPI_COMM_WORLD_LOCAL_SIZE=2", launch.Place{Launcher: launch.OpenMPI, Rank: 2, Size: 4, LocalRank: 0, LocalSize: 2}, ""},
		{"PMI_RANK=1 PMI_SIZE=2 MPI_LOCALRANKID=1 MPI_LOCALNRANKS=2 PMI_FD=6", launch.Place{Launcher: launch.MPICH, Rank: 1, Size: 2, LocalRank: 1, LocalSize: 2}, ""},
		{"RANK=3 WORLD_SIZE=4 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2 MASTER_ADDR=10.0.0.1 MASTER_PORT=29500", launch.Place{Launcher: launch.Torch, Rank: 3, Size: 4, LocalRank: 1, LocalSize: 2, Address: "10.0.0.1:29500"}, ""},
		{"SLURM_PROCID=1 SLURM_NTASKS=4 SLURM_LOCALID=1 SLURM_STEP_TASKS_PER_NODE=2(x2)", launch.Place{Launcher: launch.Slurm, Rank: 1, Size: 4, LocalRank: 1, LocalSize: 2}, ""},
		{"SLURM_PROCID=1 SLURM_NTASKS=3 SLURM_LOCALID=1 SLURM_STEP_TASKS_PER_NODE=2,1", launch.Place{Launcher: launch.Slurm, Rank: 1, Size: 3, LocalRank: 1}, ""},
		{"RANK=0 WORLD_SIZE=2 MASTER_ADDR=fd00::1 MASTER_PORT=1", launch.Place{Launcher: launch.Torch, Size: 2, LocalRank: none, Address: "[fd00::1]:1"}, ""},
		{"PET_NODE_RANK=1 PET_NNODES=2 PET_MASTER_ADDR=a PET_MASTER_PORT=29400", launch.Place{Launcher: launch.Trainer, Rank: 1, Size: 2, LocalRank: none, Address: "a:29400"}, ""},
		// Kubeflow starts one process a node, and says how many of them there shall be.
		{"PET_NODE_RANK=1 PET_NNODES=2 PET_NPROC_PER_NODE=8 PET_MASTER_ADDR=a PET_MASTER_PORT=29500", launch.Place{Launcher: launch.Trainer, Rank: 1, Size: 2, LocalRank: none, Address: "a:29500", PerNode: 8}, ""},
		{"PET_NODE_RANK=0 PET_NNODES=1 PET_NPROC_PER_NODE=auto", launch.Place{Launcher: launch.Trainer, Size: 1, LocalRank: none, PerNode: launch.AllGPUs}, ""},
		{"PET_NODE_RANK=0 PET_NNODES=2 PET_NPROC_PER_NODE=gpu", launch.Place{Launcher: launch.Trainer, Size: 2, LocalRank: none, PerNode: launch.AllGPUs}, ""},
		{"PET_NODE_RANK=0 PET_NNODES=2 PET_NPROC_PER_NODE=cpu", launch.Place{Launcher: launch.Trainer, Size: 2, LocalRank: none}, ""},
		{"PET_NODE_RANK=0 PET_NNODES=2 PET_NPROC_PER_NODE=", launch.Place{Launcher: launch.Trainer, Size: 2, LocalRank: none}, ""},
		{"PET_NODE_RANK=0 PET_NNODES=2 PET_NPROC_PER_NODE=all", launch.Place{}, `PET_NPROC_PER_NODE="all" is not a number of at least 1`},
		{"PET_NODE_RANK=0 PET_NNODES=2 PET_NPROC_PER_NODE=0", launch.Place{}, `PET_NPROC_PER_NODE="0" is not a number of at least 1`},
		{"PET_NNODES=1:4 PET_NPROC_PER_NODE=auto", launch.Place{}, `PET_NNODES="1:4" is a range of numbers of nodes, but a group needs a fixed one`},
		// A PyTorchJob's RANK is a node's. Its WORLD_SIZE counts processes if nprocPerNode is a number.
		{"RANK=1 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=7 PET_NODE_RANK=1 PET_NNODES=2 PET_NPROC_PER_NODE=auto", launch.Place{Launcher: launch.Torch, Rank: 1, Size: 2, LocalRank: none, Address: "a:7", PerNode: launch.AllGPUs}, ""},
		{"RANK=1 WORLD_SIZE=16 MASTER_ADDR=a MASTER_PORT=7 PET_NODE_RANK=1 PET_NNODES=2 PET_NPROC_PER_NODE=8", launch.Place{Launcher: launch.Torch, Rank: 1, Size: 2, LocalRank: none, Address: "a:7", PerNode: 8}, ""},
		{"RANK=1 WORLD_SIZE=15 PET_NODE_RANK=1 PET_NNODES=2 PET_NPROC_PER_NODE=8", launch.Place{}, "RANK=1 of WORLD_SIZE=15 (torchrun), and PET_NODE_RANK=1 of PET_NNODES=2 (Kubeflow Trainer)"},
		// There torchrun starts them, and leaves the variables that it has read.
		{"RANK=9 WORLD_SIZE=16 LOCAL_RANK=1 LOCAL_WORLD_SIZE=8 PET_NODE_RANK=1 PET_NNODES=2 PET_NPROC_PER_NODE=8", launch.Place{Launcher: launch.Torch, Rank: 9, Size: 16, LocalRank: 1, LocalSize: 8}, ""},
		{"RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 PET_NNODES=1:4 PET_NPROC_PER_NODE=gpu", launch.Place{Launcher: launch.Torch, Size: 2}, ""},
		{"SLURM_PROCID=5 SLURM_NTASKS=6 SLURM_LOCALID=2", launch.Place{Launcher: launch.Slurm, Rank: 5, Size: 6, LocalRank: 2}, ""},
		{"SLURM_PROCID=5 SLURM_NTASKS=6 SLURM_LOCALID=2 MASTER_ADDR=node1 MASTER_PORT=29500", launch.Place{Launcher: launch.Slurm, Rank: 5, Size: 6, LocalRank: 2, Address: "node1:29500"}, ""},
		// A batch script of Slurm starts torchrun or mpirun.
		{"SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_LOCALID=0 RANK=1 WORLD_SIZE=2", launch.Place{Launcher: launch.Torch, Rank: 1, Size: 2, LocalRank: none}, ""},
		{"SLURM_NTASKS=8", launch.Place{Size: 1, LocalRank: none}, ""},
		// srun with PMI sets both, and they agree.
		{"SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_LOCALID=1 PMI_RANK=1 PMI_SIZE=2", launch.Place{Launcher: launch.MPICH, Rank: 1, Size: 2, LocalRank: 1}, ""},
		{"SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_LOCALID=1 PMI_RANK=1 PMI_SIZE=2 MASTER_ADDR=a MASTER_PORT=7", launch.Place{Launcher: launch.MPICH, Rank: 1, Size: 2, LocalRank: 1, Address: "a:7"}, ""},
		{"PMI_RANK=1 PMI_SIZE=2 RANK=1 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=7", launch.Place{Launcher: launch.MPICH, Rank: 1, Size: 2, LocalRank: none, Address: "a:7"}, ""},
		{"WORLD_SIZE= RANK= ", launch.Place{Size: 1, LocalRank: none}, ""},
		{"PMI_RANK=1 PMI_SIZE=2 RANK=0 WORLD_SIZE=2", launch.Place{}, "PMI_RANK=1 of PMI_SIZE=2 (MPICH's mpirun), and RANK=0 of WORLD_SIZE=2 (torchrun)"},
		{"RANK=1", launch.Place{}, "RANK=1, but no WORLD_SIZE"},
		{"WORLD_SIZE=2", launch.Place{}, "WORLD_SIZE=2, but no RANK"},
		{"RANK=2 WORLD_SIZE=2", launch.Place{}, "RANK=2 is not below WORLD_SIZE=2"},
		{"RANK=-1 WORLD_SIZE=2", launch.Place{}, `RANK="-1" is not a number of at least 0 (torchrun sets it)`},
		{"RANK=0 WORLD_SIZE=0", launch.Place{}, `WORLD_SIZE="0" is not a number of at least 1`},
		{"RANK=0 WORLD_SIZE=two", launch.Place{}, `WORLD_SIZE="two" is not a number`},
		{"RANK=0 WORLD_SIZE=2 LOCAL_RANK=x", launch.Place{}, `LOCAL_RANK="x" is not a number`},
		{"RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=x", launch.Place{}, `MASTER_PORT="x" is not a number`},
		{"RANK=0 WORLD_SIZE=2 LOCAL_WORLD_SIZE=0", launch.Place{}, `LOCAL_WORLD_SIZE="0" is not a number`},
	} {
		env := map[string]string{}
		for _, pair := range strings.Fields(c.env) {
			name, value, _ := strings.Cut(pair, "=")
			env[name] = value
		}
		got, err := launch.Find(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v, want one with %s", c.env, err, c.err)
			}
		case err != nil || got != c.want:
			t.Errorf("%s: %+v, %v, want %+v", c.env, got, err, c.want)
		}
	}
}
