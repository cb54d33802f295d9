//go:build !windows

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	stdnet "net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
	"github.com/gputrain/gputrain/picture/picturetest"
	"github.com/gputrain/gputrain/serve"
)

// loadClients ask at the same time.
const loadClients = 50

// A probability of the same kernels may differ in its last bits by the batch that
// its image was in, as dense layers order their sums by it. Logits of some 10 are
// sums of some 1,000 products, and the exponential makes their absolute errors
// relative ones.
var loadTolerance = approx.Tolerance{Abs: 1e-7, Rel: 1e-5}

// serveLoad is a serve process with the tutorial's network, and what it is to answer.
type serveLoad struct {
	page  string
	host  string
	model *model
	data  *net.Dataset
	files [][]byte       // of the test set
	wants [][]net.Ranked // predict's

	statuses map[int]int
	worst    approx.Result
}

// answered is what came of a request.
type answered struct {
	status int
	body   []byte
	err    error
}

// trainedTutorial is the tutorial's network once it tells most digits.
var trainedTutorial = trainedOnce("--learning-rate", "0.001", "--epochs", "1", "--limit", "15000")

func newServeLoad(t testing.TB) *serveLoad {
	t.Helper()
	binary := build(t)
	checkpoint, err := trainedTutorial()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), net.LastCheckpoint)
	if err := net.SaveCheckpoint(path, checkpoint); err != nil {
		t.Fatal(err)
	}
	l := &serveLoad{
		model: compiled(t, checkpoint, 1), data: testDigits(t), statuses: map[int]int{},
	}
	for i := range l.data.Len() {
		file := picturetest.Encoded(t, "png", picturetest.Digit(l.data, i))
		img, err := picture.Read(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		pixels, err := picture.Auto.Pixels(img, l.model.plan.Network.Input)
		if err != nil {
			t.Fatal(err)
		}
		a, err := l.model.answer(question{pixels: pixels, label: -1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		l.files, l.wants = append(l.files, file), append(l.wants, a.Classes)
	}
	_, l.page = startServe(t, binary, "--run", path, "--log-level", "warn")
	l.host = hostOf(l.page)
	return l
}

// ask asks about test images, each once, and returns what came in their order. A
// client is a connection and little else, because it shares the cores that the
// server is timed on.
func (l *serveLoad) ask(first, n int) []answered {
	answers := make([]answered, n)
	var next atomic.Int64
	var clients sync.WaitGroup
	for range loadClients {
		clients.Go(func() {
			var c loadClient
			defer c.close()
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				answers[i] = c.post(l.host, l.files[(first+int(i))%len(l.files)])
			}
		})
	}
	clients.Wait()
	return answers
}

// hostOf returns the host and port of a server's page.
func hostOf(page string) string { return strings.Trim(strings.TrimPrefix(page, "http:"), "/") }

// loadClient is a connection, once there is one.
type loadClient struct {
	conn stdnet.Conn
	from *bufio.Reader
}

func (c *loadClient) close() {
	if c.conn != nil {
		c.conn.Close()
	}
}

// post asks about an image.
func (c *loadClient) post(host string, file []byte) answered {
	if c.conn == nil {
		conn, err := stdnet.Dial("tcp", host)
		if err != nil {
			return answered{err: err}
		}
		c.conn, c.from = conn, bufio.NewReader(conn)
	}
	request := fmt.Appendf(nil, "POST /v1/predict HTTP/1.1\r\nHost: %s\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n", host, len(file))
	if _, err := c.conn.Write(append(request, file...)); err != nil {
		return answered{err: err}
	}
	r, err := http.ReadResponse(c.from, nil)
	if err != nil {
		return answered{err: err}
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return answered{r.StatusCode, body, err}
}

// check holds answers to predict's, and counts them by their status.
func (l *serveLoad) check(t testing.TB, first int, answers []answered) {
	t.Helper()
	for i, a := range answers {
		k := (first + i) % len(l.files)
		l.statuses[a.status]++
		var p serve.Predictions
		if a.err == nil && a.status == http.StatusOK {
			a.err = json.Unmarshal(a.body, &p)
		}
		if a.err != nil || len(p.Predictions) != 1 {
			t.Errorf("test image %d: status %d, %v: %.200s", k, a.status, a.err, a.body)
			continue
		}
		got, want := p.Predictions[0].Classes, l.wants[k]
		if got[0].Class != want[0].Class {
			t.Errorf("test image %d: served %s, predict says %s", k, got[0].Class, want[0].Class)
		}
		r := approx.Compare(byClass(got), byClass(want), loadTolerance)
		if !r.OK {
			t.Errorf("test image %d: %v", k, r)
		}
		if r.Used >= l.worst.Used {
			l.worst = r
		}
	}
}

// report tells what all answers that were checked came to.
func (l *serveLoad) report(t testing.TB) {
	t.Helper()
	t.Logf("answers by status: %v; beside predict's %v", l.statuses, l.worst)
}

// byClass puts the probabilities of ten classes into the classes' order.
func byClass(ranked []net.Ranked) []float64 {
	out := make([]float64, 10)
	for _, r := range ranked {
		out[r.Class[0]-'0'] = r.Probability
	}
	return out
}

// BenchmarkServe has 50 clients ask a serve process about the test set's images as
// files, in turns with inference without a server in batches of 50. It fails unless
// each answer is predict's.
func BenchmarkServe(b *testing.B) {
	l := newServeLoad(b)
	bare := compiled(b, l.model.checkpoint, loadClients)
	var served, inferred time.Duration
	const turn = 1000
	for first := 0; first < b.N; first += turn {
		n := min(turn, b.N-first)
		start := time.Now()
		answers := l.ask(first, n)
		served += time.Since(start)
		l.check(b, first, answers)

		indices := make([]int32, loadClients)
		start = time.Now()
		for i := 0; i < n; i += loadClients {
			for k := range indices {
				indices[k] = int32((first + i + k) % l.data.Len())
			}
			if _, err := bare.program.Infer(net.Batch{Data: l.data, Indices: indices[:min(loadClients, n-i)]}); err != nil {
				b.Fatal(err)
			}
		}
		inferred += time.Since(start)
	}
	l.report(b)
	b.ReportMetric(float64(served.Nanoseconds())/float64(b.N), "ns/op")
	b.ReportMetric(float64(b.N)/served.Seconds(), "requests/s")
	b.ReportMetric(float64(b.N)/inferred.Seconds(), "bare-images/s")
	b.ReportMetric(inferred.Seconds()/served.Seconds(), "of-bare")
}

// TestServeMemory watches a serve process's memory while 50 clients ask it, for as
// long as GPUTRAIN_TEST_MEMORY says, and fails if it grows: the mean of the last
// fifth of the time may exceed that of the second fifth by 5 %.
func TestServeMemory(t *testing.T) {
	text := os.Getenv("GPUTRAIN_TEST_MEMORY")
	if text == "" {
		t.Skip("takes minutes; make check-serve-memory runs it")
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	l := newServeLoad(t)
	const samples = 20 // in all
	var resident []float64
	start := time.Now()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for first := 0; time.Since(start) < length; first += 2000 {
			l.check(t, first, l.ask(first, 2000))
		}
	}()
	for i := 1; i <= samples; i++ {
		time.Sleep(time.Until(start.Add(length * time.Duration(i) / samples)))
		resident = append(resident, l.residentMiB(t))
		t.Logf("%5.0f s: %.1f MiB resident", time.Since(start).Seconds(), resident[i-1])
	}
	<-ended
	l.report(t)
	mean := func(fifth int) float64 {
		sum := 0.0
		for _, v := range resident[fifth*samples/5 : (fifth+1)*samples/5] {
			sum += v / (samples / 5)
		}
		return sum
	}
	t.Logf("mean of the second fifth %.1f MiB, of the last %.1f MiB: %+.2f %%", mean(1), mean(4), 100*(mean(4)/mean(1)-1))
	if !(mean(4) <= 1.05*mean(1)) {
		t.Error("memory grows")
	}
}

// residentMiB is the resident memory that the server's metrics tell.
func (l *serveLoad) residentMiB(t testing.TB) float64 {
	t.Helper()
	m := regexp.MustCompile(`(?m)^process_resident_memory_bytes (\S+)$`).FindSubmatch(get(t, l.page+"metrics"))
	if m == nil {
		t.Fatal("the metrics have no resident memory")
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v / (1 << 20)
}
