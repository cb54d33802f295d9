package serve

import (
	"errors"
	"testing"

	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/picture"
)

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
		d := decoder{in: net.Shape{C: 1, H: 2, W: 2}, prepare: picture.Auto, scale: 1. / 255, maxImages: 3, maxPixels: 10000, pixelsFor: s.pixelsFor}
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
		if !s.large.TryAcquire(10000) || !s.small.TryAcquire(2500) {
			t.Fatal("pixels were not released")
		}
		s.large.Release(10000)
		s.small.Release(2500)
	})
}
