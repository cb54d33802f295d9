package main

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/bench"
	"github.com/gputrain/gputrain/cuda/driver"
)

// quickBench is a benchmark that takes little time.
func quickBench(more ...string) []string {
	return append([]string{"bench", "--model", "mlp", "--batch", "2", "--infer-batch", "1,3", "--repeats", "3", "--repeat-time", "1ms", "--threads", "1"}, more...)
}

func TestBench(t *testing.T) {
	dir := t.TempDir()
	page, plots := filepath.Join(dir, "report.html"), filepath.Join(dir, "plots")
	out := must(t, quickBench("--device", "cpu,reference", "--html", page, "--plots", plots)...)
	for _, want := range []string{"\nTraining, mlp\n", "\nInference, mlp\n", "\nWhere a training step goes: mlp, batch 2, cpu (", "  reference  ", "\nReport: " + page + "\n", " billion multiply-adds/s, "} {
		if !strings.Contains(out, want) {
			t.Errorf("bench lacks %q:\n%s", want, out)
		}
	}
	if html, err := os.ReadFile(page); err != nil || !strings.Contains(string(html), "<svg") {
		t.Errorf("--html wrote %d bytes, %v", len(html), err)
	}
	for _, name := range []string{"throughput-mlp-train", "throughput-mlp-infer", "ratio-mlp-train", "ratio-mlp-infer", "layers-mlp-cpu", "roofline-mlp-cpu"} {
		if svg, err := os.ReadFile(filepath.Join(plots, name+".svg")); err != nil || !strings.Contains(string(svg), "<svg") {
			t.Errorf("plot %s: %d bytes, %v", name, len(svg), err)
		}
	}
}

func TestBenchForPrograms(t *testing.T) {
	var r bench.Report
	if err := json.Unmarshal([]byte(must(t, quickBench("--mode", "infer", "--json")...)), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Measurements) != 2 || r.Measurements[1].Batch != 3 || r.Measurements[1].Time.Median <= 0 || r.Machine.Go == "" {
		t.Errorf("--json is %+v", r)
	}
	rows, err := csv.NewReader(strings.NewReader(must(t, quickBench("--mode", "train", "--csv")...))).ReadAll()
	if err != nil || len(rows) != 2 || rows[0][2] != "model" || rows[1][2] != "mlp" {
		t.Errorf("--csv is %q, %v", rows, err)
	}
}

// TestBenchShare wants one file with the whole report, which is not overwritten, and in which nobody's name is.
func TestBenchShare(t *testing.T) {
	t.Chdir(t.TempDir())
	must(t, quickBench("--mode", "infer", "--share")...)
	text, err := os.ReadFile(shareName())
	if err != nil {
		t.Fatal(err)
	}
	var r bench.Report
	if err := json.Unmarshal(text, &r); err != nil || len(r.Measurements) != 2 || !strings.HasPrefix(r.Measurements[0].Settings, "cpu (") {
		t.Errorf("--share wrote %s, %v", text, err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), host) {
		t.Errorf("the file names the machine %s", host)
	}
	if o := gputrain(t, quickBench("--share")...); o.status != exitFailed || !strings.Contains(o.errors, "there is a file "+shareName()) {
		t.Errorf("with the file there: status %d, %s", o.status, o.errors)
	}
}

func TestBenchRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"--model mpl":                  "did you mean mlp?",
		"--mode predict":               "train or infer",
		"--batch 0":                    "at least 1",
		"--infer-batch 1,x":            `"x"`,
		"--repeats 2":                  "at least 3",
		"--repeat-time 1us":            "from 1ms",
		"--repeat-time soon":           "--repeat-time",
		"--threads 0":                  "at least 1",
		"--threads 100000":             "threads must be",
		"--device gpu":                 "unknown",
		"--device ,":                   "empty",
		"--peers keras":                "unknown",
		"--peers all,jax":              "all stands alone",
		"--peers jax":                  "no folder bench/peers",
		"--peers all --peers-folder .": "has no peers",
		"--json --csv":                 "exclude each other",
		"tutorial":                     "takes no arguments",
	} {
		t.Chdir(t.TempDir())
		o := gputrain(t, append([]string{"bench"}, strings.Fields(args)...)...)
		if o.status != exitUsage || !strings.Contains(o.errors, want) {
			t.Errorf("bench %s: status %d, %s", args, o.status, o.errors)
		}
	}
	if o := gputrain(t, quickBench("--html", filepath.Join("no", "where.html"))...); o.status != exitFailed || !strings.Contains(o.errors, "there is no folder no") {
		t.Errorf("--html in no folder: status %d, %s", o.status, o.errors)
	}
	if o := gputrain(t, quickBench("--device", "cuda")...); !driver.Built && (o.status != exitFailed || !strings.Contains(o.errors, "no CUDA")) {
		t.Errorf("--device cuda: status %d, %s", o.status, o.errors)
	}
}
