package rendezvous

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// freePort returns a port of the loopback address at which nothing listens.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// join lets processes meet, each with its options.
func join(t *testing.T, all ...Options) ([]*Group, []error) {
	t.Helper()
	groups, errs := make([]*Group, len(all)), make([]error, len(all))
	var wg sync.WaitGroup
	for i, o := range all {
		if o.Wait == 0 {
			o.Wait = 20 * time.Second
		}
		wg.Go(func() { groups[i], errs[i] = Join(context.Background(), o) })
	}
	wg.Wait()
	t.Cleanup(func() {
		for i, g := range groups {
			if errs[i] == nil {
				g.end()
			}
		}
	})
	return groups, errs
}

// four returns the options of four processes that meet.
func four(t *testing.T) []Options {
	at := loopback(freePort(t))
	var all []Options
	for r := range 4 {
		all = append(all, Options{Rank: r, Size: 4, Address: at})
	}
	return all
}

func none(t *testing.T, errs []error) {
	t.Helper()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("process %d: %v", i, err)
		}
	}
}

// TestClose: processes that part in order, report nothing.
func TestClose(t *testing.T) {
	groups, errs := join(t, four(t)...)
	none(t, errs)
	var wg sync.WaitGroup
	for _, g := range groups {
		wg.Go(g.Close)
	}
	wg.Wait()
	for i, g := range groups {
		select {
		case err := <-g.Lost():
			t.Errorf("process %d: %v", i, err)
		default:
		}
	}
}

// TestLost: if one process ends, the others learn which.
func TestLost(t *testing.T) {
	for _, gone := range []int{0, 2} {
		groups, errs := join(t, four(t)...)
		none(t, errs)
		groups[gone].end()
		for i, g := range groups {
			if i == gone {
				continue
			}
			select {
			case err := <-g.Lost():
				want := "process 2 of 4, on " + groups[2].host + ", has ended"
				if gone == 0 {
					want = "process 0 of 4, at " + g.at + ", has ended"
				}
				if err.Error() != want {
					t.Errorf("process %d: %v, want %s", i, err, want)
				}
			case <-time.After(10 * time.Second):
				t.Errorf("process %d has not noticed in 10 s that %d has ended", i, gone)
			}
		}
	}
}

// TestPorts: where something else listens, process 0 takes one of the next ports, and the
// others find it there.
func TestPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // a server that answers something else
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, "220 ready")
			_ = c.Close()
		}
	}()
	port := l.Addr().(*net.TCPAddr).Port
	groups, errs := join(t, Options{Rank: 1, Size: 2, Address: loopback(port)}, Options{Rank: 0, Size: 2, Address: loopback(port)})
	none(t, errs)
	if groups[1].Port() == port || groups[0].Address() != groups[1].Address() {
		t.Errorf("process 0 listens at %s, process 1 has found %s", groups[1].Address(), groups[0].Address())
	}
	// A port that is known to be taken is left out.
	port = freePort(t)
	groups, errs = join(t, Options{Rank: 1, Size: 2, Address: loopback(port), Taken: true}, Options{Rank: 0, Size: 2, Address: loopback(port), Taken: true})
	none(t, errs)
	if groups[1].Port() == port {
		t.Errorf("process 0 listens at port %d, which is taken", port)
	}
}

// TestAddresses: process 0 can listen anywhere, and tell the others where.
func TestAddresses(t *testing.T) {
	o := Options{Size: 2, Address: ":0", Token: "t", Wait: 20 * time.Second}
	zero, err := Begin(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	list, err := LocalAddresses(zero.Port())
	if err != nil || len(list) == 0 {
		t.Fatalf("addresses %v, %v", list, err)
	}
	groups, errs := join(t, Options{Rank: 1, Size: 2, Token: "t", Addresses: append([]string{loopback(freePort(t))}, list[len(list)-1])})
	none(t, errs)
	if err := zero.Meet(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer zero.end()
	if groups[0].Address() == "" {
		t.Error("process 1 knows no address")
	}
}

// TestRefused: processes that don't belong together say so.
func TestRefused(t *testing.T) {
	const soon = time.Second
	for _, c := range []struct {
		name   string
		others []Options
		zero   string // part of the error of process 0
		last   string // and of that of the last of the others
	}{
		{"none comes", nil, "waits at 127.0.0.1:PORT for 1, 2 of 3, and they did not come within 1s", ""},
		{"one of another number", []Options{{Rank: 1, Size: 4}}, "for 1, 2 of 3", "process 0, at 127.0.0.1:PORT, refuses this one: process 0 is one of 3, not of 4"},
		{"one of another group", []Options{{Rank: 1, Size: 3, Token: "other"}}, "for 1, 2 of 3", "it is of another group"},
		{"two with one rank", []Options{{Rank: 1, Size: 3}, {Rank: 1, Size: 3}}, "for 2 of 3", ""},
	} {
		port := freePort(t)
		all := append([]Options{{Rank: 0, Size: 3}}, c.others...)
		for i := range all {
			all[i].Address, all[i].Wait = loopback(port), soon
			if i > 0 {
				all[i].Wait = 3 * soon // process 0 is the first to give up
			}
		}
		_, errs := join(t, all...)
		says := func(what string, err error, want string) {
			if want = strings.ReplaceAll(want, "PORT", strconv.Itoa(port)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %s says %v, want %q", c.name, what, err, want)
			}
		}
		says("process 0", errs[0], c.zero)
		if c.last != "" {
			says("the last", errs[len(errs)-1], c.last)
		}
		if c.name == "two with one rank" && !strings.Contains(fmt.Sprint(errs), "there is a process 1 already, on ") {
			t.Errorf("%s: %v", c.name, errs)
		}
	}
	_, errs := join(t, Options{Rank: 1, Size: 2, Address: loopback(freePort(t)), Wait: soon})
	if err := errs[0]; err == nil || !strings.Contains(err.Error(), "process 1 of 2 looks for process 0 at 127.0.0.1:") || !strings.Contains(err.Error(), "in vain for 1s") {
		t.Errorf("without a process 0: %v", err)
	}
	for _, address := range []string{"", "host", "host:0", "host:70000", "host:x"} {
		_, errs := join(t, Options{Rank: 1, Size: 2, Address: address, Wait: soon})
		if err := errs[0]; err == nil || !strings.Contains(err.Error(), "the address of process 0") {
			t.Errorf("address %q: %v", address, err)
		}
	}
}

// TestInterrupted: waiting can be interrupted.
func TestInterrupted(t *testing.T) {
	for rank := range 2 {
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Hour, nil)
		time.AfterFunc(100*time.Millisecond, cancel)
		if _, err := Join(ctx, Options{Rank: rank, Size: 2, Address: loopback(freePort(t))}); err != context.Canceled {
			t.Errorf("process %d: %v", rank, err)
		}
	}
}

// TestStrangers: what isn't a process of the group gets no answer of use, and does no harm.
func TestStrangers(t *testing.T) {
	o := four(t)[:1]
	o[0].Size = 2
	zero, err := Begin(context.Background(), o[0])
	if err != nil {
		t.Fatal(err)
	}
	defer zero.end()
	for _, line := range []string{"GET / HTTP/1.1\r\n", hello + "\n", hello + " 1 2\n", hello + " -1 2 host -\n", hello + " 5 2 host -\n", "cmd=initack pmiid=9\n", "cmd=initack\n", "\x00\xff\n", ""} {
		c, err := net.Dial("tcp", zero.Address())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, line)
		_ = c.(*net.TCPConn).CloseWrite()
		if answer, _ := bufio.NewReader(c).ReadString('\n'); answer != "" && !strings.HasPrefix(answer, hello+" error ") {
			t.Errorf("%q is answered by %q", line, answer)
		}
		_ = c.Close()
	}
	_, errs := join(t, Options{Rank: 1, Size: 2, Address: zero.Address()})
	none(t, errs)
	if err := zero.Meet(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestManager: two processes of MPICH's start, exchange a value, and end.
func TestManager(t *testing.T) {
	port := freePort(t)
	groups, errs := join(t, Options{Rank: 0, Size: 2, Address: loopback(port)}, Options{Rank: 1, Size: 2, Address: loopback(port)})
	none(t, errs)
	var wg sync.WaitGroup
	for rank, g := range groups {
		env := g.Environment()
		if env["PMI_ID"] != strconv.Itoa(rank) || env["PMI_SIZE"] != "2" || env["PMI_PORT"] != groups[0].Address() {
			t.Errorf("environment %v", env)
		}
		wg.Go(func() {
			c, err := net.Dial("tcp", env["PMI_PORT"])
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			r := bufio.NewReader(c)
			for _, say := range []struct{ line, want string }{
				{"cmd=initack pmiid=" + env["PMI_ID"], "cmd=initack rc=0"}, {"", "cmd=set size=2"}, {"", fmt.Sprintf("cmd=set rank=%d", rank)}, {"", "cmd=set debug=0"},
				{"cmd=init pmi_version=1 pmi_subversion=1", "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0"},
				{"cmd=get_maxes", "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=1024"},
				{"cmd=get_appnum", "cmd=appnum appnum=0 rc=0"}, {"cmd=get_universe_size", "cmd=universe_size size=2 rc=0"},
				{"cmd=get_my_kvsname", "cmd=my_kvsname kvsname=gputrain rc=0"},
				{fmt.Sprintf("cmd=put kvsname=gputrain key=k%d value=v=%d#", rank, rank), "cmd=put_result rc=0 msg=success"},
				{"cmd=barrier_in", "cmd=barrier_out rc=0"},
				{fmt.Sprintf("cmd=get kvsname=gputrain key=k%d", 1-rank), fmt.Sprintf("cmd=get_result rc=0 msg=success value=v=%d#", 1-rank)},
				{"cmd=get kvsname=gputrain key=nothing", "cmd=get_result rc=-1 msg=key_nothing_not_found value=unknown"},
				{"cmd=barrier_in", "cmd=barrier_out rc=0"},
				{"cmd=spawn", "cmd=spawn_result rc=-1 msg=unknown_command"},
				{"cmd=finalize", "cmd=finalize_ack rc=0"},
			} {
				if say.line != "" {
					fmt.Fprintln(c, say.line)
				}
				if answer, err := r.ReadString('\n'); err != nil || strings.TrimSpace(answer) != say.want {
					t.Errorf("process %d: %q is answered by %q, %v, want %q", rank, say.line, answer, err, say.want)
				}
			}
		})
	}
	wg.Wait()
	// One that gives up ends all.
	c, err := net.Dial("tcp", groups[0].Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "cmd=initack pmiid=1\ncmd=abort exitcode=3\n")
	select {
	case err := <-groups[0].Lost():
		if err.Error() != "process 1 of 2 has ended all" {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("an abort has not been noticed in 10 s")
	}
}
