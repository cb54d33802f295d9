//go:build !windows

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	stdnet "net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/serve"
)

// TestServeProcess sends signals to a real serve process while it is asked.
func TestServeProcess(t *testing.T) {
	binary := build(t)
	seven := withTrained(t)
	started := func(t *testing.T, args ...string) (*process, string) {
		return startServe(t, binary, append([]string{"--run", "trained.safetensors"}, args...)...)
	}
	t.Run("end", func(t *testing.T) {
		p, page := started(t)
		r := begin(t, page, len(seven))
		endAt(t, p, r.host, syscall.SIGTERM)
		if _, err := r.Write(seven); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(r.answer, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var got serve.Predictions
		if err := json.NewDecoder(answer.Body).Decode(&got); err != nil || answer.StatusCode != http.StatusOK || got.Predictions[0].Classes[0].Class != "7" {
			t.Errorf("in flight: status %d, %+v, %v; want a 7", answer.StatusCode, got, err)
		}
		if status, killed := p.wait(t); status != exitOK {
			t.Errorf("status %d, killed by %d; want status 0: %s", status, killed, p.errors.String())
		}
	})
	t.Run("end beside silent clients", func(t *testing.T) {
		p, page := started(t)
		for range 300 { // whose bodies never come
			conn, err := stdnet.Dial("tcp", hostOf(page))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		endAt(t, p, hostOf(page), syscall.SIGTERM)
		if status, killed := p.wait(t); status != exitOK || time.Since(start) > 10*time.Second {
			t.Errorf("status %d, killed by %d, after %v; want status 0 at once: %s", status, killed, time.Since(start), p.errors.String())
		}
	})
	t.Run("second signal", func(t *testing.T) {
		p, page := started(t)
		r := begin(t, page, len(seven)) // its body never comes
		endAt(t, p, r.host, syscall.SIGINT)
		if err := p.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if status, killed := p.wait(t); killed != syscall.SIGINT {
			t.Errorf("status %d, killed by %d; want killed by %d", status, killed, syscall.SIGINT)
		}
	})
	for _, c := range []struct {
		name, reload string
		signal       bool
	}{{"reload at SIGHUP", "0", true}, {"reload of a new file", "20ms", false}} {
		t.Run(c.name, func(t *testing.T) {
			p, page := started(t, "--reload", c.reload)
			var first serve.Model
			if err := json.Unmarshal(get(t, page+"v1/model"), &first); err != nil {
				t.Fatal(err)
			}
			checkpoint := load(t, "trained.safetensors")
			for _, weights := range checkpoint.State.Params {
				weights.Float32s()[0]++
			}
			if err := net.SaveCheckpoint("trained.safetensors", checkpoint); err != nil {
				t.Fatal(err)
			}
			var clients sync.WaitGroup
			for range 4 {
				clients.Go(func() { askUntilReloaded(t, page, seven, first.ID) })
			}
			if c.signal {
				if err := p.Process.Signal(syscall.SIGHUP); err != nil {
					t.Error(err)
				}
			}
			clients.Wait()
		})
	}
}

// unfinished is a request whose body the server waits for.
type unfinished struct {
	stdnet.Conn
	host   string
	answer *bufio.Reader
}

// begin sends a request's header and returns once the server has asked for the body.
func begin(t *testing.T, page string, length int) unfinished {
	t.Helper()
	host := hostOf(page)
	conn, err := stdnet.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := fmt.Fprintf(conn, "POST /v1/predict HTTP/1.1\r\nHost: %s\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", host, length); err != nil {
		t.Fatal(err)
	}
	answer := bufio.NewReader(conn)
	for _, want := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n"} {
		if line, err := answer.ReadString('\n'); err != nil || line != want {
			t.Fatalf("%q, %v; want %q", line, err, want)
		}
	}
	return unfinished{conn, host, answer}
}

// endAt sends a signal and waits until the server takes no more connections.
func endAt(t *testing.T, p *process, host string, signal syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		conn, err := stdnet.Dial("tcp", host)
		if err != nil {
			return
		}
		_ = conn.Close()
		if time.Now().After(deadline) {
			t.Fatalf("it still takes connections 20 s after %v", signal)
		}
	}
}

// askUntilReloaded asks until another model than the first answers. Every request
// must be answered.
func askUntilReloaded(t *testing.T, page string, file []byte, first string) {
	var c loadClient
	defer c.close()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		a := c.post(hostOf(page), file)
		var p serve.Predictions
		if a.err == nil && a.status == http.StatusOK {
			a.err = json.Unmarshal(a.body, &p)
		}
		if a.err != nil || len(p.Predictions) != 1 {
			t.Errorf("status %d, %v: %s", a.status, a.err, a.body)
			return
		}
		if p.Model != first {
			return
		}
	}
	t.Error("the new checkpoint wasn't loaded in 20 s")
}
