//go:build cgo && (linux || darwin)

package mpi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/launch"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/net/devicetest"
	"github.com/gputrain/gputrain/net/parallel"
	"github.com/gputrain/gputrain/net/parallel/mpi"
	"github.com/gputrain/gputrain/net/parallel/mpi/mpitest"
)

// asMember names what this program does as a member of a group, if it is not to run tests.
const asMember = "GPUTRAIN_TEST_MPI_MEMBER"

func TestMain(m *testing.M) {
	what := os.Getenv(asMember)
	if what == "" {
		os.Exit(m.Run())
	}
	if err := member(what); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// report is what a member writes to the file that is named after its rank.
type report struct {
	Rank, Size     int
	Family         mpi.Family
	Version        string
	Float32        []float32
	Float64        []float64
	Data           []byte
	Long           float64 // what is wrong with sums of many values, at most
	Weights        []float32
	Again, Stopped string
}

func member(what string) error {
	place, err := launch.Find(os.LookupEnv)
	if err != nil {
		return err
	}
	family := mpi.MPICH
	if place.Launcher == launch.OpenMPI {
		family = mpi.OpenMPI
	}
	c, err := mpi.Open(family, place.Size)
	if err != nil {
		return err
	}
	r := report{Rank: c.Rank(), Size: c.Size(), Family: c.Family()}
	r.Version, _ = c.Library()
	switch what {
	case "sums":
		err = sums(c, &r)
	case "training":
		r.Weights, err = train(c)
	case "death":
		if c.Rank() == 1 {
			os.Exit(7)
		}
		err = c.SumFloat64(make([]float64, 1))
	case "abort":
		if c.Rank() == 1 {
			c.Abort(3)
		}
		err = c.SumFloat64(make([]float64, 1))
	}
	if err != nil {
		return err
	}
	if err := c.Close(); err != nil {
		return err
	}
	if err := c.SumFloat64(nil); err != nil {
		r.Stopped = err.Error()
	}
	if _, err := mpi.Open("", 1); err != nil {
		r.Again = err.Error()
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(fmt.Sprint(r.Rank), b, 0o644)
}

func sums(c mpi.Communicator, r *report) error {
	rank := float64(c.Rank())
	r.Float32, r.Float64, r.Data = []float32{float32(rank), 1}, []float64{rank, 0.5, -rank}, []byte{byte(c.Rank()), 7}
	long := make([]float32, 3<<20) // longer than the memory that values pass through
	for i := range long {
		long[i] = float32(i % 1000 * c.Rank())
	}
	err := errors.Join(c.SumFloat32(r.Float32), c.SumFloat64(r.Float64), c.Broadcast(r.Data), c.SumFloat32(long), c.SumFloat32(nil))
	ranks := c.Size() * (c.Size() - 1) / 2
	for i, v := range long {
		r.Long = max(r.Long, float64(v)-float64(i%1000*ranks), float64(i%1000*ranks)-float64(v))
	}
	return err
}

// train trains a network for 50 steps, and returns its weights. Without c it trains alone.
func train(c net.Communicator) ([]float32, error) {
	in := net.Shape{C: 2, H: 6, W: 6}
	n := &net.Network{Input: in, Layers: []net.Layer{
		&net.Conv{Filters: 5, Kernel: net.Square(3), Padding: net.PadSame, NoBias: true}, &net.BatchNorm{}, &net.Activation{Func: net.ReLU},
		&net.Pool{Kernel: net.Square(2)}, &net.Flatten{}, &net.Dropout{Rate: 0.2}, &net.Dense{Units: 4},
	}}
	cfg := net.Config{Train: devicetest.RandomData(5, in, 4, 93), Recipe: net.Recipe{
		Epochs: 5, Batch: 10, Seed: 1, Optimizer: net.AdamDefault(0.005), Augment: net.Augment{Crop: 1, Flip: net.RandomFlip}}}
	d, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		return nil, err
	}
	if c != nil {
		d = parallel.New(d, c)
	}
	p, err := d.Compile(n, cfg.Options())
	if err != nil {
		return nil, err
	}
	if _, err := net.Train(context.Background(), p, cfg); err != nil {
		return nil, err
	}
	st, err := p.State()
	var weights []float32
	for _, q := range p.Plan().Params {
		weights = append(weights, st.Params[q.Name].Float32s()...)
	}
	return weights, err
}

// startMembers starts members. It returns their reports, what they wrote to the standard error, and
// the launcher's error.
func startMembers(t *testing.T, launcher []string, members int, what string) ([]report, string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, launcher[0], slices.Concat(launcher[1:], []string{"-n", fmt.Sprint(members), self})...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), asMember+"="+what)
	var errs strings.Builder
	cmd.Stderr = &errs
	err = cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("still running after a minute: %s", errs.String())
	}
	var reports []report
	for i := range members {
		var r report
		if b, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(i))); err == nil {
			if err := json.Unmarshal(b, &r); err != nil {
				t.Fatal(err)
			}
			reports = append(reports, r)
		}
	}
	return reports, errs.String(), err
}

// TestSums: every process gets the sums of all, and member 0's data.
func TestSums(t *testing.T) {
	mpitest.Each(t, func(t *testing.T, launcher []string) {
		const n = 3
		reports, stderr, err := startMembers(t, launcher, n, "sums")
		if err != nil || len(reports) != n {
			t.Fatalf("%d reports, %v\n%s", len(reports), err, stderr)
		}
		for i, r := range reports {
			if r.Rank != i || r.Size != n || r.Version == "" || strings.Contains(mpitest.Name(launcher), "openmpi") != (r.Family == mpi.OpenMPI) {
				t.Errorf("member %d is %d of %d, with %s (%s)", i, r.Rank, r.Size, r.Version, r.Family)
			}
			if !slices.Equal(r.Float32, []float32{3, n}) || !slices.Equal(r.Float64, []float64{3, 1.5, -3}) || !slices.Equal(r.Data, []byte{0, 7}) || r.Long != 0 {
				t.Errorf("member %d has %v, %v, %v; long sums are off by %v", i, r.Float32, r.Float64, r.Data, r.Long)
			}
			if r.Stopped == "" || !strings.Contains(r.Again, "has opened MPI already") {
				t.Errorf("after Close, a sum gives %q, and a second Open %q", r.Stopped, r.Again)
			}
		}
	})
}

// TestTraining: four processes learn what one does.
func TestTraining(t *testing.T) {
	want, err := train(nil)
	if err != nil {
		t.Fatal(err)
	}
	mpitest.Each(t, func(t *testing.T, launcher []string) {
		reports, stderr, err := startMembers(t, launcher, 4, "training")
		if err != nil || len(reports) != 4 {
			t.Fatalf("%d reports, %v\n%s", len(reports), err, stderr)
		}
		for i, r := range reports {
			if !slices.Equal(r.Weights, reports[0].Weights) {
				t.Errorf("member %d has other weights than member 0", i)
			}
			approx.Check(t, "weights", r.Weights, want, approx.Tolerance{Abs: 1e-4})
		}
	})
}

// TestDeath: if a process dies or gives up, so do the others, soon.
func TestDeath(t *testing.T) {
	if os.Getenv(mpitest.OtherLaunchers) != "" {
		t.Skip("from another machine, MPICH 4.0's mpirun doesn't end the others; gputrain does so itself: TestGroupKilled")
	}
	mpitest.Each(t, func(t *testing.T, launcher []string) {
		for _, what := range []string{"death", "abort"} {
			reports, _, err := startMembers(t, launcher, 3, what)
			if err == nil || len(reports) > 0 {
				t.Errorf("%s: %d members went on, and the launcher says %v", what, len(reports), err)
			}
		}
	})
}

// TestNoLibrary: what Open says about a library that can't be used.
func TestNoLibrary(t *testing.T) {
	for library, want := range map[string]string{"libnothing.so.7": "libnothing.so.7", "libm.so.6": "it has no MPI_Init_thread"} {
		t.Setenv(mpi.LibraryVariable, library)
		if _, err := mpi.Open("", 1); !errors.Is(err, mpi.ErrNoMPI) || !strings.Contains(err.Error(), want) {
			t.Errorf("with %s Open gives %v, want that %s", library, err, want)
		}
	}
}
