// Compare times gputrain's CPU device and the peers on the same work, taking
// turns, and prints their times and the ratios to gputrain's. It times only
// peers that agree.
//
//	go run ./bench/peers/compare -mode train -batch 50 -threads 2
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gputrain/gputrain/bench/peers"
	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
)

func main() {
	var (
		job     peers.Job
		dir     = flag.String("peers", "bench/peers", "folder of the peers")
		names   = flag.String("names", strings.Join(peers.Names, ","), "peers to compare with")
		repeats = flag.Int("repeats", 5, "timed repeats, in which all take turns")
		pause   = flag.Duration("pause", 100*time.Millisecond, "time before each repeat, for the last one's idle threads to sleep")
	)
	flag.StringVar((*string)(&job.Mode), "mode", "train", "train or infer")
	flag.IntVar(&job.Batch, "batch", 50, "images in a batch")
	flag.IntVar(&job.Threads, "threads", 2, "threads that compute")
	flag.IntVar(&job.Steps, "steps", 20, "batches in a repeat")
	flag.IntVar(&job.Warmup, "warmup", 1, "repeats before the first timed one")
	flag.IntVar(&job.Check, "check", 20, "batches in the agreement check")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := compare(ctx, *dir, strings.Split(*names, ","), job, *repeats, *pause); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// runner is one that takes turns.
type runner struct {
	name, version, settings string
	distance                float64 // greatest of its losses from ours
	repeat                  func() (peers.Repeat, error)
	seconds                 []float64
	peakRSS                 int64
}

func compare(ctx context.Context, dir string, names []string, want peers.Job, repeats int, pause time.Duration) (err error) {
	split, err := mnist.Tutorial()
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "gputrain-peers-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	const seed = 1
	network := net.Model("tutorial")
	job, err := peers.WriteInputs(temp, network, net.AdamDefault(1e-4), seed, split.Train, want.Check*want.Batch)
	if err != nil {
		return err
	}
	job.Mode, job.Threads, job.Batch, job.Steps, job.Warmup, job.Check =
		want.Mode, want.Threads, want.Batch, want.Steps, want.Warmup, want.Check
	path := filepath.Join(temp, "job.json")
	if err := job.Write(path); err != nil {
		return err
	}

	device, err := cpu.New(cpu.Options{Threads: job.Threads})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, device.Close()) }()
	prog, err := device.Compile(network, net.Options{Batch: job.Batch, Optimizer: job.Optimizer, Seed: seed})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, prog.Close()) }()
	ours, err := job.Losses(prog, split.Train)
	if err != nil {
		return err
	}
	runners := []*runner{{name: "gputrain", settings: device.Name(), repeat: func() (peers.Repeat, error) {
		return repeat(prog, job, split.Train)
	}}}
	for range job.Warmup {
		if _, err := runners[0].repeat(); err != nil {
			return err
		}
	}
	for _, name := range names {
		p, err := peers.Start(ctx, dir, name, path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		defer func() { err = errors.Join(err, p.Close()) }()
		if err := peers.Agree(ours, p.Losses); err != nil {
			fmt.Fprintf(os.Stderr, "%s %s: %v\n", name, p.Version, err)
			continue
		}
		runners = append(runners, &runner{name: p.Name, version: p.Version, settings: p.Settings,
			distance: peers.Distance(ours, p.Losses), repeat: p.Repeat})
	}
	for range repeats {
		for _, r := range runners {
			time.Sleep(pause)
			got, err := r.repeat()
			if err != nil {
				return err
			}
			r.seconds, r.peakRSS = append(r.seconds, got.Seconds), got.PeakRSS
		}
	}
	return show(job, runners)
}

// repeat is gputrain's own timed repeat.
func repeat(prog net.Program, job peers.Job, data *net.Dataset) (peers.Repeat, error) {
	batches := job.Batches(data)
	start := time.Now()
	for i := range job.Steps {
		b := batches[i%len(batches)]
		var err error
		if job.Mode == peers.Train {
			err = prog.Step(b)
		} else {
			_, err = prog.Infer(b)
		}
		if err != nil {
			return peers.Repeat{}, err
		}
	}
	if job.Mode == peers.Train {
		if _, err := prog.Metrics(); err != nil {
			return peers.Repeat{}, err
		}
	}
	return peers.Repeat{Seconds: time.Since(start).Seconds(), Images: job.Steps * job.Batch}, nil
}

// show prints the table: medians, and the median of each repeat's ratio, because
// what disturbs the machine disturbs a whole repeat.
func show(job peers.Job, runners []*runner) error {
	fmt.Printf("%s, batch %d, threads %d, %d repeats of %d batches, in turns\n",
		job.Mode, job.Batch, job.Threads, len(runners[0].seconds), job.Steps)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tms a batch\tleast\tmost\timages/s\tgputrain is faster by\tloss differs by\tpeak MB\t")
	for _, r := range runners {
		ms := make([]float64, len(r.seconds))
		ratios := make([]float64, len(r.seconds))
		for i, s := range r.seconds {
			ms[i] = s / float64(job.Steps) * 1e3
			ratios[i] = s / runners[0].seconds[i]
		}
		memory := "-"
		if r.peakRSS > 0 {
			memory = fmt.Sprint(r.peakRSS / 1e6)
		}
		fmt.Fprintf(w, "%s\t%.3f\t%.3f\t%.3f\t%.0f\t%.2f\t%.1e\t%s\t\n", strings.TrimSpace(r.name+" "+r.version),
			median(ms), slices.Min(ms), slices.Max(ms), float64(job.Batch)/median(ms)*1e3, median(ratios), r.distance, memory)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range runners {
		fmt.Printf("  %s: %s\n", r.name, r.settings)
	}
	return nil
}

func median[F cmp.Ordered](v []F) F {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
