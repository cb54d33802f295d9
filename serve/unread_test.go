package serve

import (
	"bufio"
	"context"
	"fmt"
	"io"
	stdnet "net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// running serves on a socket. It returns the address, a function that tells the
// server to end, and what Run returns then.
func running(t *testing.T, o Options) (s *Server, address string, stop context.CancelFunc, ended <-chan error) {
	t.Helper()
	s = newServer(t, o)
	l, err := stdnet.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	e := make(chan error, 1)
	go func() { e <- s.Run(ctx, l) }()
	return s, l.Addr().String(), stop, e
}

// unread are requests that are answered before their bodies come, and never come
// whole: each announces more than it sends.
var unread = []struct {
	name, line, header string
	status             int
}{
	{"health", "GET /healthz", "", 200},
	{"health, asked for by HEAD", "HEAD /healthz", "", 200},
	{"readiness", "GET /readyz", "", 200},
	{"page", "GET /", "", 200},
	{"script", "GET /page.js", "", 200},
	{"unchanged page", "GET /page.css", "If-None-Match: *", 200},
	{"description", "GET /openapi.yaml", "", 200},
	{"model", "GET /v1/model", "Authorization: Bearer secret", 200},
	{"figures", "GET /metrics", "Authorization: Bearer secret", 200},
	{"no token", "POST /v1/predict", "", 401},
	{"no token for activations", "POST /v1/activations", "", 401},
	{"no token for the model", "GET /v1/model", "", 401},
	{"no token, asks before it sends", "POST /v1/predict", "Expect: 100-continue", 401},
	{"nowhere", "POST /v2", "", 404},
	{"no example", "GET /examples/7.png", "", 404},
	{"method", "PUT /v1/predict", "", 405},
	{"options of all", "OPTIONS *", "", 400},
	{"another site", "POST /v1/predict", "Sec-Fetch-Site: cross-site", 403},
	{"another origin", "POST /v1/predict", "Origin: http://example.org", 403},
	{"encoded", "POST /v1/predict", "Authorization: Bearer secret\r\nContent-Encoding: gzip", 415},
	{"bad query", "POST /v1/predict?top=0", "Authorization: Bearer secret", 400},
	{"unclean path", "POST //v1/predict", "", 307},
	{"too long", "POST /v1/predict", "Authorization: Bearer secret\r\nContent-Length: 99999999", 413},
}

// TestUnread checks that no answer waits for a body that nobody reads, that the
// connection ends soon after it, and that an end of the server doesn't wait either.
func TestUnread(t *testing.T) {
	_, address, stop, ended := running(t, Options{Token: "secret"})
	begin := func(line, header, body string) stdnet.Conn {
		conn, err := stdnet.Dial("tcp", address)
		if err != nil {
			t.Error(err)
			return nil
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if !strings.Contains(header, "Content-Length") {
			header += "\r\n" + body
		}
		if _, err := fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", line, strings.TrimPrefix(header, "\r\n")); err != nil {
			t.Error(err)
		}
		return conn
	}
	var wait sync.WaitGroup
	times := make(chan time.Duration, 2*len(unread))
	for _, c := range unread {
		for _, body := range []string{"Content-Length: 100", "Transfer-Encoding: chunked"} {
			wait.Go(func() {
				start := time.Now()
				conn := begin(c.line, c.header, body)
				if conn == nil {
					return
				}
				defer conn.Close()
				method, _, _ := strings.Cut(c.line, " ")
				r, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
				if err != nil {
					t.Errorf("%s, %s: no answer in %v: %v", c.name, body, time.Since(start), err)
					return
				}
				if r.StatusCode != c.status || !r.Close {
					t.Errorf("%s, %s: status %d, close %v; want %d, true", c.name, body, r.StatusCode, r.Close, c.status)
				}
				times <- time.Since(start)
				_, _ = io.Copy(io.Discard, r.Body)
				if n, err := conn.Read(make([]byte, 1)); n != 0 || err != io.EOF || time.Since(start) > 10*time.Second {
					t.Errorf("%s, %s: behind the answer %d bytes and %v after %v; want the end", c.name, body, n, err, time.Since(start))
				}
			})
		}
	}
	wait.Wait()
	close(times)
	var sorted []time.Duration
	for t := range times {
		sorted = append(sorted, t)
	}
	slices.Sort(sorted)
	if len(sorted) > 0 && sorted[len(sorted)/2] >= linger {
		t.Errorf("half of the answers took %v and more: they waited for the bodies", sorted[len(sorted)/2])
	}
	// What net/http refuses by itself is bounded too. Here it may cost the end of the
	// server no time.
	for _, c := range unread {
		if conn := begin(c.line, c.header, "Content-Length: 100"); conn != nil {
			defer conn.Close()
		}
	}
	for _, header := range []string{"Expect: something", "Transfer-Encoding: x"} {
		if conn := begin("GET /healthz", header, "Content-Length: 100"); conn != nil {
			defer conn.Close()
		}
	}
	silent, err := stdnet.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := io.WriteString(silent, "GET /hea"); err != nil {
		t.Error(err)
	}
	time.Sleep(100 * time.Millisecond)
	start := time.Now()
	stop()
	if err := <-ended; err != nil || time.Since(start) > 10*time.Second {
		t.Errorf("the end took %v: %v", time.Since(start), err)
	}
}

// TestReadTimeout checks the limit of what net/http answers by itself, before any
// code of ours runs.
func TestReadTimeout(t *testing.T) {
	_, address, _, _ := running(t, Options{ReadTimeout: 300 * time.Millisecond})
	conn, err := stdnet.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: something\r\nContent-Length: 100\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 417 ") {
		t.Errorf("%q, %v; want a 417 and the end", answer, err)
	}
}

// TestPatience checks that honest clients are waited for: one that sends slowly, one
// whose answer takes long, one that gets a refusal in the middle of sending, and one
// whose request was begun before the server was told to end.
func TestPatience(t *testing.T) {
	s, address, stop, ended := running(t, Options{ReadTimeout: 3 * time.Second, Timeout: 20 * time.Second, MaxWait: -1})
	dial := func() (stdnet.Conn, *bufio.Reader) {
		conn, err := stdnet.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		return conn, bufio.NewReader(conn)
	}
	send := func(conn stdnet.Conn, b []byte) {
		if _, err := conn.Write(b); err != nil {
			t.Error(err)
		}
	}
	status := func(r *bufio.Reader) int {
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Error(err)
			return 0
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		return answer.StatusCode
	}
	file := digitFile(t, 0)
	head := fmt.Appendf(nil, "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", len(file))
	slowly := func(conn stdnet.Conn, from int) {
		for piece := range 4 {
			time.Sleep(linger / 2) // longer than linger in all
			send(conn, file[max(from, piece*len(file)/4):(piece+1)*len(file)/4])
		}
	}
	var wait sync.WaitGroup
	t.Run("slow", func(t *testing.T) {
		conn, r := dial()
		send(conn, head)
		slowly(conn, 0)
		if got := status(r); got != 200 {
			t.Errorf("a body in four pieces: status %d", got)
		}
		// The connection is good for the next one.
		send(conn, append(head, file...))
		if got := status(r); got != 200 {
			t.Errorf("the next request: status %d", got)
		}
	})
	t.Run("long", func(t *testing.T) {
		held := make(chan struct{})
		s.queue.later(func() { <-held })
		conn, r := dial()
		send(conn, append(head, file...))
		time.Sleep(4 * time.Second) // longer than ReadTimeout
		close(held)
		if got := status(r); got != 200 {
			t.Errorf("an answer that took 4 s: status %d", got)
		}
	})
	t.Run("refused", func(t *testing.T) {
		conn, r := dial()
		send(conn, []byte("POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"))
		if got := status(r); got != 404 {
			t.Errorf("status %d, want 404", got)
		}
		send(conn, make([]byte, 100000))
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("behind the refusal: %v, want the end", err)
		}
	})
	conn, r := dial()
	send(conn, head)
	time.Sleep(100 * time.Millisecond)
	stop()
	wait.Go(func() { slowly(conn, 0) })
	if got := status(r); got != 200 {
		t.Errorf("sent while the server ended: status %d", got)
	}
	wait.Wait()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
