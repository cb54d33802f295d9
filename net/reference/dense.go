package reference

// denseForward returns y[n,u] = bias[u] + sum over i of weight[u,i] * x[n,i]. A
// nil bias is 0.
func denseForward(inputs, units int, weight, bias, x []float64, n int) []float64 {
	y := make([]float64, n*units)
	for k := range n {
		for u := range units {
			if bias != nil {
				y[k*units+u] = bias[u]
			}
			for i := range inputs {
				y[k*units+u] += weight[u*inputs+i] * x[k*inputs+i]
			}
		}
	}
	return y
}

// denseBackward returns the gradients of denseForward, term by term.
func denseBackward(inputs, units int, weight, x, dy []float64, n int) (dx, dw, db []float64) {
	dx = make([]float64, len(x))
	dw = make([]float64, len(weight))
	db = make([]float64, units)
	for k := range n {
		for u := range units {
			g := dy[k*units+u]
			db[u] += g
			for i := range inputs {
				dw[u*inputs+i] += g * x[k*inputs+i]
				dx[k*inputs+i] += g * weight[u*inputs+i]
			}
		}
	}
	return dx, dw, db
}
