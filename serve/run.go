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

// farewell is how long a server that ends goes on taking connections and requests. Each
// answer then ends its connection, so that clients that keep theirs know it before they
// ask again.
const farewell = 500 * time.Millisecond

// Run answers requests on a listener until the context ends. For a moment longer it
// still takes requests, and each answer ends its connection. Then it takes no new
// connections, answers the requests that have come, for at most Options.DrainTimeout, and
// returns. It doesn't wait for connections without a request. It closes the listener, but
// not the Server.
func (s *Server) Run(ctx context.Context, l stdnet.Listener) error {
	d := &door{Listener: l, connections: map[*connection]struct{}{}}
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: min(10*time.Second, s.options.ReadTimeout),
		ReadTimeout:       s.options.ReadTimeout, // for what net/http answers by itself; bounded has its own
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnState:         d.changed,
		// Its own answer to OPTIONS * reads the body without a limit of time.
		DisableGeneralOptionsHandler: true,
	}
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(d) }()
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
	d.close()
	if err := <-ended; !errors.Is(err, stdnet.ErrClosed) {
		return errors.Join(err, h.Close())
	}
	return errors.Join(s.drain(d), h.Close())
}

// drain waits until all connections have ended. It ends those without a request itself.
//
// http.Server.Shutdown would not do: it drops requests that it has not read yet when it is
// called.
func (s *Server) drain(d *door) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	end := time.Now().Add(s.options.DrainTimeout)
	for quiet := time.Now(); d.open() > 0; <-ticker.C {
		now := time.Now()
		if s.requests.Load() > 0 {
			quiet = now
		}
		switch {
		case now.After(end):
			return fmt.Errorf("requests in flight were not done after %v and were cut off", s.options.DrainTimeout)
		case now.Sub(quiet) > 2*linger:
			// What is left waits for a body that nobody reads, or for the rest of a header.
			return nil
		}
		// A new connection is about to bring a request, unless it doesn't soon.
		d.part(now.Sub(quiet) > linger)
	}
	return nil
}
