package serve

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gorgonia.org/tensor"

	"github.com/gputrain/gputrain/net"
)

// slowProgram answers after a while, and remembers the images of each batch.
type slowProgram struct {
	net.Program
	takes   time.Duration
	batches []int
}

func (p *slowProgram) Infer(b net.Batch) (*tensor.Dense, error) {
	time.Sleep(p.takes)
	p.batches = append(p.batches, b.Len())
	return tensor.New(tensor.WithShape(b.Len(), 10), tensor.Of(tensor.Float32)), nil
}

// TestCrowd has eight clients ask again some time after each answer: all of them
// are to be computed together then. One that is left alone waits in vain once.
func TestCrowd(t *testing.T) {
	const takes = 20 * time.Millisecond
	synctest.Test(t, func(t *testing.T) { // whose clock goes on only while all wait
		const clients, rounds = 8, 20
		p := &slowProgram{takes: takes}
		ask := asks(t, p, 64)
		together(clients, rounds, ask)
		// The first client is answered alone at first, and so done a batch before the others.
		if len(p.batches) != rounds+1 || slices.Min(p.batches[1:rounds]) != clients {
			t.Errorf("batches of %v, want %d but at the ends", p.batches, clients)
		}
		start := time.Now()
		for range rounds {
			ask()
		}
		if took, want := time.Since(start), rounds*takes+takes/2; took != want {
			t.Errorf("one alone got %d answers in %v, want %v", rounds, took, want)
		}
	})
}

// asks makes a queue for batches of at most so many images, and returns what asks it about one.
func asks(t *testing.T, p *slowProgram, batch int) func() {
	plan, err := checkpoint(t, 1).Network.Plan()
	if err != nil {
		t.Fatal(err)
	}
	m := &model{plan: plan, program: p, batch: batch}
	q := newQueue(100, time.Second, newMetrics(), slog.New(slog.DiscardHandler))
	t.Cleanup(q.close)
	return func() {
		e := q.announce()
		defer e.withdraw()
		if _, err := e.ask(context.Background(), m, make([]float32, plan.Network.Input.Size()), 1, false); err != nil {
			t.Error(err)
		}
	}
}

// together has clients ask so many times, each some time after its answer.
func together(clients, rounds int, ask func()) {
	var crowd sync.WaitGroup
	for k := range clients {
		crowd.Go(func() {
			for range rounds {
				time.Sleep(time.Duration(k) * time.Millisecond)
				ask()
			}
		})
	}
	crowd.Wait()
}

// TestCrowdBeyondABatch has more clients than a batch takes: batches are full all the same.
func TestCrowdBeyondABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, rounds, batch = 12, 40, 8
		p := &slowProgram{takes: 20 * time.Millisecond}
		together(clients, rounds, asks(t, p, batch))
		// The first client is answered alone at first; at the end there are fewer clients.
		if slices.Min(p.batches[1:rounds]) != batch {
			t.Errorf("batches of %v, want %d but at the ends", p.batches, batch)
		}
	})
}

// TestCrowdStaysAway checks that waits in vain become rare.
func TestCrowdStaysAway(t *testing.T) {
	var c crowd
	const batches = 10_000
	waits := 0
	for range batches {
		if c.missing(1) {
			waits++
			c.waited(1)
		}
		c.batch(1, 1, 50, time.Now(), time.Millisecond) // another one came meanwhile, as always
	}
	if most := mostMissed + batches>>(mostMissed-1); waits < 2 || waits > most {
		t.Errorf("waited %d times in %d batches, want 2 to %d", waits, batches, most)
	}
	for c.pause > 0 {
		c.batch(1, 1, 50, time.Now(), time.Millisecond)
	}
	c.waited(2)
	if c.batch(1, 1, 50, time.Now(), time.Millisecond); !c.missing(1) {
		t.Error("no wait for a crowd that came")
	}
}
