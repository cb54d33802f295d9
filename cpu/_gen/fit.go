package main

import "math"

// fit returns the coefficients, the constant one first, of the polynomial that equals f at the Chebyshev nodes of [from, to].
// Its error there is close to the least that a polynomial of that degree can have. f must be smooth, and is not asked for the
// middle of the interval if degree is odd.
//
// The conversions keep every product rounded, so that all processors find the same coefficients.
func fit(f func(x float64) float64, degree int, from, to float64) []float64 {
	n := degree + 1
	x, divided := make([]float64, n), make([]float64, n)
	for i := range n {
		x[i] = (from+to)/2 + float64((to-from)/2*math.Cos(math.Pi*float64(2*i+1)/float64(2*n)))
		divided[i] = f(x[i])
	}
	for order := 1; order < n; order++ { // Newton's divided differences
		for i := n - 1; i >= order; i-- {
			divided[i] = (divided[i] - divided[i-1]) / (x[i] - x[i-order])
		}
	}
	c := make([]float64, n)
	for i := n - 1; i >= 0; i-- { // c = divided[i] + (X - x[i]) * c
		for k := n - 1; k > 0; k-- {
			c[k] = c[k-1] - float64(x[i]*c[k])
		}
		c[0] = divided[i] - float64(x[i]*c[0])
	}
	return c
}
