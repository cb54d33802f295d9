package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gputrain/gputrain/bench"
	"github.com/gputrain/gputrain/internal/approx"
)

func TestBenchScaling(t *testing.T) {
	out := must(t, "bench", "--scaling", "--model", "resnet18", "--precision", "bf16", "--gpus", "1,8,64")
	if local := must(t, "bench", "--scaling", "--model", "resnet18", "--local-statistics", "--gpus", "2"); !strings.Contains(local, ", local statistics\n") || !strings.Contains(local, " and 0 of batch normalisation") {
		t.Errorf("bench --scaling --local-statistics prints\n%s", local)
	}
	for _, want := range []string{"Note     computed, not measured\n", "Model    resnet18: 11,689,512 parameters, adam, bf16, batch 256 on each GPU\n",
		"Link     nvlink, 371 GB/s, 8 GPUs in a machine\n", "Network  100gbit, 12.5 GB/s for each machine\n", ": computed, not measured\nGPUs ", "\n  64  "} {
		if !strings.Contains(out, want) {
			t.Errorf("bench --scaling lacks %q:\n%s", want, out)
		}
	}
	var r bench.ScalingReport
	if err := json.Unmarshal([]byte(must(t, "bench", "--scaling", "--images-per-second", "5000", "--batch", "32", "--gpus", "1,1024", "--link", "pcie5", "--gpus-per-machine", "4", "--network", "25", "--json")), &r); err != nil {
		t.Fatal(err)
	}
	c := r.Interconnect
	if r.Note != "computed, not measured" || r.Model != "tutorial" || r.Batch != 32 || r.Precision != "tf32" || len(r.Points) != 2 || r.Points[1].GPUs != 1024 || c.Link.Name != "pcie5" || c.GPUsPerMachine != 4 {
		t.Errorf("--json is %+v", r)
	}
	approx.Check(t, "measured, network", []float64{r.Points[0].Images, c.Network.Bandwidth}, []float64{5000, 25e9 / 8}, approx.Tolerance{Rel: 1e-12})
	rows, err := csv.NewReader(strings.NewReader(must(t, "bench", "--scaling", "--csv"))).ReadAll()
	if err != nil || len(rows) != 12 || rows[0][7] != "gpus" || rows[11][7] != "1024" {
		t.Errorf("--csv is %q, %v", rows, err)
	}
}

// TestScalePage compares the tables of docs/scale.md with what their commands print.
func TestScalePage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "scale.md"))
	if err != nil {
		t.Fatal(err)
	}
	const command = "bench --scaling --model resnet18 --precision bf16 --gpus 1,2,4,8,64,1024"
	if !strings.Contains(string(page), "\ngputrain "+command+"\n") {
		t.Errorf("docs/scale.md lacks the command gputrain %s", command)
	}
	var columns []bench.Table
	for _, more := range []string{"", "--link pcie4", "--gpus-per-machine 1"} {
		var r bench.ScalingReport
		args := strings.Fields(command + " --json " + more)
		if err := json.Unmarshal([]byte(must(t, args...)), &r); err != nil {
			t.Fatal(err)
		}
		columns = append(columns, r.Tables()[0])
	}
	for i, row := range columns[0].Rows {
		if i == 0 {
			if !strings.Contains(string(page), "One GPU does "+row[1]+" images") {
				t.Errorf("docs/scale.md lacks what one GPU does: %s", row[1])
			}
			continue
		}
		gpus, _ := strconv.Atoi(row[0])
		line := "| " + thousands(gpus)
		for _, column := range columns {
			line += " | " + column.Rows[i][1] + " (" + column.Rows[i][5] + ")"
		}
		if !strings.Contains(string(page), "\n"+line+" |\n") {
			t.Errorf("docs/scale.md lacks %s |", line)
		}
	}
	for more, numbers := range map[string][]int{ // the numbers of GPUs in the second table
		"":                                {8},
		"`--global-batch 256 --gpus 1,8`": {8},
		"`--model tutorial --precision tf32 --batch 50`": {2, 8},
		"`--network 10gbit --gpus-per-machine 1`":        {2},
	} {
		var r bench.ScalingReport
		short := strings.Replace(command, "1,2,4,8,64,1024", "1,2,8", 1)
		if err := json.Unmarshal([]byte(must(t, strings.Fields(short+" --json "+strings.Trim(more, "`"))...)), &r); err != nil {
			t.Fatal(err)
		}
		for i, gpus := range numbers {
			column := more
			if i > 0 {
				column = "" // the same as in the row above
			}
			for _, p := range r.Points {
				end := fmt.Sprintf(" | %d | %.1f x | %s", gpus, p.Images/r.Points[0].Images, column)
				if p.GPUs == gpus && !strings.Contains(string(page), strings.TrimRight(end, " ")+" |\n") {
					t.Errorf("docs/scale.md lacks a row with%s |", end)
				}
			}
		}
	}
}

func TestBenchScalingRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"--scaling --model mpl":                            "did you mean mlp?",
		"--scaling --model mlp,lenet5":                     "one model, got 2",
		"--scaling --batch 1,2":                            "one size, of each GPU, got 2",
		"--scaling --batch 0":                              "at least 1",
		"--scaling --batch 10000000":                       "at most",
		"--scaling --gpus 0":                               "at least 1",
		"--scaling --gpus 10000000":                        "at most",
		"--scaling --gpus ,":                               "empty",
		"--scaling --link nvlnk":                           "did you mean nvlink?",
		"--scaling --network 100gbits":                     "did you mean 100gbit?",
		"--scaling --network 0":                            "above 0",
		"--scaling --network nan":                          "above 0",
		"--scaling --gpus-per-machine 0":                   "at least 1",
		"--scaling --images-per-second 0":                  "above 0",
		"--scaling --precision fp8":                        "unknown",
		"--scaling --device cpu":                           "measures nothing",
		"--scaling --html a.html":                          "measures nothing",
		"--scaling --to-accuracy 94":                       "measures nothing",
		"--scaling --epochs 3":                             "measures nothing",
		"--scaling --batch 8 --global-batch 8":             "exclude each other",
		"--scaling --global-batch 0":                       "from 1 to",
		"--scaling --global-batch 10000000":                "from 1 to",
		"--scaling --global-batch 8 --gpus 1,16":           "too few for 16 GPUs",
		"--global-batch 8":                                 "set --scaling too",
		"--scaling --json --csv":                           "exclude each other",
		"--scaling resnet18":                               "takes no arguments",
		"--gpus 2":                                         "set --scaling too",
		"--to-accuracy 94 --recipe fast --link nvlink":     "set --scaling too",
		"--images-per-second 100":                          "set --scaling too",
		"--suite --network 10gbit":                         "set --scaling too",
		"--scaling=false --gpus-per-machine 2 --model mlp": "set --scaling too",
	} {
		o := gputrain(t, append([]string{"bench"}, strings.Fields(args)...)...)
		if o.status != exitUsage || !strings.Contains(o.errors, want) {
			t.Errorf("bench %s: status %d, %s", args, o.status, o.errors)
		}
	}
}
