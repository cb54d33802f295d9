package asm

// doubleKernels holds the kernels that compute in float64 from float32 values.
type doubleKernels struct {
	sum64             func(x []float32) float64
	dot               func(a, b []float32) float64
	squaredDeviations func(x []float32, mean float64) float64
	gradientSums      func(dy, x []float32, mean float64) (sum, product float64)
	normalize         func(y, x []float32, mean, scale, shift float64)
	normalizeBackward func(dx, dy, x []float32, mean, scale, shift, slope float64, add bool)
}

// Sum64 returns the sum of all values, in float64. The order of the additions depends only on the tier and the length.
// This holds for the other sums too.
func (ks *Kernels) Sum64(x []float32) float64 { return ks.doubles.sum64(x) }

// Dot returns the inner product of a and b, in float64.
func (ks *Kernels) Dot(a, b []float32) float64 {
	sameLength(len(a), len(b))
	return ks.doubles.dot(a, b)
}

// SquaredDeviations returns the sum of (x-mean)^2, in float64.
func (ks *Kernels) SquaredDeviations(x []float32, mean float64) float64 {
	return ks.doubles.squaredDeviations(x, mean)
}

// GradientSums returns the sums of dy and of dy*(x-mean), in float64. Batch normalisation computes the gradients of
// its shift and its scale from them.
func (ks *Kernels) GradientSums(dy, x []float32, mean float64) (sum, product float64) {
	sameLength(len(dy), len(x))
	return ks.doubles.gradientSums(dy, x, mean)
}

// Normalize sets y to (x-mean)*scale + shift. It computes in float64 and rounds the result. y may be x.
func (ks *Kernels) Normalize(y, x []float32, mean, scale, shift float64) {
	sameLength(len(y), len(x))
	ks.doubles.normalize(y, x, mean, scale, shift)
}

// NormalizeBackward sets dx to scale*(dy - shift - (x-mean)*slope), or adds that to dx where add is set. It computes
// in float64 and rounds that result. dx may be dy.
func (ks *Kernels) NormalizeBackward(dx, dy, x []float32, mean, scale, shift, slope float64, add bool) {
	sameLength(len(dx), len(dy), len(x))
	ks.doubles.normalizeBackward(dx, dy, x, mean, scale, shift, slope, add)
}

var doublesPortable = doubleKernels{
	sum64: func(x []float32) (sum float64) {
		for _, v := range x {
			sum += float64(v)
		}
		return sum
	},
	dot: func(a, b []float32) (sum float64) {
		b = b[:len(a)]
		for i, v := range a {
			sum += float64(v) * float64(b[i])
		}
		return sum
	},
	squaredDeviations: func(x []float32, mean float64) (sum float64) {
		for _, v := range x {
			d := float64(v) - mean
			sum += d * d
		}
		return sum
	},
	gradientSums: func(dy, x []float32, mean float64) (sum, product float64) {
		x = x[:len(dy)]
		for i, g := range dy {
			sum += float64(g)
			product += float64(g) * (float64(x[i]) - mean)
		}
		return sum, product
	},
	normalize: func(y, x []float32, mean, scale, shift float64) {
		x = x[:len(y)]
		for i := range y {
			y[i] = float32((float64(x[i])-mean)*scale + shift)
		}
	},
	normalizeBackward: func(dx, dy, x []float32, mean, scale, shift, slope float64, add bool) {
		dy, x = dy[:len(dx)], x[:len(dx)]
		for i := range dx {
			d := float32(scale * (float64(dy[i]) - shift - (float64(x[i])-mean)*slope))
			if add {
				d += dx[i]
			}
			dx[i] = d
		}
	},
}
