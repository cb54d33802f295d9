package serve

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/semaphore"
)

// body is what a client sent. Its memory is counted until it is released.
type body struct {
	bytes    []byte
	reserved int64
	memory   *semaphore.Weighted
}

func (b *body) release() {
	b.bytes = nil
	b.memory.Release(b.reserved)
	b.reserved = 0
}

// reserve makes room for as many bytes in all.
func (b *body) reserve(size int64) bool {
	if size > b.reserved {
		if !b.memory.TryAcquire(size - b.reserved) {
			return false
		}
		b.reserved = size
	}
	return true
}

// firstRoom is what a body gets before anything of it has come.
const firstRoom = 4 << 10

// readBody reads a request's body. Memory is taken as it comes, so that clients
// that promise much and send nothing hold none. The caller releases it.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) (*body, error) {
	most := s.options.MaxBody
	tooLarge := problemf(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", most)
	if r.ContentLength > most {
		return nil, tooLarge
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, problemf(http.StatusUnsupportedMediaType, "the body is encoded (%.20q); send it as it is", encoding)
	}
	control := http.NewResponseController(w) // a recorded request has no deadline
	deadline := time.Now().Add(s.options.ReadTimeout)
	_ = control.SetReadDeadline(deadline)
	hastened := make(chan struct{})
	hasten := context.AfterFunc(s.ending, func() { // so that the answer comes before the drain time is over
		defer close(hastened)
		left := max(s.options.DrainTimeout-s.options.Timeout, s.options.DrainTimeout/2)
		if end := time.Now().Add(left); end.Before(deadline) {
			_ = control.SetReadDeadline(end)
		}
	})
	b := &body{memory: s.bodies}
	err := b.read(http.MaxBytesReader(w, r.Body, most), r.ContentLength)
	if !hasten() {
		<-hastened
	}
	if err == nil {
		// Else the deadline would end the watch for clients that go away.
		_ = control.SetReadDeadline(time.Time{})
		return b, nil
	}
	b.release()
	var large *http.MaxBytesError
	var p *problem
	switch {
	case errors.As(err, &p):
		return nil, p
	case errors.As(err, &large):
		return nil, tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, problemf(http.StatusRequestTimeout, "the body took longer than %v to come", s.options.ReadTimeout)
	}
	return nil, problemf(http.StatusBadRequest, "the body ended too early")
}

// read reads all of r; length is what it is said to be, below 0 if unknown.
func (b *body) read(r io.Reader, length int64) error {
	size := int64(firstRoom)
	if length >= 0 && length < size {
		size = length + 1 // and room to see the end
	}
	for {
		if !b.reserve(size) {
			return &problem{http.StatusTooManyRequests, "too many bodies are being read already; come again", time.Second}
		}
		if size > int64(cap(b.bytes)) {
			b.bytes = append(make([]byte, 0, size), b.bytes...)
		}
		for len(b.bytes) < cap(b.bytes) {
			n, err := r.Read(b.bytes[len(b.bytes):cap(b.bytes)])
			b.bytes = b.bytes[:len(b.bytes)+n]
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
		}
		size = 2 * size
		if length >= 0 && size > length {
			size = length + 1
		}
	}
}
