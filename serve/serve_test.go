package serve

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"mime/multipart"
	stdnet "net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/internal/approx"
	"github.com/gputrain/gputrain/mnist"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
	"github.com/gputrain/gputrain/picture/picturetest"
)

const small = `{"name": "small", "input": {"channels": 1, "height": 28, "width": 28}, "layers": [
	{"type": "conv", "filters": 3, "kernel": 5}, {"type": "activation", "func": "tanh"}, {"type": "pool", "mode": "mean", "kernel": 4},
	{"type": "flatten"}, {"type": "dense", "units": 10}]}`

// checkpoint is of a network that has learnt nothing: its answers differ by seed.
func checkpoint(t testing.TB, seed uint64) *net.Checkpoint {
	t.Helper()
	network, err := net.ParseNetwork(strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	device := newDevice(t)
	p, err := device.Compile(network, net.Options{Batch: 1, Optimizer: net.SGDDefault(0), Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	state, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	recipe := net.Recipes()[0]
	recipe.Seed = seed
	return &net.Checkpoint{Network: network, Recipe: recipe, Train: digits(t).ID(), State: state}
}

func newDevice(t testing.TB) net.Device {
	t.Helper()
	d, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() }) // stops its threads
	return d
}

var digits = func() func(testing.TB) *net.Dataset {
	load := sync.OnceValues(mnist.Tutorial)
	return func(t testing.TB) *net.Dataset {
		split, err := load()
		if err != nil {
			t.Fatal(err)
		}
		return split.Test.Slice(0, 100)
	}
}()

// newServer serves a network that has learnt nothing.
func newServer(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := New(newDevice(t), checkpoint(t, 1), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// digitFile is test image i as a PNG file.
func digitFile(t testing.TB, i int) []byte {
	return picturetest.Encoded(t, "png", picturetest.Digit(digits(t), i))
}

// do answers one request.
func do(s *Server, method, path, kind string, body []byte, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// want is what a device computes of test image i as it stands.
func want(t *testing.T, c *net.Checkpoint, i int) []float32 {
	t.Helper()
	p, err := c.Compile(newDevice(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	d, err := p.Infer(net.Batch{Data: digits(t), Indices: []int32{int32(i)}})
	if err != nil {
		t.Fatal(err)
	}
	return d.Float32s()
}

// byClass puts ranked classes into their order by number.
func byClass(t *testing.T, ranked []net.Ranked) []float32 {
	t.Helper()
	out := make([]float32, len(ranked))
	for _, r := range ranked {
		var k int
		if _, err := fmt.Sscan(r.Class, &k); err != nil {
			t.Fatal(err)
		}
		out[k] = float32(r.Probability)
	}
	return out
}

// The same kernels compute the same sums, but batches may order them otherwise.
var tolerance = approx.Tolerance{Abs: 1e-6, Rel: 1e-6}

func predictions(t *testing.T, w *httptest.ResponseRecorder) []Prediction {
	t.Helper()
	var p Predictions
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 200 {
		t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
	}
	return p.Predictions
}

func TestPredict(t *testing.T) {
	s := newServer(t, Options{})
	c := checkpoint(t, 1)
	// A file, resized to the size that it has, and arrays are the image as it stands.
	file := predictions(t, do(s, "POST", "/v1/predict?prepare=resize", "image/png", digitFile(t, 3)))
	approx.Check(t, "file", byClass(t, file[0].Classes), want(t, c, 3), tolerance)

	var flat []int
	for _, p := range digits(t).Pixels[3*784:][:784] {
		flat = append(flat, int(p))
	}
	var rows [][]int
	for y := range 28 {
		rows = append(rows, flat[28*y:28*y+28])
	}
	body, err := json.Marshal(map[string]any{"pixels": []any{flat, rows, [][][]int{rows}}})
	if err != nil {
		t.Fatal(err)
	}
	arrays := predictions(t, do(s, "POST", "/v1/predict", "application/json", body))
	if len(arrays) != 3 {
		t.Fatalf("%d predictions, want 3", len(arrays))
	}
	for i, p := range arrays {
		approx.Check(t, fmt.Sprintf("array %d", i), byClass(t, p.Classes), want(t, c, 3), tolerance)
	}

	var form bytes.Buffer
	m := multipart.NewWriter(&form)
	for i := range 2 {
		part, err := m.CreateFormFile("x", fmt.Sprintf("%d.png", i))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write(digitFile(t, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	files := predictions(t, do(s, "POST", "/v1/predict?prepare=resize&top=2", m.FormDataContentType(), form.Bytes()))
	if len(files) != 2 || files[1].Image != "1.png" || len(files[1].Classes) != 2 {
		t.Errorf("got %+v, want two classes of 0.png and of 1.png", files)
	}
}

func TestActivations(t *testing.T) {
	s := newServer(t, Options{})
	w := do(s, "POST", "/v1/activations?prepare=resize", "", digitFile(t, 3))
	var a Activations
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != 200 {
		t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
	}
	approx.Check(t, "classes", byClass(t, a.Classes), want(t, checkpoint(t, 1), 3), tolerance)
	if seen, err := base64.StdEncoding.DecodeString(a.Input.Data); err != nil || len(seen) != 784 {
		t.Errorf("input of %d bytes, %v", len(seen), err)
	}
	var names []string
	for _, l := range a.Layers {
		data, err := base64.StdEncoding.DecodeString(l.Data)
		if err != nil || len(data) != l.Shown.Size() || l.Low > 0 || l.High < 0 {
			t.Errorf("layer %s: %d bytes of %v, from %v to %v, %v", l.Name, len(data), l.Shown, l.Low, l.High, err)
		}
		names = append(names, l.Name)
	}
	if got := strings.Join(names, " "); got != "conv1 tanh1 pool1 dense1" {
		t.Errorf("layers %s", got)
	}
	if w := do(newServer(t, Options{NoActivations: true}), "POST", "/v1/activations", "", digitFile(t, 3)); w.Code != 404 {
		t.Errorf("switched off: status %d", w.Code)
	}
}

// TestProblems checks the status and the message of what is wrong, and that no
// answer tells what is inside.
func TestProblems(t *testing.T) {
	s := newServer(t, Options{MaxBody: 20000, MaxImages: 2, MaxPixels: 1000, Token: "secret"})
	row := "[" + strings.Repeat("0,", 783) + "0]"
	blank := picturetest.Encoded(t, "png", image.NewGray(image.Rect(0, 0, 28, 28)))
	giant := picturetest.Encoded(t, "png", image.NewGray(image.Rect(0, 0, 100, 100)))
	const json = "application/json"
	for _, c := range []struct {
		name, method, path, kind, body string
		status                         int
		want                           string
	}{
		{"text", "POST", "/v1/predict", "", "hello", 415, "not a PNG, JPEG or GIF image"},
		{"JSON without its type", "POST", "/v1/predict", "", "{}", 415, "application/json"},
		{"empty", "POST", "/v1/predict", "", "", 400, "the body is empty"},
		{"giant", "POST", "/v1/predict", "", string(giant), 413, "100 x 100 pixels"},
		{"long", "POST", "/v1/predict", "", strings.Repeat("x", 20001), 413, "more than 20000 bytes"},
		{"blank", "POST", "/v1/predict", "", string(blank), 422, "nothing to see"},
		{"damaged", "POST", "/v1/predict", "", string(giant[:60]), 413, "pixels"},
		{"not JSON", "POST", "/v1/predict", json, "{", 400, "not a JSON object"},
		{"array", "POST", "/v1/predict", json, "[[1]]", 400, "it is array"},
		{"two objects", "POST", "/v1/predict", json, `{"pixels":[` + row + `]} 1`, 400, "something behind"},
		{"unknown field", "POST", "/v1/predict", json, `{"x": 1}`, 400, "unknown field"},
		{"no field", "POST", "/v1/predict", json, `{}`, 400, "needs either"},
		{"no sample", "POST", "/v1/predict", json, `{"pixels": []}`, 422, "there is no sample"},
		{"short", "POST", "/v1/predict", json, `{"pixels": [[1,2]]}`, 422, "2 numbers; a sample is an array of 784"},
		{"not a byte", "POST", "/v1/predict", json, `{"pixels": [[256]]}`, 422, "256 is not a whole number"},
		{"infinite", "POST", "/v1/predict", json, `{"values": [[1e39]]}`, 422, "fits float32"},
		{"deep", "POST", "/v1/predict", json, `{"values": [[[[[1]]]]]}`, 422, "too many arrays"},
		{"ragged", "POST", "/v1/predict", json, `{"values": [[[1],[1,2]]]}`, 422, "different lengths"},
		{"text in it", "POST", "/v1/predict", json, `{"values": [["1"]]}`, 422, "is not a number"},
		{"many", "POST", "/v1/predict", json, `{"pixels": [` + row + "," + row + "," + row + `]}`, 413, "more than 2 images"},
		{"form without boundary", "POST", "/v1/predict", "multipart/form-data", "x", 400, "boundary"},
		{"form cut short", "POST", "/v1/predict", "multipart/form-data; boundary=x", "--x\r\n\r\nabc", 400, "form is damaged"},
		{"form without files", "POST", "/v1/predict", "multipart/form-data; boundary=x", "--x--\r\n", 400, "no image file"},
		{"bad type", "POST", "/v1/predict", "a/b/c;;", "x", 415, "content type"},
		{"bad parameter", "POST", "/v1/predict?topp=1", "", "x", 400, `no parameter "topp"`},
		{"bad top", "POST", "/v1/predict?top=0", "", "x", 400, "at least 1"},
		{"bad prepare", "POST", "/v1/predict?prepare=x", "", "x", 400, "want one of"},
		{"two activations", "POST", "/v1/activations", json, `{"pixels": [` + row + "," + row + `]}`, 413, "more than 1 images"},
		{"GET", "GET", "/v1/predict", "", "", 405, "use POST"},
		{"nowhere", "GET", "/v2", "", "", 404, "nothing here"},
		{"no example", "GET", "/examples/1.png", "", "", 404, "no such example"},
	} {
		w := do(s, c.method, c.path, c.kind, []byte(c.body), "Authorization", "Bearer secret")
		if w.Code != c.status || !strings.Contains(strings.ReplaceAll(w.Body.String(), `\"`, `"`), c.want) || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: status %d, %s; want %d and %q", c.name, w.Code, w.Body, c.status, c.want)
		}
		for _, inside := range []string{"secret", "serve.", "goroutine", ".go"} {
			if strings.Contains(w.Body.String(), inside) {
				t.Errorf("%s: %s tells of %q", c.name, w.Body, inside)
			}
		}
	}
	if w := do(s, "POST", "/v1/predict", "", nil, "Authorization", "Bearer secret", "Content-Encoding", "gzip"); w.Code != 415 {
		t.Errorf("encoded: status %d, want 415", w.Code)
	}
	if w := do(s, "POST", "/v1/predict", "", nil, "Sec-Fetch-Site", "cross-site"); w.Code != 403 {
		t.Errorf("another site's page: status %d, want 403", w.Code)
	}
}

func TestToken(t *testing.T) {
	s := newServer(t, Options{Token: "secret"})
	for header, status := range map[string]int{
		"": 401, "Bearer": 401, "Bearer wrong": 401, "Bearer secre": 401, "Basic secret": 401, "Bearer secret": 200, "bearer secret": 200,
	} {
		for _, path := range []string{"/v1/model", "/metrics"} {
			w := do(s, "GET", path, "", nil, "Authorization", header)
			if w.Code != status || (status == 401) != (w.Header().Get("WWW-Authenticate") != "") {
				t.Errorf("%q at %s: status %d, want %d", header, path, w.Code, status)
			}
		}
	}
	for _, path := range []string{"/", "/page.js", "/page.css", "/healthz", "/readyz", "/openapi.yaml"} {
		if w := do(s, "GET", path, "", nil); w.Code != 200 {
			t.Errorf("%s without token: status %d", path, w.Code)
		}
	}
}

func TestFull(t *testing.T) {
	s := newServer(t, Options{Queue: 2, MaxWait: -1, Timeout: 2 * time.Second})
	held := make(chan struct{})
	s.queue.later(func() { <-held }) // the device is busy
	file := digitFile(t, 0)
	var wait sync.WaitGroup
	codes := make(chan int, 2)
	for range 2 {
		wait.Go(func() { codes <- do(s, "POST", "/v1/predict", "", file).Code })
	}
	for s.queue.length() < 2 {
		time.Sleep(time.Millisecond)
	}
	if w := do(s, "POST", "/v1/predict", "", file); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("full queue: status %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	wait.Wait()
	for range 2 {
		if code := <-codes; code != 503 {
			t.Errorf("no answer in time: status %d, want 503", code)
		}
	}
	close(held)
	if w := do(s, "POST", "/v1/predict", "", file); w.Code != 200 {
		t.Errorf("afterwards: status %d, want 200", w.Code)
	}
}

// TestManyClients asks from many clients while checkpoints are replaced: every
// request is answered, by one of the two networks, and right.
func TestManyClients(t *testing.T) {
	s := newServer(t, Options{})
	first, second := checkpoint(t, 1), checkpoint(t, 2)
	wants := map[string][][]float32{}
	for _, c := range []*net.Checkpoint{first, second} {
		id := fingerprint(c.State.Params)
		for i := range 10 {
			wants[id] = append(wants[id], want(t, c, i))
		}
	}
	var wait sync.WaitGroup
	for client := range 20 {
		wait.Go(func() {
			for i := range 20 {
				k := (client + i) % 10
				w := do(s, "POST", "/v1/predict?prepare=resize", "", digitFile(t, k))
				var p Predictions
				if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 200 {
					t.Errorf("status %d, %v: %s", w.Code, err, w.Body)
					return
				}
				approx.Check(t, p.Model, byClass(t, p.Predictions[0].Classes), wants[p.Model][k], tolerance)
			}
		})
	}
	for i := range 10 {
		if err := s.Replace([]*net.Checkpoint{second, first}[i%2]); err != nil {
			t.Error(err)
		}
	}
	wait.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.models) != 1 {
		t.Errorf("%d models are open, want 1", len(s.models))
	}
}

func TestReload(t *testing.T) {
	var log bytes.Buffer
	s := newServer(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	path := filepath.Join(t.TempDir(), "last.safetensors")
	was := s.Model().ID
	if err := os.WriteFile(path, []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(path); !errors.Is(err, net.ErrCheckpoint) || s.Model().ID != was {
		t.Errorf("damaged: %v, model %s, was %s", err, s.Model().ID, was)
	}
	if !strings.Contains(log.String(), "the one before answers on") {
		t.Errorf("the log doesn't tell: %s", &log)
	}
	ctx, stop := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() { s.Watch(ctx, path, time.Millisecond); close(watched) }()
	time.Sleep(20 * time.Millisecond)
	if err := net.SaveCheckpoint(path, checkpoint(t, 2)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); s.Model().ID == was && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	stop()
	<-watched
	if s.Model().ID == was {
		t.Error("a new checkpoint wasn't loaded")
	}
}

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
	if got := send("POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"); !strings.HasPrefix(got, "HTTP/1.1 408 ") {
		t.Errorf("slow body: %q, want 408", got)
	}
	if got := send("POST /v1/predict HTTP/1.1\r\nHost: x\r\n"); strings.Contains(got, "200 OK") {
		t.Errorf("slow header: %q", got)
	}
	held := make(chan struct{})
	s.queue.later(func() { <-held })
	answered := make(chan string, 1)
	file := digitFile(t, 0)
	go func() {
		r, err := http.Post("http://"+l.Addr().String()+"/v1/predict", "image/png", bytes.NewReader(file))
		if err != nil {
			answered <- err.Error()
			return
		}
		defer r.Body.Close()
		answered <- r.Status
	}()
	for s.queue.length() == 0 {
		time.Sleep(time.Millisecond)
	}
	stop()
	for !s.draining.Load() {
		time.Sleep(time.Millisecond)
	}
	if w := do(s, "GET", "/readyz", "", nil); w.Code != 503 {
		t.Errorf("readyz while ending: status %d, want 503", w.Code)
	}
	close(held)
	if got := <-answered; got != "200 OK" {
		t.Errorf("in flight: %s", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// FuzzDecode reads any body of any type: it gives whole samples, or a problem that
// is the client's.
func FuzzDecode(f *testing.F) {
	file := digitFile(f, 0)
	f.Add("", file)
	f.Add("application/json", []byte(`{"pixels": [[[1, 2], [3, 4]]]}`))
	f.Add("application/json", []byte(`{"values": [[1e3, -0.5, 0, 1]]}`))
	f.Add("multipart/form-data; boundary=x", []byte("--x\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n"+string(file)+"\r\n--x--\r\n"))
	s := newServer(f, Options{MaxPixels: 10000})
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		d := decoder{in: net.Shape{C: 1, H: 2, W: 2}, prepare: picture.Auto, maxImages: 3, maxPixels: 10000, pixels: s.pixels}
		got, err := d.decode(t.Context(), kind, body)
		if err != nil {
			var p *problem
			if !errors.As(err, &p) || p.status < 400 || p.status > 499 || p.detail == "" {
				t.Errorf("%v, want a problem of the client's", err)
			}
			return
		}
		if got.n < 1 || got.n > 3 || len(got.values) != 4*got.n {
			t.Errorf("%d samples of %d values", got.n, len(got.values))
		}
		for _, v := range got.values {
			if v-v != 0 {
				t.Errorf("value %v", v)
			}
		}
		if !s.pixels.TryAcquire(10000) {
			t.Fatal("pixels were not released")
		}
		s.pixels.Release(10000)
	})
}
