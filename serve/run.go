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

// farewell is how long a server that ends goes on taking requests. Each answer then
// ends its connection, so that clients that keep theirs know it before they ask again.
const farewell = 500 * time.Millisecond

// Run answers requests on a listener until the context ends. For a moment longer it
// still takes requests, and each answer ends its connection. Then it takes no new
// requests, waits at most Options.DrainTimeout for the answers in flight, and returns.
// It doesn't wait for idle connections. It closes the listener, but not the Server.
func (s *Server) Run(ctx context.Context, l stdnet.Listener) error {
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: min(10*time.Second, s.options.ReadTimeout),
		ReadTimeout:       s.options.ReadTimeout, // for what net/http answers by itself; bounded has its own
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		// Its own answer to OPTIONS * reads the body without a limit of time.
		DisableGeneralOptionsHandler: true,
	}
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	s.end()
	s.log.Info("ending: requests in flight are answered")
	select {
	case err := <-ended:
		return err
	case <-time.After(farewell):
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.options.DrainTimeout)
	defer cancel()
	go s.whenQuiet(drain, cancel)
	err := h.Shutdown(drain)
	switch {
	case errors.Is(err, context.Canceled): // only connections are left, no request
		err = h.Close()
	case errors.Is(err, context.DeadlineExceeded):
		err = errors.Join(fmt.Errorf("requests in flight were not done after %v and were cut off", s.options.DrainTimeout), h.Close())
	}
	return err
}

// whenQuiet calls f once no request has been answered for the time of linger. Then
// what is left are connections that wait for a body that nobody reads, or for the
// rest of a header.
func (s *Server) whenQuiet(ctx context.Context, f func()) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for since := time.Now(); time.Since(since) < linger; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if s.requests.Load() > 0 {
			since = time.Now()
		}
	}
	f()
}
