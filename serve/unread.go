package serve

import (
	"context"
	"io"
	"net/http"
	"time"
)

// linger is how long a connection stays open after the answer to a request whose body
// hasn't been read. A client that is still sending gets the answer. A client that sends
// nothing can't hold the connection any longer.
const linger = time.Second

// bounded gives every request a time limit from its header to the end of its answer,
// whatever answers it.
//
// A body that the handler leaves unread is the trap. Package net/http reads up to
// 256 KiB of it before it sends the answer, or afterwards, and waits for them as long
// as it may read. So such an answer ends its connection, and the rest of the body
// gets no more time than linger.
func (s *Server) bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		defer s.requests.Add(-1)
		control := http.NewResponseController(w) // a recorded request has no deadlines, which is no error here
		now := time.Now()
		// As long to take the answer as to send the question.
		_ = control.SetWriteDeadline(now.Add(2*s.options.ReadTimeout + s.options.Timeout))
		a := &answerer{ResponseWriter: w, ending: s.ending}
		if r.Body != nil && r.Body != http.NoBody {
			_ = control.SetReadDeadline(now.Add(s.options.ReadTimeout))
			a.body = &watchedBody{ReadCloser: r.Body}
			r = r.WithContext(r.Context()) // a copy: net/http keeps the one that it made
			r.Body = a.body
		}
		h.ServeHTTP(a, r)
		a.begin() // the answer of a handler that wrote nothing
	})
}

// watchedBody is a request's body that remembers whether it was read to its end.
type watchedBody struct {
	io.ReadCloser
	ended bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.ended = true
	}
	return n, err
}

// answerer decides, when the answer begins, whether the connection ends after it.
type answerer struct {
	http.ResponseWriter
	body   *watchedBody    // nil of a request without one
	ending context.Context // done when the server ends
	begun  bool
}

// Unwrap lets an http.ResponseController through.
func (a *answerer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// begin begins the answer. The connection ends after it if the body hasn't been read to
// its end, or if the server ends.
func (a *answerer) begin() {
	if a.begun {
		return
	}
	a.begun = true
	unread := a.body != nil && !a.body.ended
	if unread || a.ending.Err() != nil {
		a.Header().Set("Connection", "close")
	}
	if unread {
		_ = http.NewResponseController(a.ResponseWriter).SetReadDeadline(time.Now().Add(linger))
	}
}

// WriteHeader begins the answer.
func (a *answerer) WriteHeader(status int) {
	a.begin()
	a.ResponseWriter.WriteHeader(status)
}

// Write begins the answer, too.
func (a *answerer) Write(b []byte) (int, error) {
	a.begin()
	return a.ResponseWriter.Write(b)
}
