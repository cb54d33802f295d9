package rendezvous

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// TestGather: each process learns what all have said, call after call. If one ends, the others get its end as an error.
func TestGather(t *testing.T) {
	groups, errs := join(t, four(t)...)
	none(t, errs)
	each := func(f func(rank int, g *Group)) {
		var wg sync.WaitGroup
		for i, g := range groups {
			wg.Go(func() { f(i, g) })
		}
		wg.Wait()
	}
	each(func(rank int, g *Group) {
		for call := range 20 {
			all, err := g.Gather([]byte(strings.Repeat(fmt.Sprintf("%d says %d\n", rank, call), rank*1000)))
			if err != nil || len(all) != 4 {
				t.Errorf("process %d: %d answers, %v", rank, len(all), err)
				return
			}
			for other, said := range all {
				if want := strings.Repeat(fmt.Sprintf("%d says %d\n", other, call), other*1000); string(said) != want {
					t.Errorf("process %d hears %.40q from %d, want %.40q", rank, said, other, want)
				}
			}
		}
	})
	each(func(rank int, g *Group) {
		if rank == 2 {
			g.end()
			return
		}
		if _, err := g.Gather([]byte("x")); err == nil || !strings.Contains(err.Error(), "process 2 of 4, on ") {
			t.Errorf("process %d: %v, want the end of process 2", rank, err)
		}
	})
}
