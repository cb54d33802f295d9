package peers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Names lists the names of the peers, in the order of README.md.
var Names = []string{"tensorflow", "jax", "torch", "onnxruntime", "openvino", "gorgonia", "gomlx"}

// ErrUnavailable means that a peer can't do a job here. Either it is not installed (`make
// bench-peers` installs it, where that is possible), or it doesn't support the device, or
// it finds none, or it can't do such a network or such a mode. The error's text tells
// which.
var ErrUnavailable = errors.New("unavailable here")

// unavailable is the exit status that means ErrUnavailable.
const unavailable = 69

// Peer is a running peer. It has reported its losses and waits; it computes only during
// Repeat and Next. Only one goroutine may use it at a time.
type Peer struct {
	Name     string
	Version  string
	Settings string    // how the framework is set up, in words
	Tier     string    // its job's Tier, if it keeps to that
	Losses   []float64 // its losses in the agreement check, for Agree

	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	stderr tail
}

// Repeat is the result of one timed repeat.
type Repeat struct {
	Seconds float64 `json:"seconds"`
	Images  int     `json:"images"`
	PeakRSS int64   `json:"peak_rss"` // peak memory of the process so far, in bytes
	// DeviceMemory is the most GPU memory that the framework has held for the job, in
	// bytes. It is 0 if the framework can't tell.
	DeviceMemory int64 `json:"device_memory,omitempty"`
}

// line is any line of the protocol that a peer writes.
type line struct {
	Peer     string    `json:"peer"`
	Version  string    `json:"version"`
	Settings string    `json:"settings"`
	Tier     string    `json:"tier"`
	Loss     []float64 `json:"loss"`
	Error    string    `json:"error"`
	Trained  *Epoch    `json:"trained"`
	Repeat
}

// Start starts a peer and returns when it has reported its losses. dir is the folder of
// this package, whose script run starts the peer called name; job is the path of a job
// file. The error is ErrUnavailable if the peer can't run on this machine. The caller
// must close the peer. When ctx ends, the peer is killed.
func Start(ctx context.Context, dir, name, job string) (*Peer, error) {
	run, err := filepath.Abs(filepath.Join(dir, "run"))
	if err != nil {
		return nil, err
	}
	return start(name, exec.CommandContext(ctx, run, name, job))
}

// start runs cmd as a peer.
func start(name string, cmd *exec.Cmd) (*Peer, error) {
	p, err := begin(name, cmd)
	if err != nil {
		return nil, err
	}
	if err := p.setUp(); err != nil {
		return nil, p.failed(err)
	}
	return p, nil
}

// begin starts cmd, and reads nothing yet.
func begin(name string, cmd *exec.Cmd) (*Peer, error) {
	p := &Peer{Name: name, cmd: cmd}
	cmd.Stderr = &p.stderr
	cmd.WaitDelay = 10 * time.Second
	var err error
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	p.out.Buffer(nil, 1<<20)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("peer %s: %w", name, err)
	}
	return p, nil
}

// Next gives the peer another job. It returns when the peer has reported its losses.
// The path must be absolute. If it fails, the caller must close the peer.
func (p *Peer) Next(job string) error {
	if _, err := fmt.Fprintf(p.in, "job %s\n", job); err != nil {
		return fmt.Errorf("peer %s: %w", p.Name, err)
	}
	return p.setUp()
}

// setUp reads what a peer reports before its first repeat.
func (p *Peer) setUp() error {
	if err := p.hello(); err != nil {
		return err
	}
	l, err := p.next()
	if err != nil {
		return err
	}
	if len(l.Loss) == 0 {
		return fmt.Errorf("peer %s: shows no losses", p.Name)
	}
	p.Losses = l.Loss
	return nil
}

// hello reads the line in which a peer tells who it is.
func (p *Peer) hello() error {
	l, err := p.next()
	if err != nil {
		return err
	}
	if l.Peer != p.Name {
		return fmt.Errorf("peer %s: says that it is %q", p.Name, l.Peer)
	}
	p.Version, p.Settings, p.Tier = l.Version, l.Settings, l.Tier
	return nil
}

// next reads a line. At the end of the output the process has ended, and the error
// tells how.
func (p *Peer) next() (line, error) {
	var l line
	if !p.out.Scan() {
		if err := p.out.Err(); err != nil {
			return l, fmt.Errorf("peer %s: %w", p.Name, err)
		}
		return l, fmt.Errorf("peer %s: ended without an answer", p.Name)
	}
	d := json.NewDecoder(bytes.NewReader(p.out.Bytes()))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return l, fmt.Errorf("peer %s: a line %q that is not of the protocol: %w", p.Name, p.out.Text(), err)
	}
	if l.Error != "" {
		return l, fmt.Errorf("peer %s: %s", p.Name, l.Error)
	}
	return l, nil
}

// Repeat asks the peer for one timed repeat of the given number of batches, at least 1.
func (p *Peer) Repeat(batches int) (Repeat, error) {
	if _, err := fmt.Fprintf(p.in, "go %d\n", batches); err != nil {
		return Repeat{}, fmt.Errorf("peer %s: %w", p.Name, err)
	}
	l, err := p.next()
	if err != nil {
		return Repeat{}, err
	}
	if !(l.Seconds > 0) || l.Images < 1 {
		return Repeat{}, fmt.Errorf("peer %s: %d images in %v s is no measurement", p.Name, l.Images, l.Seconds)
	}
	return l.Repeat, nil
}

// Close ends the peer and waits for it. If the peer has failed, the error contains the
// end of its standard error.
func (p *Peer) Close() error {
	p.in.Close() // an error means that the process is over, which Wait reports
	err := p.cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.ExitCode() == unavailable:
		return fmt.Errorf("peer %s: %w", p.Name, ErrUnavailable)
	}
	return fmt.Errorf("peer %s: %w\n%s", p.Name, err, strings.TrimSpace(string(p.stderr)))
}

// notHere is an error of a peer that can't run on this machine.
type notHere struct{ error }

func (e notHere) Unwrap() []error { return []error{e.error, ErrUnavailable} }

// failed closes the peer after an error, and returns that, with what the end of the process tells beside it.
func (p *Peer) failed(err error) error {
	closed := p.Close()
	if errors.Is(closed, ErrUnavailable) {
		return notHere{err}
	}
	return errors.Join(err, closed)
}

// tail keeps only the end of what is written to it.
type tail []byte

func (t *tail) Write(b []byte) (int, error) {
	const most = 4 << 10
	*t = append(*t, b...)
	if len(*t) > most {
		*t = append((*t)[:0], (*t)[len(*t)-most:]...)
	}
	return len(b), nil
}
