package sim

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gputrain/gputrain/internal/testenv"
)

func TestConfiguration(t *testing.T) {
	got, seed, err := configuration(7, []Option{
		Late(), Memory(4096), ComputeCapability(7, 5), Fault("cuMemAlloc_v2", 2, 999), AsyncError(4, 6),
		Patience(1500 * time.Millisecond), NCCLVersion(22803), MixedCapture(), Seed(9),
	})
	want := "seed=7,schedule=late,memory=4096,cc=7.5,fault=cuMemAlloc_v2@2=999,async=4:6,patience=1.5,nccl=22803," +
		"allow=nccl-mixed-capture,seed=9"
	if err != nil || got != want || seed != 9 {
		t.Errorf("got %q, seed %d, %v; want %q", got, seed, err, want)
	}
	if _, seed, err := configuration(7, nil); err != nil || seed != 7 {
		t.Errorf("without a seed among the options: %d, %v", seed, err)
	}
	if _, _, err := configuration(7, []Option{"seed=seven"}); err == nil || !strings.Contains(err.Error(), "seven") {
		t.Errorf("a seed that is no number: %v", err)
	}
	t.Setenv(testenv.SeedVariable, "3")
	if seed := firstSeed(t); seed != 3 {
		t.Errorf("the first seed is %d, not that of the environment", seed)
	}
}

func TestJudge(t *testing.T) {
	r, err := parse(`{"findings":[{"check":"double free","call":"cuMemFree_v2","message":"buffer #1","count":2}],
		"leaks":[{"kind":"CUmodule","message":"module #1"}],"counters":{"launches":3}}`)
	if err != nil {
		t.Fatal(err)
	}
	double, leak := "cuMemFree_v2: double free: buffer #1 (2 times)", "leak: CUmodule: module #1"
	for _, c := range []struct{ expected, want []string }{
		{nil, []string{double, leak}},
		{[]string{"double free"}, []string{leak}},
		{[]string{LeakCheck}, []string{double}},
		{[]string{LeakCheck, "double free"}, nil},
		{[]string{LeakCheck, "double free", "bad free"}, []string{`the simulator did not find "bad free"`}},
	} {
		if got := judge(r, c.expected); !slices.Equal(got, c.want) {
			t.Errorf("expecting %q: got %q, want %q", c.expected, got, c.want)
		}
	}
	for _, want := range []string{double, leak, "launches"} {
		if !strings.Contains(r.String(), want) {
			t.Errorf("the text lacks %q: %v", want, r)
		}
	}
	if _, err := parse("{"); err == nil {
		t.Error("half a report is taken")
	}
}

func TestMoved(t *testing.T) {
	got := moved(map[string]int64{
		"launches kernel a": 2, "traffic read kernel a": 64, "traffic written kernel a": 32,
		"launches memcpy HtoD": 1, "traffic written memcpy HtoD": 96, "graph launches": 5, "ran.a": 2,
	})
	want := map[string]Moved{"kernel a": {Launches: 2, Read: 64, Written: 32}, "memcpy HtoD": {Launches: 1, Written: 96}}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
