package devicetest

import (
	"github.com/gputrain/gputrain/net"
)

// logits returns a program whose logits are its input, and a batch whose samples are the rows.
func (e *env) logits(classes int, rows [][]float32, labels []int32) (*program, net.Batch) {
	e.Helper()
	n := identity(net.Shape{C: classes, H: 1, W: 1}, classes)
	data := &net.Dataset{Name: "logits", Shape: n.Input, Classes: classes, Labels: labels}
	for _, r := range rows {
		data.Values = append(data.Values, r...)
	}
	return e.compileIdentity(n, len(rows)), span(data, 0, len(rows))
}

func checkLoss(e *env) {
	// All samples in one batch, and each sample alone, so that a huge loss does not hide others.
	judge := func(classes int, rows [][]float32, labels []int32) {
		e.Helper()
		p, all := e.logits(classes, rows, labels)
		st := p.state()
		batches := []net.Batch{all}
		for i := range rows {
			batches = append(batches, span(all.Data, i, i+1))
		}
		for _, b := range batches {
			p.setState(st)
			p.judgeTrace(st, b, net.Training)
			p.judgeTrace(st, b, net.Evaluation)
			p.judgeStep(st, b)
		}
	}
	judge(3, [][]float32{
		{1e4, -1e4, 0}, {1e4, -1e4, 0}, {-1e4, -1e4, -1e4}, {1e4, 1e4, 1e4}, {1e4, 9999, -1e4}, {-1e4, -9998, -9999}, {0, 0, 0}, {1e-30, 0, -1e-30},
	}, []int32{0, 1, 2, 0, 1, 2, 1, 0})
	judge(2, [][]float32{{1e30, -1e30}, {-1e30, 1e30}, {1e38, 1e38}, {90, -90}, {-104, 104}, {0, 20}}, []int32{0, 0, 1, 0, 1, 0})
	for _, classes := range []int{2, 3, 8, 10, 17, e.some(131, 101), e.some(1000, 101)} {
		rows, labels := make([][]float32, 5), make([]int32, 5)
		for i := range rows {
			for range classes {
				rows[i] = append(rows[i], float32(5*e.rng.NormFloat64()))
			}
			labels[i] = int32(e.rng.IntN(classes))
		}
		labels[0], labels[1] = 0, int32(classes-1)
		judge(classes, rows, labels)
	}
}

func checkHits(e *env) {
	ninf := float32(-1e30)
	for _, c := range []struct {
		row  []float32
		hits []int64 // by label
	}{
		{[]float32{1, 2, 3}, []int64{0, 0, 1}},
		{[]float32{3, 2, 1}, []int64{1, 0, 0}},
		{[]float32{2, 2, 1}, []int64{1, 0, 0}},
		{[]float32{1, 2, 2}, []int64{0, 1, 0}},
		{[]float32{0, 0, 0}, []int64{1, 0, 0}},
		{[]float32{-3, -1, -2}, []int64{0, 1, 0}},
		{[]float32{ninf, ninf, ninf}, []int64{1, 0, 0}},
		{[]float32{-5, -5, -5, -5, -5, -5, -5, -5, -4, -4, -4, -5, -5, -5, -5, -5, -5, -4, -5}, []int64{8: 1, 18: 0}},
	} {
		for label, want := range c.hits {
			p, b := e.logits(len(c.row), [][]float32{c.row}, []int32{int32(label)})
			tr := p.trace(b, net.Evaluation)
			evaluated := p.evaluate(b)
			p.metrics()
			p.step(b)
			stepped := p.metrics()
			if tr.Hits != want || evaluated.Hits != want || stepped.Hits != want {
				e.Errorf("logits %v, label %d: Trace %d hits, Evaluate %d, Step %d; want %d", c.row, label, tr.Hits, evaluated.Hits, stepped.Hits, want)
			}
		}
	}
}
