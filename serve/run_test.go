package serve

import (
	"bufio"
	"bytes"
	"context"
	"io"
	stdnet "net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestRun checks slow clients, and that an end answers what is in flight.
func TestRun(t *testing.T) {
	s := newServer(t, Options{ReadTimeout: 200 * time.Millisecond, MaxWait: -1})
	l, err := stdnet.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, l) }()
	send := func(head string) string {
		conn, err := stdnet.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, head); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		b, _ := io.ReadAll(conn) // until the server closes it
		return string(b)
	}
	slow := send("POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
	r, err := http.ReadResponse(bufio.NewReader(strings.NewReader(slow)), httptest.NewRequest("POST", "/v1/predict", nil))
	if err != nil {
		t.Fatalf("%v: %q", err, slow)
	}
	if got := received(t, r, nil); got != 408 {
		t.Errorf("slow body: status %d, want 408", got)
	}
	if got := send("POST /v1/predict HTTP/1.1\r\nHost: x\r\n"); strings.Contains(got, "200 OK") {
		t.Errorf("slow header: %q", got)
	}
	held := make(chan struct{})
	s.queue.later(func() { <-held })
	answered := make(chan int, 1)
	file := digitFile(t, 0)
	go func() {
		r, err := http.Post("http://"+l.Addr().String()+"/v1/predict", "image/png", bytes.NewReader(file))
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		answered <- received(t, r, file)
	}()
	for s.queue.length() == 0 {
		time.Sleep(time.Millisecond)
	}
	stop()
	<-s.ending.Done()
	if w := do(t, s, "GET", "/readyz", "", nil); w.Code != 503 {
		t.Errorf("readyz while ending: status %d, want 503", w.Code)
	}
	close(held)
	if got := <-answered; got != 200 {
		t.Errorf("in flight: status %d, want 200", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
