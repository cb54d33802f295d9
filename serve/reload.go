package serve

import (
	"context"
	"os"
	"time"

	"github.com/gputrain/gputrain/net"
)

// Reload loads a checkpoint file and answers with it from then on. If it can't be
// used, the network that answers stays, and the log says why.
func (s *Server) Reload(path string) error {
	c, err := net.LoadCheckpoint(path)
	if err == nil {
		err = s.Replace(c)
	}
	if err != nil {
		s.metrics.reloads.WithLabelValues("failed").Inc()
		s.log.Error("the new checkpoint can't be used, the one before answers on", "error", err)
		return err
	}
	s.metrics.reloads.WithLabelValues("ok").Inc()
	m := s.Model()
	s.log.Info("loaded a new checkpoint", "model", m.ID, "name", m.Name, "epochs", m.Epochs)
	return nil
}

// Watch looks at a checkpoint file at an interval, and reloads it when it has
// changed, until the context ends.
func (s *Server) Watch(ctx context.Context, path string, interval time.Duration) {
	seen, _ := os.Stat(path)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		info, err := os.Stat(path)
		if err != nil || seen != nil && os.SameFile(seen, info) && seen.Size() == info.Size() && seen.ModTime().Equal(info.ModTime()) {
			continue // gone for a moment, or as it was
		}
		seen = info
		_ = s.Reload(path) // the log has it; this file isn't tried again
	}
}
