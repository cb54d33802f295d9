package net_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gputrain/gputrain/net"
)

// TestKeptCheckpoints keeps those of the last epochs, over a resume too, and leaves
// files alone whose names only look like theirs.
func TestKeptCheckpoints(t *testing.T) {
	cfg := smallRun()
	cfg.Saving = net.Saving{Dir: t.TempDir(), Keep: 2}
	mine := []string{"epoch-01.safetensors", "epoch-1.safetensors.bak", "epoch-zero.safetensors"}
	for _, name := range mine {
		if err := os.WriteFile(filepath.Join(cfg.Saving.Dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(cfg.Saving.Dir, net.EpochCheckpoint(7)+".1.tmp"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	folder := func() (names []string) {
		entries, err := os.ReadDir(cfg.Saving.Dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if name := e.Name(); !slices.Contains(mine, name) && name != net.BestCheckpoint && name != net.LastCheckpoint {
				names = append(names, name)
			}
		}
		if len(names)+len(mine)+2 != len(entries) {
			t.Errorf("the folder holds %v", entries)
		}
		return names
	}
	cfg.Recipe.Epochs = 3
	var log recorder
	cfg.Observers = []net.Observer{&log}
	train(t, cfg)
	if got, want := folder(), []string{"epoch-2.safetensors", "epoch-3.safetensors"}; !slices.Equal(got, want) {
		t.Errorf("after three epochs %v, want %v", got, want)
	}
	var told []int
	for _, s := range only[net.CheckpointSaved](&log) {
		if s.Reason == net.AtKept {
			told = append(told, s.Epoch)
		}
	}
	if !slices.Equal(told, []int{1, 2, 3}) {
		t.Errorf("told of epochs %v", told)
	}
	for _, epoch := range []int{2, 3} {
		c, err := net.LoadCheckpoint(filepath.Join(cfg.Saving.Dir, net.EpochCheckpoint(epoch)))
		if err != nil || c.Position != (net.Position{Epoch: epoch}) {
			t.Errorf("epoch %d: %v, %v", epoch, c.Position, err)
		}
	}

	var err error
	if cfg.Resume, err = net.LoadCheckpoint(cfg.Saving.Dir); err != nil {
		t.Fatal(err)
	}
	cfg.Recipe.Epochs, cfg.Saving.Keep = 5, 3
	train(t, cfg)
	if got, want := folder(), []string{"epoch-3.safetensors", "epoch-4.safetensors", "epoch-5.safetensors"}; !slices.Equal(got, want) {
		t.Errorf("after five epochs %v, want %v", got, want)
	}
	// Without Keep none is written, and none removed.
	if cfg.Resume, err = net.LoadCheckpoint(cfg.Saving.Dir); err != nil {
		t.Fatal(err)
	}
	cfg.Recipe.Epochs, cfg.Saving.Keep = 6, 0
	train(t, cfg)
	if got := folder(); len(got) != 3 {
		t.Errorf("without Keep %v", got)
	}
}
