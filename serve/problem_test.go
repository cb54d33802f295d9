package serve

import (
	"image"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gputrain/gputrain/picture/picturetest"
)

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
		{"text", "POST", "/v1/predict", "", "hello", 415, "not a JPEG, PNG, GIF, BMP, TIFF or WebP image"},
		{"JSON without its type", "POST", "/v1/predict", "", "{}", 415, "application/json"},
		{"JSON without its type, with a byte-order mark", "POST", "/v1/predict", "", "\xef\xbb\xbf{}", 415, "application/json"},
		{"empty", "POST", "/v1/predict", "", "", 400, "the body is empty"},
		{"giant", "POST", "/v1/predict", "", string(giant), 413, "100 x 100 pixels"},
		{"long", "POST", "/v1/predict", "", strings.Repeat("x", 20001), 413, "more than 20000 bytes"},
		{"blank", "POST", "/v1/predict", "", string(blank), 422, "nothing to see"},
		{"damaged", "POST", "/v1/predict", "", string(giant[:60]), 413, "pixels"},
		{"not JSON", "POST", "/v1/predict", json, "{", 400, "not a JSON object"},
		{"array", "POST", "/v1/predict", json, "[[1]]", 400, "it is an array"},
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
		{"form of text alone", "POST", "/v1/predict", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=a\r\n\r\nhello\r\n--x--\r\n", 400, "no image file"},
		{"form with a file of text", "POST", "/v1/predict", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=a; filename=b.txt\r\n\r\nhello\r\n--x--\r\n", 415, "b.txt"},
		{"form with an image of another format", "POST", "/v1/predict", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=a\r\nContent-Type: image/heic\r\n\r\nhello\r\n--x--\r\n", 415, "not a JPEG"},
		{"bad type", "POST", "/v1/predict", "a/b/c;;", "x", 415, "content type"},
		{"bad parameter", "POST", "/v1/predict?topp=1", "", "x", 400, `no parameter "topp"`},
		{"semicolon", "POST", "/v1/predict?top=1;x", "", "x", 400, "query can't be read"},
		{"bad escape", "POST", "/v1/predict?top=%zz", "", "x", 400, "query can't be read"},
		{"bad top", "POST", "/v1/predict?top=0", "", "x", 400, "at least 1"},
		{"bad prepare", "POST", "/v1/predict?prepare=x", "", "x", 400, "want one of"},
		{"two activations", "POST", "/v1/activations", json, `{"pixels": [` + row + "," + row + `]}`, 413, "more than 1 images"},
		{"GET", "GET", "/v1/predict", "", "", 405, "use POST"},
		{"nowhere", "GET", "/v2", "", "", 404, "nothing here"},
		{"no example", "GET", "/examples/1.png", "", "", 404, "no such example"},
	} {
		w := do(t, s, c.method, c.path, c.kind, []byte(c.body), "Authorization", "Bearer secret")
		if w.Code != c.status || !strings.Contains(strings.ReplaceAll(w.Body.String(), `\"`, `"`), c.want) || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: status %d, %s; want %d and %q", c.name, w.Code, w.Body, c.status, c.want)
		}
		for _, inside := range []string{"secret", "serve.", "goroutine", ".go"} {
			if strings.Contains(w.Body.String(), inside) {
				t.Errorf("%s: %s tells of %q", c.name, w.Body, inside)
			}
		}
	}
	if w := do(t, s, "POST", "/v1/predict", "", nil, "Authorization", "Bearer secret", "Content-Encoding", "gzip"); w.Code != 415 {
		t.Errorf("encoded: status %d, want 415", w.Code)
	}
	if w := do(t, s, "POST", "/v1/predict", "", nil, "Sec-Fetch-Site", "cross-site"); w.Code != 403 {
		t.Errorf("another site's page: status %d, want 403", w.Code)
	}
}

func TestToken(t *testing.T) {
	s := newServer(t, Options{Token: "secret"})
	for header, status := range map[string]int{
		"": 401, "Bearer": 401, "Bearer wrong": 401, "Bearer secre": 401, "Basic secret": 401, "Bearer secret": 200, "bearer secret": 200,
	} {
		for _, path := range []string{"/v1/model", "/metrics"} {
			w := do(t, s, "GET", path, "", nil, "Authorization", header)
			if w.Code != status || (status == 401) != (w.Header().Get("WWW-Authenticate") != "") {
				t.Errorf("%q at %s: status %d, want %d", header, path, w.Code, status)
			}
		}
	}
	for _, path := range []string{"/", "/page.js", "/page.css", "/healthz", "/readyz", "/openapi.yaml"} {
		if w := do(t, s, "GET", path, "", nil); w.Code != 200 {
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
		wait.Go(func() { codes <- do(t, s, "POST", "/v1/predict", "", file).Code })
	}
	for s.queue.length() < 2 {
		time.Sleep(time.Millisecond)
	}
	if w := do(t, s, "POST", "/v1/predict", "", file); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("full queue: status %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	wait.Wait()
	for range 2 {
		if code := <-codes; code != 503 {
			t.Errorf("no answer in time: status %d, want 503", code)
		}
	}
	close(held)
	if w := do(t, s, "POST", "/v1/predict", "", file); w.Code != 200 {
		t.Errorf("afterwards: status %d, want 200", w.Code)
	}
}

// TestFairness checks that images which fill the room for large ones, one being decoded
// and others waiting, keep no small one waiting.
func TestFairness(t *testing.T) {
	s := newServer(t, Options{MaxPixels: 28 * 28 * 16, Timeout: 2 * time.Second})
	if err := s.large.Acquire(t.Context(), 28*28*16); err != nil { // one is being decoded
		t.Fatal(err)
	}
	large := picturetest.Encoded(t, "png", image.NewGray(image.Rect(0, 0, 100, 100)))
	var wait sync.WaitGroup
	codes := make(chan int, 3)
	for range cap(codes) {
		wait.Go(func() { codes <- do(t, s, "POST", "/v1/predict?prepare=stretch", "", large).Code })
	}
	time.Sleep(50 * time.Millisecond)
	if w := do(t, s, "POST", "/v1/predict", "", digitFile(t, 0)); w.Code != 200 {
		t.Errorf("a small image beside large ones: status %d, %s", w.Code, w.Body)
	}
	wait.Wait()
	for range cap(codes) {
		if code := <-codes; code != 503 {
			t.Errorf("large images that waited: status %d, want 503", code)
		}
	}
	s.large.Release(28 * 28 * 16)
	if w := do(t, s, "POST", "/v1/predict?prepare=stretch", "", large); w.Code != 200 {
		t.Errorf("a large image afterwards: status %d", w.Code)
	}
}
