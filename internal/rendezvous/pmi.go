package rendezvous

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
)

// MPICH's processes find each other by PMI, version 1: each asks a process manager, line by
// line, for its rank, and puts its address where the others can get it. Its mpirun is such a
// manager. Without it process 0 is one, so that torchrun and others can start the processes.
// The lines are those of MPICH's "simple PMI".

// Environment returns the variables by which a library of MPICH's finds the manager.
func (g *Group) Environment() map[string]string {
	return map[string]string{
		"PMI_PORT": g.at, "PMI_ID": strconv.Itoa(g.options.Rank),
		"PMI_RANK": strconv.Itoa(g.options.Rank), "PMI_SIZE": strconv.Itoa(g.options.Size),
	}
}

// manager holds what the processes have put.
type manager struct {
	size int
	lose func(rank int, text string)

	mu      sync.Mutex
	changed sync.Cond
	values  map[string]string
	waiting int // in the barrier
	round   int
}

func newManager(size int, lose func(int, string)) *manager {
	m := &manager{size: size, lose: lose, values: map[string]string{}}
	m.changed.L = &m.mu
	return m
}

// space is the name of the only space of keys and values.
const space = "gputrain"

// serve answers one process, whose first line has been read.
func (m *manager) serve(c net.Conn, r *bufio.Reader, line string) {
	defer c.Close()
	rank := -1
	for {
		fields := map[string]string{}
		for _, pair := range strings.Fields(line) {
			name, value, _ := strings.Cut(pair, "=")
			fields[name] = value
		}
		var answer string
		switch fields["cmd"] {
		case "initack":
			var err error
			if rank, err = strconv.Atoi(fields["pmiid"]); err != nil || rank < 0 || rank >= m.size {
				return
			}
			answer = fmt.Sprintf("cmd=initack rc=0\ncmd=set size=%d\ncmd=set rank=%d\ncmd=set debug=0", m.size, rank)
		case "init":
			answer = "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0"
		case "get_maxes":
			answer = "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=1024"
		case "get_appnum":
			answer = "cmd=appnum appnum=0 rc=0"
		case "get_universe_size":
			answer = fmt.Sprintf("cmd=universe_size size=%d rc=0", m.size)
		case "get_my_kvsname":
			answer = "cmd=my_kvsname kvsname=" + space + " rc=0"
		case "put":
			m.mu.Lock()
			m.values[fields["key"]] = fields["value"]
			m.mu.Unlock()
			answer = "cmd=put_result rc=0 msg=success"
		case "get":
			m.mu.Lock()
			value, ok := m.values[fields["key"]]
			m.mu.Unlock()
			answer = "cmd=get_result rc=0 msg=success value=" + value
			if !ok {
				answer = "cmd=get_result rc=-1 msg=key_" + fields["key"] + "_not_found value=unknown"
			}
		case "barrier_in":
			m.barrier()
			answer = "cmd=barrier_out rc=0"
		case "finalize":
			_, _ = fmt.Fprintln(c, "cmd=finalize_ack rc=0") // the process ends MPI, whether or not it hears that
			return
		case "abort":
			m.lose(rank, fmt.Sprintf("process %d of %d has ended all", rank, m.size))
			return
		default:
			answer = "cmd=" + fields["cmd"] + "_result rc=-1 msg=unknown_command"
		}
		if _, err := fmt.Fprintln(c, answer); err != nil {
			return
		}
		var err error
		if line, err = r.ReadString('\n'); err != nil {
			return
		}
	}
}

// barrier waits until all processes are in it.
func (m *manager) barrier() {
	m.mu.Lock()
	defer m.mu.Unlock()
	round := m.round
	if m.waiting++; m.waiting == m.size {
		m.waiting = 0
		m.round++
		m.changed.Broadcast()
		return
	}
	for m.round == round {
		m.changed.Wait()
	}
}
