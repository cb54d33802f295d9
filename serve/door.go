package serve

import (
	"errors"
	stdnet "net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// door is a listener that knows the connections that it has accepted. When a server ends,
// it closes its door, and then those connections that bring no request. What a client had
// sent before it could see that its connection was closed is still read.
type door struct {
	stdnet.Listener

	mu          sync.Mutex
	closes      time.Time // when Accept ends at the latest, once the door is closed
	connections map[*connection]struct{}
}

// A closed door still accepts the connections that already wait. It stops when no
// connection has come for someLooks times lastLook, and after stragglers at the latest.
const (
	lastLook   = time.Millisecond
	someLooks  = 3
	stragglers = 250 * time.Millisecond
)

// Accept returns connections until the door is closed, and then those that wait.
func (d *door) Accept() (stdnet.Conn, error) {
	inner, err := d.Listener.Accept()
	l, hasDeadline := d.Listener.(interface{ SetDeadline(time.Time) error })
	for range someLooks {
		d.mu.Lock()
		closes := d.closes
		d.mu.Unlock()
		if err == nil || closes.IsZero() || !hasDeadline || time.Now().After(closes) {
			break
		}
		// Each look begins with who is there, however late it is.
		if err = l.SetDeadline(time.Now().Add(lastLook)); err == nil {
			inner, err = d.Listener.Accept()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err == nil:
		c := &connection{Conn: inner}
		d.connections[c] = struct{}{}
		return c, nil
	case !d.closes.IsZero():
		return nil, stdnet.ErrClosed
	}
	return nil, err
}

// close ends Accept once it has returned the connections that wait.
func (d *door) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closes = time.Now().Add(stragglers)
	if l, ok := d.Listener.(interface{ SetDeadline(time.Time) error }); !ok || l.SetDeadline(time.Now()) != nil {
		_ = d.Listener.Close()
	}
}

// open returns how many connections there are.
func (d *door) open() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.connections)
}

// changed keeps a connection's state.
func (d *door) changed(conn stdnet.Conn, state http.ConnState) {
	c := conn.(*connection)
	switch state {
	case http.StateIdle:
		c.mu.Lock()
		c.used, c.heard = true, false
		c.mu.Unlock()
	case http.StateClosed, http.StateHijacked:
		d.mu.Lock()
		delete(d.connections, c)
		d.mu.Unlock()
	}
}

// part ends the connections on which a request was answered and nothing has come since.
// With withNew it also ends those on which nothing has ever come.
func (d *door) part(withNew bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.connections {
		c.part(withNew)
	}
}

// connection is one that can be told to end if its client has sent nothing. Its own
// goroutine ends it, so there is no moment at which something that was read gets lost.
type connection struct {
	stdnet.Conn

	mu     sync.Mutex
	used   bool // a request has been answered on it
	heard  bool // something was read since then
	parted bool
}

func (c *connection) part(isNew bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.heard && !c.parted && (c.used || isNew) {
		c.parted = true
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}
}

// Read reads, as net.Conn does. After the connection was told to end, it still returns
// what had come by then.
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.hears(n) && n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		if n = c.readNow(p); n > 0 {
			c.hears(n)
			return n, nil
		}
	}
	return n, err
}

// readNow reads what has come, without waiting. It returns 0 if nothing has.
func (c *connection) readNow(p []byte) (n int) {
	inner, ok := c.Conn.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := inner.SyscallConn()
	if err != nil {
		return 0
	}
	_ = c.SetReadDeadline(time.Time{})
	_ = raw.Read(func(fd uintptr) bool {
		n, _ = readDescriptor(fd, p)
		return true
	})
	return max(n, 0)
}

// hears notes that n bytes were read, and reports whether the connection was to end before
// it had heard anything.
func (c *connection) hears(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	parted := c.parted && !c.heard
	if c.heard = c.heard || n > 0; c.heard && parted {
		_ = c.SetReadDeadline(time.Now().Add(linger)) // for the rest of the header
	}
	return parted
}

// CloseWrite ends what is written, so that the last answer arrives where the client still
// sends.
func (c *connection) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}
