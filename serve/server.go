package serve

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/gputrain/gputrain/net"
)

// Server answers requests with a network. It is safe for use by many goroutines.
type Server struct {
	device   net.Device
	options  Options
	log      *slog.Logger
	metrics  *metrics
	queue    *queue
	bodies   *semaphore.Weighted // bytes
	large    *semaphore.Weighted // pixels of images that are being decoded, see pixelsFor
	small    *semaphore.Weighted
	token    [sha256.Size]byte
	handler  http.Handler
	first    *subject                                   // of the first network: the options' names and examples belong to its data. Only the goroutine that uses the device reads and writes it
	read     func(path string) (*net.Checkpoint, error) // net.LoadCheckpoint
	ending   context.Context                            // done when Run ends
	end      context.CancelFunc
	requests atomic.Int64 // that are being answered

	mu      sync.Mutex
	current *model
	models  []*model // all that are open
}

// New returns a Server that answers with a checkpoint's network on a device. Until
// Close has returned, the device belongs to the server; the caller closes it then.
func New(device net.Device, c *net.Checkpoint, o Options) (*Server, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	s := &Server{
		device: device, read: net.LoadCheckpoint, options: o, log: o.Log, metrics: newMetrics(), token: sha256.Sum256([]byte(o.Token)),
		bodies: semaphore.NewWeighted(o.Memory), large: semaphore.NewWeighted(int64(o.MaxPixels)), small: semaphore.NewWeighted(int64(max(1, o.MaxPixels/4))),
	}
	s.ending, s.end = context.WithCancel(context.Background())
	s.queue = newQueue(o.Queue, max(o.MaxWait, 0), s.metrics, o.Log)
	s.metrics.watch(s.queue)
	s.handler = s.routes()
	if err := s.Replace(c); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close answers the requests that wait, refuses others, and frees the device memory that
// the server holds.
func (s *Server) Close() error {
	s.end()
	s.queue.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for _, m := range s.models {
		err = errors.Join(err, m.program.Close())
	}
	s.models = nil
	return err
}

// Model tells which network answers.
func (s *Server) Model() Model {
	m := s.use()
	defer s.giveBack(m)
	return m.Model
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// handling is how a route is answered: what it returns as an error is told to the
// client, see asProblem.
type handling func(w http.ResponseWriter, r *http.Request) error

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, open bool, h handling, methods ...string) {
		mux.Handle(pattern, s.answering(pattern, open, methods, h))
	}
	const get, head, post = http.MethodGet, http.MethodHead, http.MethodPost
	route("/v1/predict", false, s.predict, post)
	route("/v1/activations", false, s.activations, post)
	route("/v1/model", false, func(w http.ResponseWriter, _ *http.Request) error { return writeJSON(w, s.Model()) }, get, head)
	route("/metrics", false, plain(s.metrics.handler()), get, head)
	route("/healthz", true, func(w http.ResponseWriter, _ *http.Request) error { return writeText(w, "ok\n") }, get, head)
	route("/readyz", true, s.ready, get, head)
	s.pageRoutes(func(pattern string, h handling) { route(pattern, true, h, get, head) })
	route("/", true, func(http.ResponseWriter, *http.Request) error {
		return problemf(http.StatusNotFound, "there is nothing here; /openapi.yaml describes what there is")
	}, get, head, post)
	// A page of another origin has no business here, whoever looks at it.
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problemf(http.StatusForbidden, "requests of other sites' pages are refused").write(w)
	}))
	return s.bounded(s.checkHost(protection.Handler(mux)))
}

func plain(h http.Handler) handling {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// recorder keeps the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

// Unwrap lets an http.ResponseController through.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader notes the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write begins an answer of 200 where none was begun.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// answering wraps a route: its methods, the token, errors, panics, figures and log.
func (s *Server) answering(route string, open bool, methods []string, h handling) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		start := time.Now()
		w := &recorder{ResponseWriter: rw}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		err := guarded(s.log, func() error {
			if !slices.Contains(methods, r.Method) {
				w.Header().Set("Allow", strings.Join(methods, ", "))
				return problemf(http.StatusMethodNotAllowed, "%.20s is not for this address: use %s", r.Method, methods[0])
			}
			if !open && !s.allowed(r) {
				w.Header().Set("WWW-Authenticate", `Bearer realm="gputrain"`)
				return problemf(http.StatusUnauthorized, "this server wants its token: Authorization: Bearer TOKEN")
			}
			return h(w, r)
		})
		if err != nil && w.status == 0 {
			s.asProblem(err).write(w)
		}
		took := time.Since(start)
		s.metrics.answered(route, w.status, took)
		level := slog.LevelInfo
		switch {
		case w.status >= 500:
			level = slog.LevelWarn
		case open || r.Method != http.MethodPost:
			level = slog.LevelDebug
		}
		if s.log.Enabled(r.Context(), level) {
			attributes := []any{"method", r.Method, "path", r.URL.Path, "status", w.status, "took", took, "from", r.RemoteAddr}
			if err != nil {
				attributes = append(attributes, "error", err)
			}
			s.log.Log(r.Context(), level, "request", attributes...)
		}
	})
}

// allowed reports whether a request has the token. How long it takes does not
// depend on where tokens differ.
func (s *Server) allowed(r *http.Request) bool {
	if s.options.Token == "" {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	hash := sha256.Sum256([]byte(token))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(hash[:], s.token[:]) == 1
}

// asProblem says what an error is to a client. What isn't the client's to know
// stays in the log.
func (s *Server) asProblem(err error) *problem {
	var p *problem
	var full *fullError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &full):
		return &problem{http.StatusTooManyRequests, full.Error() + "; come again", max(full.retry, time.Second)}
	case errors.Is(err, context.DeadlineExceeded):
		return &problem{http.StatusServiceUnavailable, fmt.Sprintf("no answer within %v: there is too much to do; come again", s.options.Timeout), time.Second}
	case errors.Is(err, context.Canceled):
		return problemf(http.StatusBadRequest, "the request was given up")
	case errors.Is(err, ErrClosed):
		return &problem{http.StatusServiceUnavailable, "the server is about to end", time.Second}
	}
	return problemf(http.StatusInternalServerError, "something went wrong here; the server's log tells what")
}

// ready tells whether requests are welcome.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) error {
	switch {
	case s.ending.Err() != nil:
		return problemf(http.StatusServiceUnavailable, "the server is about to end")
	case s.queue.failing.Load():
		return problemf(http.StatusServiceUnavailable, "the device fails")
	}
	return writeText(w, "ready\n")
}

func writeText(w http.ResponseWriter, text string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := w.Write([]byte(text))
	return err
}

func writeJSON(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, err = w.Write(append(b, '\n'))
	return err
}
