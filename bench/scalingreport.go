package bench

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
)

// Facts returns what the figures assume, as pairs of a name and a value.
func (r *ScalingReport) Facts() [][2]string {
	c := r.Interconnect
	batch := fmt.Sprintf("batch %d on each GPU", r.Batch)
	if r.GlobalBatch > 0 {
		batch = fmt.Sprintf("batch %d on all GPUs together", r.GlobalBatch)
	}
	if r.LocalStatistics {
		batch += ", local statistics"
	}
	gpu := r.GPU + ", as fast as its data sheet allows (bench/gpu-roofline.md), which no real one is"
	if r.Measured > 0 {
		gpu = fmt.Sprintf("one trains %s images/s, as measured; which part of a step takes how long is taken from the data sheet of an %s", rate(r.Measured), r.GPU)
	}
	gpus := fmt.Sprintf("%d GPUs", c.GPUsPerMachine)
	if c.GPUsPerMachine == 1 {
		gpus = "one GPU"
	}
	out := [][2]string{
		{"Note", r.Note},
		{"Model", fmt.Sprintf("%s: %s parameters, %s, %s, %s", r.Model, rate(float64(r.Parameters)), r.Optimizer, r.Precision, batch)},
		{"GPU", gpu},
		{"Link", fmt.Sprintf("%s, %s GB/s, %s in a machine", c.Link.Name, digits(c.Link.Bandwidth/1e9, 3), gpus)},
		{"Network", fmt.Sprintf("%s, %s GB/s for each machine", c.Network.Name, digits(c.Network.Bandwidth/1e9, 3))},
	}
	for _, p := range r.Points {
		if p.GPUs > 1 {
			return append(out, [2]string{"Sums", fmt.Sprintf("in each step %d of gradients, %s in all, and %d of batch normalisation, %s kB in all",
				p.GradientSums, megabytes(p.GradientBytes), p.NormSums, digits(float64(p.NormBytes)/1e3, 3))})
		}
	}
	return out
}

// Tables returns one table, with a row for each number of GPUs.
func (r *ScalingReport) Tables() []Table {
	t := Table{Title: fmt.Sprintf("Training, %s, on several GPUs: %s", r.Model, r.Note), Align: "rrrrrr",
		Head: []string{"GPUs", "Images/s", "Step, ms", "Sums hidden", "Exposed, ms", "Efficiency"}}
	for _, p := range r.Points {
		hidden := none
		if p.GradientSums > 0 {
			hidden = percent(p.Hidden)
		}
		t.add(strconv.Itoa(p.GPUs), rate(p.Images), digits(1e3*p.Step, 3), hidden, digits(1e3*p.Exposed, 3), percent(p.Efficiency))
	}
	return []Table{t}
}

// Legend explains the tables' columns, and what the model leaves out.
func (r *ScalingReport) Legend() []string {
	return []string{
		"Sums hidden: the share of the time of the gradients' sums in which the backward pass goes on computing.",
		"Exposed: how long a GPU waits for sums in a step, those of batch normalisation included.",
		"Efficiency: images a second, over those of one GPU times the number of GPUs.",
		"Sums take what a model of rings and trees says, which is simplified from NCCL's own model. Left out of NCCL's model: the latency x 1.4 of rings over several machines (\"plateau\"), the network's overhead as the least latency of hops in machines, the caps of the LL protocol (llMaxBws) and of each channel, the latency of the network card (latencyInter), the bandwidth x 0.85 of the plain tree pattern, and the corrections for trees of medium size. LL128 between machines assumes a network card near each GPU.",
		"Also left out: that sums slow down what is computed beside them, GPUs that wait for a slower one, other traffic, sums by switches (NVLink SHARP), and reading the data.",
	}
}

// scalingHead holds the names of the CSV columns.
var scalingHead = []string{"model", "precision", "gpu", "measured_images_per_second", "link", "network", "gpus_per_machine", "gpus", "batch",
	"images_per_second", "step_seconds", "hidden", "exposed_seconds", "efficiency", "gradient_sums", "gradient_bytes", "norm_sums", "norm_bytes", "note"}

// WriteCSV writes the report as CSV: first a row with the names of the columns, then a row for each number of GPUs. Times are in
// seconds, shares are of 1.
func (r *ScalingReport) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(scalingHead); err != nil {
		return err
	}
	number := func(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }
	measured := ""
	if r.Measured > 0 {
		measured = number(r.Measured)
	}
	for _, p := range r.Points {
		err := out.Write([]string{r.Model, string(r.Precision), r.GPU, measured, r.Interconnect.Link.Name, r.Interconnect.Network.Name,
			strconv.Itoa(r.Interconnect.GPUsPerMachine), strconv.Itoa(p.GPUs), strconv.Itoa(p.Batch), number(p.Images), number(p.Step), number(p.Hidden),
			number(p.Exposed), number(p.Efficiency), strconv.Itoa(p.GradientSums), strconv.FormatInt(p.GradientBytes, 10), strconv.Itoa(p.NormSums),
			strconv.FormatInt(p.NormBytes, 10), r.Note})
		if err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
