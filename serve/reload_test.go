package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
)

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
	time.Sleep(20 * time.Millisecond)
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
