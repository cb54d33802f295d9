package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/internal/memlimit"
	"github.com/gputrain/gputrain/net"
)

// notes is a log that may be read while it is written.
type notes struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(p)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.String()
}

// TestManyClients asks from many clients while checkpoints are replaced: every
// request is answered, by one of the two networks, and right.
func TestManyClients(t *testing.T) {
	s := newServer(t, Options{})
	first, second := checkpoint(t, 1), checkpoint(t, 2)
	wants := map[string][][]float32{}
	for _, c := range []*net.Checkpoint{first, second} {
		id := fingerprint(c.State.Params)
		for i := range 10 {
			wants[id] = append(wants[id], want(t, c, i))
		}
	}
	var wait sync.WaitGroup
	for client := range 20 {
		wait.Go(func() {
			for i := range 20 {
				k := (client + i) % 10
				w := do(t, s, "POST", "/v1/predict?prepare=stretch", "", digitFile(t, k))
				var p Predictions
				if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 200 {
					t.Errorf("status %d, %v: %s", w.Code, err, w.Body)
					return
				}
				approx.Check(t, p.Model, byClass(t, p.Predictions[0].Classes), wants[p.Model][k], tolerance)
			}
		})
	}
	for i := range 10 {
		if err := s.Replace([]*net.Checkpoint{second, first}[i%2]); err != nil {
			t.Error(err)
		}
	}
	wait.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.models) != 1 {
		t.Errorf("%d models are open, want 1", len(s.models))
	}
}

// TestReplacedInUse replaces the network while a request is being read: the request
// is answered by the network that it began with, which is closed only then.
func TestReplacedInUse(t *testing.T) {
	s := newServer(t, Options{})
	m := s.use()
	if err := s.Replace(checkpoint(t, 2)); err != nil {
		t.Fatal(err)
	}
	if s.Model().ID == m.ID {
		t.Error("the network wasn't replaced")
	}
	if err := s.queue.call(func() error { return nil }); err != nil { // what was to be closed has been
		t.Fatal(err)
	}
	entry := s.queue.announce()
	a, err := entry.ask(t.Context(), m, make([]float32, m.Input.Size()), 1, false)
	if err != nil || len(a.rows) != 1 {
		t.Errorf("%d answers of the network before, %v; want 1", len(a.rows), err)
	}
	s.giveBack(m)
	if len(s.models) != 1 {
		t.Errorf("%d models are open, want 1", len(s.models))
	}
}

func TestReload(t *testing.T) {
	var log bytes.Buffer
	s := newServer(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	path := filepath.Join(t.TempDir(), "last.safetensors")
	was := s.Model().ID
	if err := os.WriteFile(path, []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(path); !errors.Is(err, net.ErrCheckpoint) || s.Model().ID != was {
		t.Errorf("damaged: %v, model %s, was %s", err, s.Model().ID, was)
	}
	if !strings.Contains(log.String(), "the one before answers on") {
		t.Errorf("the log doesn't tell: %s", &log)
	}
	ctx, stop := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() { s.Watch(ctx, path, time.Millisecond); close(watched) }()
	if err := net.SaveCheckpoint(path, checkpoint(t, 2)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); s.Model().ID == was && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	stop()
	<-watched
	if s.Model().ID == was {
		t.Error("a new checkpoint wasn't loaded")
	}
}

// TestWatchTrouble has the disk fail while a new checkpoint is read, and the file vanish:
// the log tells each once, the network before answers, and the new one when the disk has
// recovered. What is damaged or too large is refused, and read once.
func TestWatchTrouble(t *testing.T) {
	var log notes
	s := newServer(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	var fails, reads atomic.Int64
	s.read = func(path string) (*net.Checkpoint, error) {
		reads.Add(1)
		if fails.Add(-1) >= 0 {
			return nil, fmt.Errorf("checkpoint: %w", &fs.PathError{Op: "read", Path: path, Err: errors.New("input/output error")})
		}
		return net.LoadCheckpoint(path)
	}
	path := filepath.Join(t.TempDir(), "run", net.LastCheckpoint)
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	save := func(seed uint64) string {
		c := checkpoint(t, seed)
		if err := net.SaveCheckpoint(path, c); err != nil {
			t.Fatal(err)
		}
		return fingerprint(c.State.Params)
	}
	save(3) // the server was given another one: this one came after it was loaded
	ctx, stop := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() { s.Watch(ctx, path, time.Millisecond); close(watched) }()
	defer func() { stop(); <-watched }()
	until := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: not in 20 s; model %s, log: %s", what, s.Model().ID, log.String())
			}
		}
	}
	lines := func(text string) int { return strings.Count(log.String(), text) }
	until("a file that came before the first look", func() bool { return lines("loaded a new checkpoint") == 1 })
	fails.Store(5)
	second := save(2)
	until("after five errors of the disk", func() bool { return lines("loaded a new checkpoint") == 2 })
	if n := lines("input/output error"); n != 1 || reads.Load() < 7 {
		t.Errorf("%d lines of the disk's five errors, want 1: %s", n, log.String())
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	until("a file that is gone", func() bool { return lines("the checkpoint's file is gone") == 1 })
	sure := reads.Load()
	if err := os.WriteFile(path+".new", []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	until("a damaged file", func() bool { return lines("not a usable checkpoint") > 0 })
	f, err := os.Create(path + ".new")
	if err == nil {
		err = errors.Join(f.Truncate(4<<40), f.Close())
	}
	if total, _ := memlimit.Total(); err != nil || total == 0 {
		t.Logf("no file of 4 TB can be made here (%v), or the memory's size isn't known (%v)", err, total)
	} else if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	} else {
		until("a file larger than the memory", func() bool { return lines("of memory to load, more than") > 0 })
	}
	time.Sleep(20 * time.Millisecond) // some looks more
	if n := reads.Load() - sure; n != 1 {
		t.Errorf("the damaged file and the one too large were read %d times, want once", n)
	}
	if s.Model().ID != second {
		t.Errorf("model %s answers, want %s", s.Model().ID, second)
	}
	first := save(1)
	until("the first again", func() bool { return s.Model().ID == first })
	dir := filepath.Dir(path)
	if err := os.Rename(dir, dir+"-gone"); err != nil { // at once, so that nobody sees a folder without the file
		t.Fatal(err)
	}
	until("a folder that is gone", func() bool { return lines("the run's folder is gone") == 1 })
	if err := s.Reload(path); !errors.Is(err, fs.ErrNotExist) || lines("the run's folder is gone") != 2 {
		t.Errorf("reloading what is gone: %v, log: %s", err, log.String())
	}
}
