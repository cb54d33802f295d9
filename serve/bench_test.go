package serve

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/net"
)

// tutorialCheckpoint is of the tutorial's network before it has learnt anything.
func tutorialCheckpoint(b *testing.B, device net.Device) *net.Checkpoint {
	b.Helper()
	network := net.Model("tutorial")
	p, err := device.Compile(network, net.Options{Batch: 1, Optimizer: net.SGDDefault(0)})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	state, err := p.State()
	if err != nil {
		b.Fatal(err)
	}
	return &net.Checkpoint{Network: network, Recipe: net.Recipes()[0], Train: digits(b).ID(), State: state}
}

func allThreads(b *testing.B) net.Device {
	b.Helper()
	device, err := cpu.New(cpu.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = device.Close() })
	return device
}

// BenchmarkBare infers without a server, in batches of 50.
func BenchmarkBare(b *testing.B) {
	device := allThreads(b)
	p, err := tutorialCheckpoint(b, device).Compile(device, 50)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	indices := make([]int32, 50)
	b.ResetTimer()
	for range (b.N + 49) / 50 {
		if _, err := p.Infer(net.Batch{Data: digits(b), Indices: indices}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "images/s")
}

// BenchmarkServe asks over HTTP from 50 clients, which run on the same processor.
func BenchmarkServe(b *testing.B) {
	device := allThreads(b)
	s, err := New(device, tutorialCheckpoint(b, device), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	server := httptest.NewServer(s)
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 50}}
	file := digitFile(b, 0)
	var next atomic.Int64
	b.ResetTimer()
	var clients sync.WaitGroup
	for range 50 {
		clients.Go(func() {
			for next.Add(1) <= int64(b.N) {
				r, err := client.Post(server.URL+"/v1/predict", "image/png", bytes.NewReader(file))
				if err == nil {
					_, err = io.Copy(io.Discard, r.Body)
					_ = r.Body.Close()
				}
				if err != nil || r.StatusCode != http.StatusOK {
					b.Errorf("%v, or no status 200", err)
					break
				}
			}
		})
	}
	clients.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "images/s")
}
