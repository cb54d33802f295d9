// Package rendezvous brings processes together that were started one by one, each with its
// rank, the number of all, and the address of process 0. Process 0 listens there. The others
// keep a connection to it while they run. So each learns within seconds if another one ends
// or its machine vanishes.
//
// Process 0 also answers MPICH's processes as their process manager; see pmi.go. Gather is for
// what processes tell each other before an engine such as NCCL connects them. No values of a
// network pass through these connections.
package rendezvous

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options say who meets where.
type Options struct {
	Rank, Size int
	Address    string // host:port at which process 0 listens; ":0" leaves the port to the system
	// Addresses, unless it is empty, are where the others look for process 0, one after the other.
	// Otherwise they look at Address.
	Addresses []string
	// Token keeps groups apart. All processes of a group have the same; it has no spaces.
	Token string
	// Taken says that something else listens at the port, such as torchrun's store.
	Taken bool
	// Wait is how long processes wait for each other at most; 0: five minutes.
	Wait time.Duration
	// Waiting is told every few seconds whom this process waits for; nil tells nobody.
	Waiting func(text string)
}

// portsToTry is how many ports process 0 tries, from that of the address on. The others try
// the same.
const portsToTry = 16

// hello begins the first line on a connection, and the answers.
const hello = "gputrain-group 1"

// vanished is how long a connection may be silent, and then unanswered, before its machine
// counts as gone.
var vanished = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 3 * time.Second, Count: 4}

// Group is this process's connection to process 0, or process 0's to all others.
type Group struct {
	options  Options
	host     string
	at       string // where process 0 listens
	listener net.Listener

	mu      sync.Mutex
	conns   map[int]net.Conn // by rank
	hosts   map[int]string
	left    map[int]bool // said good-bye
	met     chan struct{}
	lost    chan error
	gone    chan struct{} // closed after the first loss
	loss    error
	told    map[int]chan string // what each has said for Gather
	closing bool
	manager *manager
}

// Join meets the other processes. It returns when all are there.
func Join(ctx context.Context, o Options) (*Group, error) {
	g, err := Begin(ctx, o)
	if err != nil {
		return nil, err
	}
	return g, g.Meet(ctx)
}

// Begin is the first part of Join: process 0 listens after it. Then Meet is the rest.
func Begin(ctx context.Context, o Options) (*Group, error) {
	if o.Wait == 0 {
		o.Wait = 5 * time.Minute
	}
	if o.Token == "" {
		o.Token = "-"
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown"
	}
	g := &Group{options: o, host: host, conns: map[int]net.Conn{}, hosts: map[int]string{0: host}, left: map[int]bool{}, met: make(chan struct{}), lost: make(chan error, 1), gone: make(chan struct{}), told: map[int]chan string{}}
	for r := range o.Size {
		g.told[r] = make(chan string, 1)
	}
	if o.Rank > 0 {
		return g, nil
	}
	if err := g.receive(ctx); err != nil {
		g.end()
		return nil, err
	}
	return g, nil
}

// Meet waits until all processes are there. If they don't come in time, it closes the group.
func (g *Group) Meet(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, g.options.Wait)
	defer cancel()
	if g.options.Rank == 0 {
		err = g.wait(ctx)
	} else {
		err = g.visit(ctx)
	}
	if err != nil {
		g.end()
	}
	return err
}

// Address returns where process 0 listens: host:port.
func (g *Group) Address() string { return g.at }

// Lost delivers one error if another process ends without Close, or its machine vanishes.
func (g *Group) Lost() <-chan error { return g.lost }

// Close says good-bye. Process 0 waits a moment until the others have done so.
func (g *Group) Close() {
	g.mu.Lock()
	g.closing = true
	if g.options.Rank > 0 {
		fmt.Fprintln(g.conns[0], "bye")
	}
	g.mu.Unlock()
	if g.options.Rank == 0 {
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			g.mu.Lock()
			all := len(g.left) == g.options.Size-1
			g.mu.Unlock()
			if all {
				break
			}
		}
	}
	g.end()
}

func (g *Group) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closing = true
	if g.listener != nil {
		_ = g.listener.Close() // the process ends or has failed
	}
	for _, c := range g.conns {
		_ = c.Close() // likewise
	}
}

// lose reports that a process is gone. Process 0 tells all others.
func (g *Group) lose(rank int, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return
	}
	if g.options.Rank == 0 {
		for other, c := range g.conns {
			if other != rank {
				fmt.Fprintln(c, "lost "+text) // one that is gone, too, has its own report
			}
		}
	}
	if g.loss == nil { // one is enough
		g.loss = errors.New(text)
		close(g.gone)
		g.lost <- g.loss
	}
}

// Gather returns what each process has given to its call, by rank. All make the same calls in the same order. It is for
// a few kilobytes. If a process is lost, it returns that error.
func (g *Group) Gather(data []byte) ([][]byte, error) {
	own := base64.StdEncoding.EncodeToString(data)
	if g.options.Rank > 0 {
		if err := g.say(0, own); err != nil {
			return nil, err
		}
		all, err := g.hear(0)
		if err != nil {
			return nil, err
		}
		return decoded(all)
	}
	all := make([]string, g.options.Size)
	all[0] = own
	for r := 1; r < len(all); r++ {
		var err error
		if all[r], err = g.hear(r); err != nil {
			return nil, err
		}
	}
	for r := 1; r < len(all); r++ {
		if err := g.say(r, strings.Join(all, ",")); err != nil {
			return nil, err
		}
	}
	return decoded(strings.Join(all, ","))
}

func decoded(list string) (all [][]byte, err error) {
	for _, text := range strings.Split(list, ",") {
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("what another process says: %w", err)
		}
		all = append(all, data)
	}
	return all, nil
}

// say tells a process something for its Gather.
func (g *Group) say(rank int, text string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, err := fmt.Fprintln(g.conns[rank], "data "+text); err != nil {
		return fmt.Errorf("process %d: %w", rank, err)
	}
	return nil
}

// hear waits for what a process says for Gather.
func (g *Group) hear(rank int) (string, error) {
	select {
	case text := <-g.told[rank]:
		return text, nil
	case <-g.gone:
		return "", g.loss
	}
}

// ports returns the addresses to try.
func (o Options) ports() (host string, ports []int, err error) {
	host, text, err := net.SplitHostPort(o.Address)
	if err != nil {
		return "", nil, fmt.Errorf("the address of process 0: %w", err)
	}
	if text == "0" && o.Rank == 0 {
		return host, []int{0}, nil
	}
	first, err := strconv.Atoi(text)
	if err != nil || first < 1 || first > 65535 {
		return "", nil, fmt.Errorf("the address of process 0 has port %q", text)
	}
	if o.Taken {
		first++
	}
	for p := first; p < first+portsToTry && p <= 65535; p++ {
		ports = append(ports, p)
	}
	return host, ports, nil
}

// receive is what process 0 does: it listens from now on.
func (g *Group) receive(ctx context.Context) error {
	host, ports, err := g.options.ports()
	if err != nil {
		return err
	}
	var config net.ListenConfig
	var errs []error
	for _, p := range ports {
		at := net.JoinHostPort(host, strconv.Itoa(p))
		g.listener, err = config.Listen(ctx, "tcp", at)
		if errors.Is(err, syscall.EADDRNOTAVAIL) { // the others' name of this machine, such as a service of Kubernetes
			g.listener, err = config.Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(p)))
		}
		if err == nil {
			g.at = at
			if p == 0 {
				g.at = g.listener.Addr().String()
			}
			break
		}
		errs = append(errs, err)
	}
	if g.listener == nil {
		return fmt.Errorf("process 0 can't listen where the others look for it: %w", errs[0])
	}
	g.manager = newManager(g.options.Size, g.lose)
	go g.accept()
	if g.options.Size == 1 {
		close(g.met)
	}
	return nil
}

// awaited says whom process 0 waits for.
func (g *Group) awaited() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var missing []string
	for r := 1; r < g.options.Size; r++ {
		if g.conns[r] == nil {
			missing = append(missing, strconv.Itoa(r))
		}
	}
	return fmt.Sprintf("process 0 waits at %s for %s of %d", g.at, strings.Join(missing, ", "), g.options.Size)
}

// wait waits until all others have come.
func (g *Group) wait(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-g.met:
			return nil
		case err := <-g.lost:
			return err
		case <-tick.C:
			if g.options.Waiting != nil {
				g.options.Waiting(g.awaited())
			}
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("%s, and they did not come within %v", g.awaited(), g.options.Wait)
			}
			return ctx.Err()
		}
	}
}

func (g *Group) accept() {
	for {
		c, err := g.listener.Accept()
		if err != nil {
			return // closed
		}
		go g.serve(c)
	}
}

// serve answers one connection.
func (g *Group) serve(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetKeepAliveConfig(vanished) // a help only
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second)) // strangers don't stay
	r := bufio.NewReaderSize(c, 4096)
	line, err := r.ReadString('\n')
	if err != nil {
		_ = c.Close()
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	if strings.HasPrefix(line, "cmd=") {
		g.manager.serve(c, r, line)
		return
	}
	rank, host, err := g.register(c, line)
	if err != nil {
		fmt.Fprintf(c, "%s error %v\n", hello, err)
		_ = c.Close()
		return
	}
	g.listen(r, rank, fmt.Sprintf("process %d of %d, on %s", rank, g.options.Size, host))
}

// register takes in a process that says hello.
func (g *Group) register(c net.Conn, line string) (rank int, host string, err error) {
	var size int
	var token string
	if _, err := fmt.Sscanf(line, hello+" %d %d %s %s\n", &rank, &size, &host, &token); err != nil || token != g.options.Token {
		return 0, "", errors.New("it is of another group")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case size != g.options.Size:
		return 0, "", fmt.Errorf("process 0 is one of %d, not of %d", g.options.Size, size)
	case rank < 1 || rank >= size:
		return 0, "", fmt.Errorf("rank %d of %d", rank, size)
	case g.conns[rank] != nil:
		return 0, "", fmt.Errorf("there is a process %d already, on %s", rank, g.hosts[rank])
	}
	g.conns[rank], g.hosts[rank] = c, host
	if len(g.conns) == g.options.Size-1 {
		for _, c := range g.conns {
			fmt.Fprintf(c, "%s welcome\n", hello)
		}
		close(g.met)
	}
	return rank, host, nil
}

// listen waits for what a process says, which is "bye", or for its end.
func (g *Group) listen(r *bufio.Reader, rank int, who string) {
	for {
		line, err := r.ReadString('\n')
		switch text, is := strings.CutPrefix(strings.TrimSpace(line), "lost "); {
		case is:
			g.lose(rank, text)
			return
		case strings.HasPrefix(line, "data ") && err == nil:
			select {
			case g.told[rank] <- strings.TrimSpace(line[len("data "):]):
			case <-g.gone:
				return
			}
		case strings.TrimSpace(line) == "bye":
			g.mu.Lock()
			g.left[rank] = true
			g.mu.Unlock()
			return
		case err != nil:
			g.lose(rank, who+", has ended")
			return
		}
	}
}

// visit is what the others do: they look for process 0 until they have found it.
func (g *Group) visit(ctx context.Context) error {
	list := g.options.Addresses
	if len(list) == 0 {
		host, ports, err := g.options.ports()
		if err != nil {
			return err
		}
		for _, p := range ports {
			list = append(list, net.JoinHostPort(host, strconv.Itoa(p)))
		}
	}
	state := func() string {
		return fmt.Sprintf("process %d of %d looks for process 0 at %s", g.options.Rank, g.options.Size, list[0])
	}
	told := time.Now()
	for {
		var last error
		for _, at := range list {
			refused, err := g.knock(ctx, at)
			switch last = err; {
			case err == nil:
				return nil
			case refused:
				return err
			}
			if ctx.Err() != nil {
				break
			}
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("%s, in vain for %v: %w", state(), g.options.Wait, last)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if time.Since(told) > 5*time.Second && g.options.Waiting != nil {
			told = time.Now()
			g.options.Waiting(state())
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// knock tries one address. refused says that process 0 has answered with an error.
func (g *Group) knock(ctx context.Context, at string) (refused bool, err error) {
	d := net.Dialer{Timeout: 2 * time.Second, KeepAliveConfig: vanished}
	c, err := d.DialContext(ctx, "tcp", at)
	if err != nil {
		return false, err
	}
	r := bufio.NewReaderSize(c, 4096)
	if _, err = fmt.Fprintf(c, "%s %d %d %s %s\n", hello, g.options.Rank, g.options.Size, g.host, g.options.Token); err == nil {
		var line string
		stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // ends the read
		line, err = r.ReadString('\n')
		stop()
		answer, ours := strings.CutPrefix(strings.TrimSpace(line), hello)
		switch text, is := strings.CutPrefix(answer, " error "); {
		case err != nil:
		case is:
			refused, err = true, fmt.Errorf("process 0, at %s, refuses this one: %s", at, text)
		case !ours:
			err = fmt.Errorf("what listens at %s is no process of gputrain", at)
		}
	}
	if err != nil {
		_ = c.Close()
		return refused, err
	}
	g.mu.Lock()
	g.conns[0], g.at = c, at
	g.mu.Unlock()
	go g.listen(r, 0, fmt.Sprintf("process 0 of %d, at %s", g.options.Size, at))
	return false, nil
}

// LocalAddresses returns the addresses of this machine at which others may reach a port, the
// loopback address last.
func LocalAddresses(port int) ([]string, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var list, loopback []string
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsLinkLocalUnicast() {
			continue
		}
		at := net.JoinHostPort(n.IP.String(), strconv.Itoa(port))
		if n.IP.IsLoopback() {
			loopback = append(loopback, at)
		} else {
			list = append(list, at)
		}
	}
	return append(list, loopback...), nil
}

// Port returns the port at which process 0 listens.
func (g *Group) Port() int {
	if a, ok := g.listener.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}
