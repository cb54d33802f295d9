//go:build unix

package serve

import (
	"errors"
	"io"
	stdnet "net"
	"net/http"
	"testing"
	"time"
)

// TestDoor checks that nothing that has come is lost when a door is closed: connections that
// wait are accepted, and what was sent on a connection that is to end is read.
func TestDoor(t *testing.T) {
	l, err := stdnet.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := &door{Listener: l, connections: map[*connection]struct{}{}}
	const text = "GET / HTTP/1.1\r\n"
	var clients []stdnet.Conn
	for range 4 {
		c, err := stdnet.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clients = append(clients, c)
	}
	d.close()
	var served []stdnet.Conn
	for {
		c, err := d.Accept()
		if err != nil {
			if !errors.Is(err, stdnet.ErrClosed) {
				t.Error(err)
			}
			break
		}
		served = append(served, c)
	}
	if len(served) != len(clients) || d.open() != len(clients) {
		t.Fatalf("%d connections of %d that waited were accepted, %d are counted", len(served), len(clients), d.open())
	}
	sent := func(k int) {
		if _, err := io.WriteString(clients[k], text); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // until it has come
	}
	reads := func(what string, k int, want string) {
		t.Helper()
		b := make([]byte, 100)
		_ = clients[k].SetDeadline(time.Now().Add(10 * time.Second))
		n, err := served[k].Read(b)
		if timeout := stdnet.Error(nil); string(b[:n]) != want || (want == "") != (errors.As(err, &timeout) && timeout.Timeout()) {
			t.Errorf("%s: read %q, %v; want %q", what, b[:n], err, want)
		}
	}
	d.changed(served[0], http.StateIdle)
	d.changed(served[1], http.StateIdle)
	sent(0)
	sent(2)
	d.part(false)
	reads("used, and sent before it was to end", 0, text)
	sent(0)
	reads("the rest of the header", 0, text)
	reads("used and silent", 1, "")
	reads("new", 2, text)
	d.part(true)
	sent(2)
	reads("new, but heard", 2, text)
	reads("new and silent", 3, "")
	for _, c := range served {
		d.changed(c, http.StateClosed)
		_ = c.Close()
	}
	if d.open() != 0 {
		t.Errorf("%d connections are left, want none", d.open())
	}
}
