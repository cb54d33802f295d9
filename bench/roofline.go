package bench

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/gputrain/gputrain/cuda"
	"github.com/gputrain/gputrain/net"
)

//go:embed gpu-roofline.tmpl
var rooflineText string

// RooflineBatches lists the mini-batch sizes on the page gpu-roofline.md.
var RooflineBatches = []int{50, 128, 1024}

// rooflineModels returns the models on the page: those for MNIST, whose steps are short.
func rooflineModels() (list []*net.Network) {
	for _, m := range net.Models() {
		if n := m.Network(); n.Input == (net.Shape{C: 1, H: 28, W: 28}) {
			list = append(list, n)
		}
	}
	return list
}

// GPURoofline returns the text of the page gpu-roofline.md: the launches of a training
// step with Adam for each MNIST model, and the times to expect for them.
func GPURoofline() ([]byte, error) {
	var b bytes.Buffer
	t, err := template.New("").Funcs(template.FuncMap{
		"launches": launchTable, "steps": stepTable, "micros": micros,
		"megabytes": func(n int64) string { return fmt.Sprintf("%d MB", n>>20) },
		"tera":      func(x float64) string { return fmt.Sprintf("%.3g", x/1e12) },
	}).Parse(rooflineText)
	if err != nil {
		return nil, err
	}
	err = t.Execute(&b, map[string]any{"GPUs": GPUs, "Floor": NodeFloor, "Models": rooflineModels()})
	return b.Bytes(), err
}

func micros(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/1e3) }

// row writes a row of a Markdown table.
func row(b *strings.Builder, cells ...string) { fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | ")) }

// launchTable lists the launches of a step, with the times on each GPU.
func launchTable(n *net.Network, batch int, precision cuda.Precision) (string, error) {
	plan, err := n.Plan()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	head := []string{"layer", "phase", "launch", "multiply-adds, M", "with padding, M", "at least, MB"}
	for _, g := range GPUs {
		head = append(head, g.Name+", µs", "bound by")
	}
	row(&b, head...)
	row(&b, strings.Split("---,---,---,--:,--:,--:"+strings.Repeat(",--:,---", len(GPUs)), ",")...)
	var sum Launch
	times := make([]time.Duration, len(GPUs))
	launches := Launches(plan, net.Options{Optimizer: net.AdamDefault(1e-4)}, cuda.FormOf(precision, false), batch)
	mega := func(n int64) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprintf("%.1f", float64(n)/1e6)
	}
	for _, l := range launches {
		cells := []string{l.Layer, string(l.Phase), "`" + l.Call + "`", mega(l.MulAdds), mega(l.Computed), fmt.Sprintf("%.2f", float64(l.Bytes)/1e6)}
		for i, g := range GPUs {
			t, by := g.Time(l, precision, NodeFloor)
			times[i] += t
			cells = append(cells, micros(t), string(by))
		}
		sum.MulAdds, sum.Computed, sum.Bytes = sum.MulAdds+l.MulAdds, sum.Computed+l.Computed, sum.Bytes+l.Bytes
		row(&b, cells...)
	}
	cells := []string{"**all**", "", fmt.Sprintf("%d launches", len(launches)), mega(sum.MulAdds), mega(sum.Computed), fmt.Sprintf("%.2f", float64(sum.Bytes)/1e6)}
	for _, t := range times {
		cells = append(cells, micros(t), "")
	}
	row(&b, cells...)
	return b.String(), nil
}

// stepTable lists the times of a step by GPU, precision, mini-batch and floor.
func stepTable(n *net.Network) (string, error) {
	plan, err := n.Plan()
	if err != nil {
		return "", err
	}
	floors := []time.Duration{NodeFloor / 2, NodeFloor, 2 * NodeFloor}
	var b strings.Builder
	head := []string{"GPU", "precision", "batch", "launches", "bound by launch"}
	for _, f := range floors {
		head = append(head, fmt.Sprintf("floor %v: step, µs", f))
	}
	row(&b, append(head, fmt.Sprintf("images/s (floor %v)", NodeFloor))...)
	row(&b, "---", "---", "--:", "--:", "--:", "--:", "--:", "--:", "--:")
	o := net.Options{Optimizer: net.AdamDefault(1e-4)}
	for _, g := range GPUs {
		for _, precision := range []cuda.Precision{cuda.FP32, cuda.TF32, cuda.BF16} {
			for _, batch := range RooflineBatches {
				launches := Launches(plan, o, cuda.FormOf(precision, false), batch)
				bound := 0
				for _, l := range launches {
					if _, by := g.Time(l, precision, NodeFloor); by == ByLaunch {
						bound++
					}
				}
				cells := []string{g.Name, string(precision), fmt.Sprint(batch), fmt.Sprint(len(launches)), fmt.Sprint(bound)}
				for _, f := range floors {
					cells = append(cells, micros(g.StepTime(plan, o, batch, precision, f)))
				}
				images := float64(batch) / g.StepTime(plan, o, batch, precision, NodeFloor).Seconds()
				row(&b, append(cells, fmt.Sprintf("%.2g million", images/1e6))...)
			}
		}
	}
	return b.String(), nil
}
