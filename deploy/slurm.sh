#!/bin/bash
# Trains on several machines with Slurm: one task a GPU.
#
#   sbatch deploy/slurm.sh
#
# Submit it in a folder that all machines see: the run is in runs/ there. Change the numbers of machines and GPUs, the
# time, and the last arguments of srun. gputrain, and on GPUs NVIDIA's libraries, must be installed on each machine.
#
# Five minutes before the time limit, gputrain saves and ends, and the job is put back into the queue. It then goes on from
# the last checkpoint. After the failure of a node Slurm puts it back by itself.
#
#SBATCH --job-name=gputrain
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
# As many GPUs as tasks. Not --gpus-per-task: it would hide the other GPUs of the machine from each task, and gputrain
# takes the GPU with the task's number on its machine. Or one task a machine: --ntasks-per-node=1, --device cuda:all, and all
# processors of the machine in --cpus-per-task.
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
set -eu

# Where process 0 is: on the first machine. Jobs that share this machine should have different ports.
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000))
export MASTER_ADDR MASTER_PORT

# A task that ends early isn't a reason for Slurm to kill the others: process 0 may still be saving. gputrain itself ends
# all when one is lost. For CPUs, --mpi=pmi2 in place of --mpi=none, and --device cpu.
srun --mpi=none --kill-on-bad-exit=0 --cpus-per-task="$SLURM_CPUS_PER_TASK" \
	gputrain train --run first --auto-resume --checkpoint-every 5m --device cuda \
	--recipe fast &
step=$!

# Five minutes before the end, Slurm sends USR1 to this script alone. The tasks get a SIGTERM then: they save and end.
# (A SIGTERM for srun itself would make it kill them.) If scancel fails, because the tasks have ended just now, set -e must not
# end the script.
again=
trap 'again=yes; scancel --signal=TERM "$SLURM_JOB_ID" || true' USR1
status=0
wait "$step" || status=$?
if [ -n "$again" ]; then
	status=0
	wait "$step" || status=$? # the signal has ended the first wait
	if [ "$status" != 0 ]; then
		scontrol requeue "$SLURM_JOB_ID"
	fi
fi
exit "$status"
