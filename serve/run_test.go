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

// TestFarewell ends a server under a hundred clients that keep their connections. No request
// is lost that was sent before the server stopped taking requests.
func TestFarewell(t *testing.T) {
	_, address, stop, ended := running(t, Options{})
	file := digitFile(t, 0)
	request := append(fmt.Appendf(nil, "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", len(file)), file...)
	var wait sync.WaitGroup
	var answered, closed, lost, late atomic.Int64
	var end atomic.Pointer[time.Time] // when the server may stop taking requests
	client := func(pause time.Duration) {
		for {
			conn, err := stdnet.Dial("tcp", address)
			if err != nil {
				return // the server takes no more
			}
			_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
			r := bufio.NewReader(conn)
			for {
				_, err := conn.Write(request)
				sent := time.Now()
				var answer *http.Response
				if err == nil {
					answer, err = http.ReadResponse(r, nil)
				}
				if err == nil {
					_, err = io.Copy(io.Discard, answer.Body)
				}
				if err != nil || answer.StatusCode != 200 {
					if at := end.Load(); at == nil || sent.Before(*at) {
						lost.Add(1)
					} else {
						late.Add(1)
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
				time.Sleep(pause)
			}
			time.Sleep(pause)
		}
	}
	for k := range 100 {
		pause := 10 * time.Millisecond
		if k%2 == 0 {
			pause += time.Duration(k) * farewell / 50 // also around the moment when idle connections end
		}
		wait.Go(func() { client(pause) })
	}
	for answered.Load() < 200 {
		time.Sleep(time.Millisecond)
	}
	at := time.Now().Add(farewell)
	end.Store(&at)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	wait.Wait()
	t.Logf("%d answers, %d of them ended the connection, %d requests too late", answered.Load(), closed.Load(), late.Load())
	if lost.Load() > 0 || closed.Load() < 50 {
		t.Errorf("%d requests were lost, %d answers ended the connection", lost.Load(), closed.Load())
	}
}
