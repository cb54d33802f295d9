package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/net"
)

// script returns a peer called "sh" that is a shell script.
func script(t *testing.T, text string) (*Peer, error) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh to write a peer in")
	}
	p, err := start("sh", exec.CommandContext(t.Context(), "sh", "-c", text))
	if err == nil {
		t.Cleanup(func() { p.Close() })
	}
	return p, err
}

const greeting = `echo '{"peer":"sh","version":"5","settings":"plain"}'; echo '{"loss":[2.5,2.25]}'
`

func TestPeerAnswersEachRequest(t *testing.T) {
	p, err := script(t, greeting+`n=0; while read line; do [ "$line" = "go 3" ] || exit 1; n=$((n+1))
		echo "{\"seconds\":0.$n,\"images\":$n,\"peak_rss\":4096}"; done`)
	if err != nil {
		t.Fatal(err)
	}
	if p.Version != "5" || p.Settings != "plain" || fmt.Sprint(p.Losses) != "[2.5 2.25]" {
		t.Errorf("read %q, %q, losses %v", p.Version, p.Settings, p.Losses)
	}
	for i, want := range []Repeat{{Seconds: 0.1, Images: 1, PeakRSS: 4096}, {Seconds: 0.2, Images: 2, PeakRSS: 4096}} {
		got, err := p.Repeat(3)
		if err != nil || got != want {
			t.Errorf("repeat %d: %+v, %v; want %+v", i, got, err, want)
		}
	}
	if err := p.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestPeerGoesOnWithAnotherJob(t *testing.T) {
	p, err := script(t, greeting+`while read -r word rest; do case $word in
		job) echo '{"peer":"sh","version":"5","settings":"'"$rest"'"}'; [ "$rest" = "/no losses" ] && exit 1; echo '{"loss":[1]}';;
		*) echo '{"seconds":1,"images":1,"peak_rss":4096,"device_memory":77}';; esac; done`)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Next("/a folder/job.json"); err != nil {
		t.Fatal(err)
	}
	if p.Settings != "/a folder/job.json" || fmt.Sprint(p.Losses) != "[1]" {
		t.Errorf("read %q, losses %v", p.Settings, p.Losses)
	}
	if got, err := p.Repeat(1); err != nil || got.DeviceMemory != 77 {
		t.Errorf("repeat: %+v, %v", got, err)
	}
	if err := p.Next("/no losses"); err == nil {
		t.Error("a peer that ends takes another job")
	}
}

func TestPeerFails(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"says so":           {`echo '{"error":"no such model"}'; exit 1`, "no such model"},
		"dies":              {`echo "out of luck" >&2; exit 3`, "out of luck"},
		"ends":              {`exit 0`, "without an answer"},
		"chatters":          {`echo hello`, "not of the protocol"},
		"is another":        {`echo '{"peer":"bash"}'`, "bash"},
		"shows no losses":   {`echo '{"peer":"sh"}'; echo '{"loss":[]}'`, "no losses"},
		"writes a NaN":      {`echo '{"peer":"sh"}'; echo '{"loss":[NaN]}'`, "not of the protocol"},
		"uses unknown keys": {`echo '{"peer":"sh","mood":"fine"}'`, "mood"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := script(t, c.text); err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, ErrUnavailable) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}

func TestRepeatRefusesWhatIsNoMeasurement(t *testing.T) {
	for _, answer := range []string{`{"seconds":0,"images":5}`, `{"seconds":-1,"images":5}`, `{"seconds":1}`, `{"loss":[1]}`} {
		p, err := script(t, greeting+`read line; echo '`+answer+`'; read line`)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.Repeat(3); err == nil {
			t.Errorf("%s: taken as %+v", answer, got)
		}
	}
}

func TestPeerNotInstalled(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh to run the script with")
	}
	if _, err := Start(t.Context(), ".", "nothing", "job.json"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
}

func TestPeerIsKilledWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, err := start("sh", exec.CommandContext(ctx, "sh", "-c", greeting+"read line; exec sleep 60"))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := p.Repeat(3); err == nil {
		t.Error("a killed peer answered")
	}
	if err := p.Close(); err == nil {
		t.Error("Close does not say that the peer was killed")
	}
}

func TestAgree(t *testing.T) {
	ours := []float64{2.5, 2.25, 2}
	for name, c := range map[string]struct {
		theirs []float64
		agree  bool
	}{
		"equal":    {[]float64{2.5, 2.25, 2}, true},
		"near":     {[]float64{2.5009, 2.2491, 2}, true},
		"far":      {[]float64{2.5, 2.25, 2.0011}, false},
		"far down": {[]float64{2.4989, 2.25, 2}, false},
		"shorter":  {[]float64{2.5, 2.25}, false},
		"longer":   {[]float64{2.5, 2.25, 2, 2}, false},
		"NaN":      {[]float64{2.5, nan(), 2}, false},
	} {
		if err := Agree(ours, c.theirs, CPU.Tolerance()); (err == nil) != c.agree {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func nan() float64 { var zero float64; return zero / zero }

func TestWriteInputs(t *testing.T) {
	data := &net.Dataset{Name: "six", Shape: net.Shape{C: 1, H: 28, W: 28}, Classes: 10, Scale: 1. / 255,
		Pixels: make([]uint8, 6*28*28), Labels: []int32{0, 1, 2, 3, 4, 5}}
	dir, network := t.TempDir(), net.BuiltIn("tutorial")
	plan, err := network.Plan()
	if err != nil {
		t.Fatal(err)
	}
	state := net.InitialState(plan, 7, nil)
	job, err := WriteInputs(dir, network, net.AdamDefault(1e-4), state, data, 4)
	if err != nil {
		t.Fatal(err)
	}
	if job.Network != network || job.Place != CPU || job.Scale != data.Scale || job.Optimizer.LearningRate != 1e-4 {
		t.Errorf("job %+v", job)
	}
	c, err := net.LoadCheckpoint(filepath.Join(dir, job.Weights))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range state.Params {
		if got := c.State.Params[name]; got == nil || !got.Eq(want) {
			t.Errorf("%s is not the initial one", name)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, job.Data)); err != nil || info.Size() < 4*28*28 || info.Size() > 5*28*28 {
		t.Errorf("samples: %v, %v; want those of 4 images", info, err)
	}
	for _, samples := range []int{0, 7} {
		if _, err := WriteInputs(dir, network, net.AdamDefault(1e-4), state, data, samples); err == nil {
			t.Errorf("took %d samples of 6", samples)
		}
	}
}
