package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	stdnet "net"
	"net/http"
	"time"
)

// Run answers requests on a listener until the context ends. Then it takes no new
// ones, answers those in flight, for at most Options.DrainTimeout, and returns; it
// closes the listener, but not the Server.
func (s *Server) Run(ctx context.Context, l stdnet.Listener) error {
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: min(10*time.Second, s.options.ReadTimeout),
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	s.draining.Store(true)
	s.log.Info("ending: requests in flight are answered")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.options.DrainTimeout)
	defer cancel()
	err := h.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(fmt.Errorf("requests in flight were not done after %v and were cut off", s.options.DrainTimeout), h.Close())
	}
	return err
}
