package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	rtmetrics "runtime/metrics"
	"time"

	"github.com/gputrain/gputrain/internal/memlimit"
)

// Reload loads a checkpoint file and answers with it from then on. If it can't be
// used, the network that answers stays, and the log says why.
func (s *Server) Reload(path string) error {
	_, err := s.load(path, false)
	s.tell(path, err)
	return err
}

// load is Reload without the log. If unlessSame is set and the file holds the network
// that answers already, load keeps that network. loaded says whether the file's network
// answers now because of this call.
func (s *Server) load(path string, unlessSame bool) (loaded bool, err error) {
	if info, err := os.Stat(path); err == nil {
		// The weights are in memory three times: in the file's bytes, in its tensors and in
		// the compiled network.
		if err := memlimit.Check(3*float64(info.Size()), heldMemory()); err != nil {
			return false, fmt.Errorf("checkpoint %s: %w", path, err)
		}
	}
	c, err := s.read(path)
	if err != nil {
		return false, err
	}
	if m := s.Model(); unlessSame && m.ID == fingerprint(c.Weights()) && m.Epochs == c.Position.Epoch {
		return false, nil
	}
	return true, s.Replace(c)
}

// heldMemory is what the Go heap held after its latest collection, in bytes.
func heldMemory() float64 {
	sample := []rtmetrics.Sample{{Name: "/gc/heap/live:bytes"}}
	rtmetrics.Read(sample)
	if sample[0].Value.Kind() != rtmetrics.KindUint64 {
		return 0
	}
	return float64(sample[0].Value.Uint64())
}

// tell logs and counts what came of a reload of the file at path.
func (s *Server) tell(path string, err error) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.metrics.reloads.WithLabelValues("failed").Inc()
		what := "the checkpoint's file"
		if _, err := os.Stat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
			what = "the run's folder"
		}
		s.log.Error(what+" is gone, the network that was loaded from it answers on", "path", path)
		return
	case err != nil:
		s.metrics.reloads.WithLabelValues("failed").Inc()
		s.log.Error("the new checkpoint can't be used, the one before answers on", "error", err)
		return
	}
	s.metrics.reloads.WithLabelValues("ok").Inc()
	m := s.Model()
	s.log.Info("loaded a new checkpoint", "model", m.ID, "name", m.Name, "epochs", m.Epochs)
}

// Watch looks at a checkpoint file at an interval, and reloads it when it has
// changed, until the context ends. The first look finds what has changed since the network
// that answers was loaded, too. A file that can't be used isn't tried again until it
// changes. A file that can't be read is tried again at each look, because a disk or a
// network may recover. The log has each reason once. If the file is gone, the log says so
// after two looks, and the network that answers stays.
func (s *Server) Watch(ctx context.Context, path string, interval time.Duration) {
	var seen os.FileInfo
	var again, gone bool // the file has to be tried again; it was gone at the latest look
	told := ""           // the latest trouble
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		info, err := os.Stat(path)
		if err == nil {
			gone = false
			if !again && seen != nil && os.SameFile(seen, info) && seen.Size() == info.Size() && seen.ModTime().Equal(info.ModTime()) {
				told = ""
				continue
			}
			var loaded bool
			loaded, err = s.load(path, seen == nil)
			seen = info
			if err == nil {
				again, told = false, ""
				if loaded {
					s.tell(path, nil)
				}
				continue
			}
			var unread *fs.PathError
			again = errors.As(err, &unread)
		} else if errors.Is(err, fs.ErrNotExist) && !gone {
			gone = true // perhaps for a moment
			continue
		}
		if told != err.Error() {
			told = err.Error()
			s.tell(path, err)
		}
	}
}
