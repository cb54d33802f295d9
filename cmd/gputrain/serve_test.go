package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sync"
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
