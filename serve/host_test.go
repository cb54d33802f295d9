package serve

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	stdnet "net"
	"net/http"
	"os"
	"testing"
	"time"
)

// TestHost checks under which names a server on this machine's own address answers.
func TestHost(t *testing.T) {
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		options Options
		host    string
		status  int
	}{
		{Options{}, "localhost", 200},
		{Options{}, "LOCALHOST:8080", 200},
		{Options{}, "digits.localhost:1", 200},
		{Options{}, "127.0.0.1:8080", 200},
		{Options{}, "127.1.2.3", 200},
		{Options{}, "[::1]:8080", 200},
		{Options{}, "[::1]", 200},
		{Options{}, "", 200},
		{Options{}, own + ":8080", 200},
		{Options{}, "example.org", 421},
		{Options{}, "example.org:8080", 421},
		{Options{}, "localhost.example.org", 421},
		{Options{}, "127.0.0.1.example.org", 421},
		{Options{}, "192.168.0.1", 421},
		{Options{Hosts: []string{"digits.example.org"}}, "Digits.Example.org:443", 200},
		{Options{Hosts: []string{"digits.example.org"}}, "example.org", 421},
		{Options{Hosts: []string{"[2001:DB8::1]:80", "other."}}, "[2001:db8::1]:8080", 200},
		{Options{Hosts: []string{"[2001:DB8::1]:80", "other."}}, "Other", 200},
		{Options{Token: "secret"}, "example.org", 200},
	} {
		_, address, stop, ended := running(t, c.options)
		conn, err := stdnet.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := fmt.Fprintf(conn, "GET /v1/model HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer secret\r\nConnection: close\r\n\r\n", c.host); err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequest("GET", "/v1/model", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body = io.NopCloser(bytes.NewReader(text))
		if c.status == 421 && (!bytes.Contains(text, []byte("--allow-host")) || bytes.Contains(text, []byte("\n"))) {
			t.Errorf("host %q: %q; want one line that says what to do", c.host, text)
		}
		if got := received(t, answer, nil); got != c.status {
			t.Errorf("host %q, with %v and token %q: status %d, want %d", c.host, c.options.Hosts, c.options.Token, got, c.status)
		}
		_ = conn.Close()
		stop()
		go func() { <-ended }()
	}
}
