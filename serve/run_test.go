package serve

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	stdnet "net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
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
	slow := send("POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc")
	r, err := http.ReadResponse(bufio.NewReader(strings.NewReader(slow)), httptest.NewRequest("POST", "/v1/predict", nil))
	if err != nil {
		t.Fatalf("%v: %q", err, slow)
	}
	if got := received(t, r, nil); got != 408 {
		t.Errorf("slow body: status %d, want 408", got)
	}
	if got := send("POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"); strings.Contains(got, "200 OK") {
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

// TestFarewell ends a server under clients that keep their connections: each request
// that was sent on a connection which the server had answered on before is answered.
func TestFarewell(t *testing.T) {
	_, address, stop, ended := running(t, Options{})
	file := digitFile(t, 0)
	request := append(fmt.Appendf(nil, "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", len(file)), file...)
	var wait sync.WaitGroup
	var answered, closed, lost atomic.Int64
	client := func() {
		for {
			conn, err := stdnet.Dial("tcp", address)
			if err != nil {
				return // the server takes no more
			}
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			r := bufio.NewReader(conn)
			for used := false; ; used = true {
				_, err := conn.Write(request)
				var answer *http.Response
				if err == nil {
					answer, err = http.ReadResponse(r, nil)
				}
				if err == nil {
					_, err = io.Copy(io.Discard, answer.Body)
				}
				if err != nil || answer.StatusCode != 200 {
					if used {
						lost.Add(1)
					}
					_ = conn.Close()
					return
				}
				answered.Add(1)
				if answer.Close {
					closed.Add(1)
					_ = conn.Close()
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
	for range 50 {
		wait.Go(client)
	}
	for answered.Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	wait.Wait()
	if lost.Load() > 0 || closed.Load() < 50 {
		t.Errorf("%d of %d requests on connections in use were lost, %d answers ended theirs", lost.Load(), answered.Load(), closed.Load())
	}
}
