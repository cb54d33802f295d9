package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gputrain/gputrain/serve"
)

// notes is an output that may be read while it is written.
type notes struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(p)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.String()
}

// TestServe starts the command, holds an answer to predict's, asks without the
// token, and ends it.
func TestServe(t *testing.T) {
	file := withTrained(t)
	write(t, "token", "secret\n")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out, errs notes
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"gputrain", "serve", "--run", "trained.safetensors", "--device", "cpu", "--address", "127.0.0.1:0", "--token-file", "token"}, nil, &out, &errs)
	}()
	page := regexp.MustCompile(`http://127\.0\.0\.1:\d+/`)
	for deadline := time.Now().Add(20 * time.Second); !page.MatchString(out.String()); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no address: %s%s", out.String(), errs.String())
		}
	}
	ask := func(token string) (int, []byte) {
		r, err := http.NewRequest("POST", page.FindString(out.String())+"v1/predict", bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, b
	}
	if status, _ := ask("wrong"); status != http.StatusUnauthorized {
		t.Errorf("wrong token: status %d, want 401", status)
	}
	status, body := ask("secret")
	var served serve.Predictions
	if err := json.Unmarshal(body, &served); err != nil || status != http.StatusOK {
		t.Fatalf("status %d, %v: %s", status, err, body)
	}
	var asked serve.Prediction
	if err := json.Unmarshal([]byte(must(t, "predict", "--device", "cpu", "--json", "--top", "10", "--run", "trained.safetensors", "seven.png")), &asked); err != nil {
		t.Fatal(err)
	}
	for i, c := range asked.Classes {
		if served.Predictions[0].Classes[i] != c {
			t.Errorf("place %d: served %v, predict says %v", i+1, served.Predictions[0].Classes[i], c)
		}
	}
	stop()
	if status := <-ended; status != exitOK {
		t.Errorf("ended with status %d: %s", status, errs.String())
	}
}

func TestAllowedHosts(t *testing.T) {
	for _, c := range []struct {
		allowed []string
		address string
		want    string
	}{
		{nil, "127.0.0.1:8080", "[127.0.0.1]"},
		{[]string{"digits.example.org:443"}, "laptop:8080", "[digits.example.org:443 laptop]"},
		{[]string{"digits.example.org"}, ":8080", "[digits.example.org]"},
		{[]string{"https://digits.example.org"}, ":8080", ""},
		{[]string{"*"}, ":8080", ""},
		{[]string{""}, ":8080", ""},
	} {
		got, err := allowedHosts(c.allowed, c.address)
		if (err != nil) != (c.want == "") || err == nil && fmt.Sprint(got) != c.want {
			t.Errorf("%q at %s: %q, %v; want %s", c.allowed, c.address, got, err, c.want)
		}
	}
}

// TestAddress reads addresses that people type, and such as can't be listened at.
func TestAddress(t *testing.T) {
	inFolder(t)
	for _, good := range []string{"127.0.0.1:8080", ":8080", "localhost:0", "[::1]:8080", "laptop:http", "0.0.0.0:65535"} {
		if err := checkAddress(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	const range16 = "the port must be from 1 to 65535, or 0 for a free one"
	for address, want := range map[string]string{
		"8080":                  "a port without a colon; did you mean --address 127.0.0.1:8080, or :8080 for every address of this machine?",
		"80800":                 "want HOST:PORT; " + range16,
		"localhost":             "the port is missing; did you mean --address localhost:8080?",
		"127.0.0.1":             "the port is missing; did you mean --address 127.0.0.1:8080?",
		"localhost:":            "the port is missing; did you mean --address localhost:8080?",
		":":                     "the port is missing; did you mean --address :8080?",
		"::1":                   "an IPv6 address without a port; did you mean --address [::1]:8080?",
		"[::1]":                 "an IPv6 address without a port; did you mean --address [::1]:8080?",
		"a:b:c":                 "want HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080",
		"127.0.0.1:65536":       range16,
		"127.0.0.1:-1":          range16,
		"127.0.0.1:99999999999": range16,
		"127.0.0.1:port":        `"port" is not the number of a port; did you mean --address 127.0.0.1:8080?`,
		"http://localhost:9/":   "want HOST:PORT without http://; did you mean --address localhost:9?",
		"https://localhost":     "want HOST:PORT without https://; did you mean --address localhost:8080?",
	} {
		refuses(t, exitUsage, "--address "+address+": "+want, "serve", "--address="+address)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	must(t, quick("--epochs", "1")...)
	port := l.Addr().(*net.TCPAddr).Port
	used := l.Addr().String()
	refuses(t, exitFailed, "--address "+used+": another program uses this port: end it, or try another: --address 127.0.0.1:"+nextPort(strconv.Itoa(port)), "serve", "--device", "cpu", "--address", used)
	for wrong, want := range map[error]string{
		&os.SyscallError{Syscall: "bind", Err: syscall.EACCES}:        "no permission to listen at this port: take one from 1024 on, such as --address laptop:8080",
		&os.SyscallError{Syscall: "bind", Err: syscall.EADDRNOTAVAIL}: "this machine doesn't have the address laptop: take 127.0.0.1, or --address :80 for every address of this machine",
		&net.DNSError{Err: "no such host", Name: "laptop"}:            "there is no host laptop: take 127.0.0.1, or --address :80 for every address of this machine",
		errors.New("another"): "another",
	} {
		if got := cannotListen("laptop:80", &net.OpError{Op: "listen", Err: wrong}).Error(); wrong.Error() != "another" && got != "--address laptop:80: "+want {
			t.Errorf("%v: %s, want %s", wrong, got, want)
		}
	}
	if nextPort("8080") != "8081" || nextPort("65535") != "8080" || nextPort("http") != "8080" {
		t.Error("the ports to try are wrong")
	}
}

func TestMemoryWarning(t *testing.T) {
	for _, c := range []struct {
		pixels int
		total  float64
		want   string
	}{
		{16_000_000, 0, ""},
		{16_000_000, 2 << 30, ""},
		{16_000_000, 1 << 29, "requests may take about 828 MiB of memory, and the container's (cgroup's) limit is 512 MiB: lower --max-pixels, or allow more memory"},
		{1_000_000, 1 << 29, ""},
	} {
		if got := memoryWarning(serve.Options{MaxPixels: c.pixels, MaxBody: 8 << 20}, c.total, "the container's (cgroup's)"); got != c.want {
			t.Errorf("%d pixels in %.0f bytes: %q, want %q", c.pixels, c.total, got, c.want)
		}
	}
}
