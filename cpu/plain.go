package cpu

func plainMul(dst, x, y []float32) {
	for i := range dst {
		dst[i] = x[i] * y[i]
	}
}

func plainMulAdd(dst, x, y []float32) {
	for i := range dst {
		dst[i] += x[i] * y[i]
	}
}

func plainScale(dst, x []float32, f float32) {
	for i := range dst {
		dst[i] = x[i] * f
	}
}

func plainAxpy(dst, x []float32, f float32) {
	for i := range dst {
		dst[i] += x[i] * f
	}
}

func plainDot(x, y []float32) (s float32) {
	for i := range x {
		s += x[i] * y[i]
	}
	return s
}
