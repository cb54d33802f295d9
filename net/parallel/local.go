package parallel

import (
	"fmt"
	"sync"

	"github.com/gputrain/gputrain/net"
)

// Member is a member of a group of goroutines.
type Member struct {
	room *room
	rank int
}

// room is where the members of a group of goroutines meet.
type room struct {
	mu      sync.Mutex
	changed sync.Cond
	size    int
	brought []any
	missing int
	round   int
	failed  error
}

// Local returns the members of a group of size goroutines in this process.
func Local(size int) []*Member {
	r := &room{size: size, missing: size, brought: make([]any, size)}
	r.changed.L = &r.mu
	var all []*Member
	for i := range size {
		all = append(all, &Member{r, i})
	}
	return all
}

var _ net.Communicator = (*Member)(nil)

// Rank returns the number of this member, from 0.
func (m *Member) Rank() int { return m.rank }

// Size returns the number of members.
func (m *Member) Size() int { return m.room.size }

// Leave ends the group: calls that wait for this member, and all later ones, fail.
func (m *Member) Leave() {
	m.room.mu.Lock()
	defer m.room.mu.Unlock()
	m.room.fail(fmt.Errorf("parallel: member %d has left", m.rank))
}

func (r *room) fail(err error) {
	if r.failed == nil {
		r.failed = err
	}
	r.changed.Broadcast()
}

// meet waits until all members have brought something. The last one calls finish with what
// they brought, by rank.
func (m *Member) meet(mine any, finish func(all []any) error) error {
	r := m.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		return r.failed
	}
	round := r.round
	r.brought[m.rank] = mine
	if r.missing--; r.missing > 0 {
		for r.round == round && r.failed == nil {
			r.changed.Wait()
		}
		if r.round == round {
			return r.failed
		}
		return nil
	}
	if err := finish(r.brought); err != nil {
		r.fail(err)
		return err
	}
	clear(r.brought)
	r.missing = r.size
	r.round++
	r.changed.Broadcast()
	return nil
}

// SumFloat32 replaces values by their sums over all members, added in the order of ranks.
func (m *Member) SumFloat32(values []float32) error { return m.meet(values, sum[float32]) }

// SumFloat64 is SumFloat32 for float64.
func (m *Member) SumFloat64(values []float64) error { return m.meet(values, sum[float64]) }

// sum replaces the values of each member by the sums of all.
func sum[T float32 | float64](all []any) error {
	lists, err := alike[T](all)
	if err != nil {
		return err
	}
	for i := range lists[0] {
		var s float64
		for _, v := range lists {
			s += float64(v[i])
		}
		for _, v := range lists {
			v[i] = T(s)
		}
	}
	return nil
}

// Broadcast replaces data by that of member 0.
func (m *Member) Broadcast(data []byte) error {
	return m.meet(data, func(all []any) error {
		lists, err := alike[byte](all)
		if err != nil {
			return err
		}
		for _, v := range lists[1:] {
			copy(v, lists[0])
		}
		return nil
	})
}

// alike returns what the members brought. It must be the same number of values of one type.
func alike[T any](all []any) ([][]T, error) {
	lists := make([][]T, len(all))
	for i, v := range all {
		list, ok := v.([]T)
		if !ok || i > 0 && len(list) != len(lists[0]) {
			return nil, fmt.Errorf("parallel: the members' calls differ: member 0 has %T of %d, member %d has %T", all[0], len(lists[0]), i, v)
		}
		lists[i] = list
	}
	return lists, nil
}
