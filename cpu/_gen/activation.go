package main

import (
	"fmt"
	"math"
	"strings"

	. "github.com/mmcloughlin/avo/build"
)

// activation describes an activation function y = f(x), which may have a parameter p.
type activation struct {
	name    string
	forward func(t tier, x, p value) value // y

	// backward gives the gradient of x from that of y and from v, which is y or x: package asm's portable tier says which.
	backward func(t tier, v, dy, p value) value
}

// activations are all activation functions. A new one is an entry here, one in package asm's activationsPortable, which says
// what the function is, a line for each tier in its tables for amd64 and arm64, and one in the comment of Kernels.Activation.
// Its test wants an entry too, and fails for each of these that is missing.
var activations = []activation{
	{"relu", func(t tier, x, _ value) value {
		return t.atLeast(x, 0)
	}, func(t tier, y, dy, _ value) value {
		return t.keep(t.where(y, greater, 0), dy)
	}},
	{"leaky_relu", func(t tier, x, p value) value {
		return t.choose(t.where(x, lessOrEqual, 0), t.times(x, p), x)
	}, func(t tier, x, dy, p value) value {
		return t.choose(t.where(x, lessOrEqual, 0), t.times(dy, p), dy)
	}},
	{"tanh", func(t tier, x, _ value) value {
		// (e^2a - 1) / (e^2a + 1) of a = |x|, which is 1 from 10 on. For negative x the difference would be less exact.
		a := t.atMost(t.absolute(x), 10)
		e := t.expm1(t.plus(a, a))
		return t.signed(t.over(e, t.plus(e, t.number(2))), x)
	}, derivative(func(t tier, y, _ value) value {
		one := t.copied(t.number(1))
		return t.times(t.minus(one, y), t.plus(one, y))
	})},
	{"sigmoid", func(t tier, x, _ value) value {
		e := t.exp(t.atMost(t.atLeast(t.negative(x), -88), 89))
		return t.over(t.copied(t.number(1)), t.plus(e, t.number(1)))
	}, derivative(func(t tier, y, _ value) value {
		return t.times(y, t.minus(t.copied(t.number(1)), y))
	})},
	{"gelu", func(t tier, x, _ value) value {
		a := t.atMost(t.absolute(x), normalEnd)
		_, tail := t.normal(a)
		return t.minus(t.atLeast(x, 0), t.times(a, tail))
	}, derivative(func(t tier, x, _ value) value {
		// The distribution's value, and x times its density.
		x = t.within(x, normalEnd)
		e, tail := t.normal(t.absolute(x))
		below := t.choose(t.where(x, less, 0), tail, t.minus(t.copied(t.number(1)), tail))
		return t.timesPlus(x, t.times(e, t.number(1/math.Sqrt(2*math.Pi))), below)
	})},
	{"gelu_tanh", func(t tier, x, _ value) value {
		a := t.atMost(t.absolute(x), geluTanhEnd)
		z, _ := t.geluTanh(a)
		return t.gated(x, a, z)
	}, derivative(func(t tier, x, _ value) value {
		x = t.within(x, 10)
		z, slope := t.geluTanh(x)
		return t.gatedDerivative(x, z, slope)
	})},
	{"silu", func(t tier, x, _ value) value {
		a := t.atMost(t.absolute(x), 88)
		return t.gated(x, a, a)
	}, derivative(func(t tier, x, _ value) value {
		x = t.within(x, 87)
		return t.gatedDerivative(x, x, t.copied(t.number(1)))
	})},
	{"relu6", func(t tier, x, _ value) value {
		return t.atMost(t.atLeast(x, 0), 6)
	}, derivative(func(t tier, y, _ value) value {
		return t.keep(t.where(y, less, 6), t.keep(t.where(y, greater, 0), t.copied(t.number(1))))
	})},
	{"hard_swish", func(t tier, x, _ value) value {
		return t.times(t.atLeast(x, -3), t.hardSigmoid(x))
	}, derivative(func(t tier, x, _ value) value {
		between := t.keep(t.where(t.absolute(x), less, 3), x)
		return t.plus(t.times(between, t.number(1./6)), t.hardSigmoid(x))
	})},
	{"hard_sigmoid", func(t tier, x, _ value) value {
		return t.hardSigmoid(x)
	}, derivative(func(t tier, y, _ value) value {
		return t.keep(t.where(y, less, 1), t.keep(t.where(y, greater, 0), t.copied(t.number(1./6))))
	})},
	{"elu", func(t tier, x, p value) value {
		below := t.times(t.expm1(t.atMost(t.atLeast(x, -88), 0)), p)
		return t.choose(t.where(x, greater, 0), x, below)
	}, derivative(func(t tier, x, p value) value {
		below := t.times(t.exp(t.atMost(t.atLeast(x, -88), 0)), p)
		return t.choose(t.where(x, greater, 0), t.copied(t.number(1)), below)
	})},
	{"mish", func(t tier, x, _ value) value {
		// tanh(log(1+e)) is n / (n+2) with n = e*(e+2), which is 1 from 20 on.
		_, n := t.mish(t.atMost(x, 20))
		return t.times(t.atLeast(x, -88), t.over(n, t.plus(n, t.number(2))))
	}, derivative(func(t tier, x, _ value) value {
		// n/(n+2) + 4*x * e*(1+e) / (n+2)^2.
		x = t.atMost(t.atLeast(x, -88), 20)
		e, n := t.mish(x)
		r := t.over(t.copied(t.number(1)), t.plus(n, t.number(2)))
		slope := t.times(t.times(t.times(x, t.number(4)), t.times(e, r)), t.times(t.plus(e, t.number(1)), r))
		return t.timesPlus(n, r, slope)
	})},
}

// mish returns e = exp(x), for x from -88 to 88, and e*(e+2).
func (t tier) mish(x value) (e, n value) {
	e = t.exp(t.atLeast(x, -88))
	return e, t.times(e, t.plus(e, t.number(2)))
}

// derivative makes of a derivative what gives a gradient.
func derivative(f func(t tier, v, p value) value) func(t tier, v, dy, p value) value {
	return func(t tier, v, dy, p value) value { return t.times(dy, f(t, v, p)) }
}

// hardSigmoid returns x/6 + 1/2, from 0 to 1: that is relu6(x+3)/6, but rounded once.
func (t tier) hardSigmoid(x value) value {
	return t.atMost(t.atLeast(t.polynomial(x, []float64{1. / 2, 1. / 6}), 0), 1)
}

// gated returns x * sigmoid(±z), where a is |x|, or a bound from which on sigmoid(-z) is 0, and z is positive and has the sign
// of x. It is max(x, 0) - a * sigmoid(-z): no infinity meets a 0.
func (t tier) gated(x, a, z value) value {
	e := t.exp(t.negative(z))
	tail := t.over(t.times(a, e), t.plus(e, t.number(1)))
	return t.minus(t.atLeast(x, 0), tail)
}

// gatedDerivative returns the derivative of x * sigmoid(z), of which slope is dz/dx: with s = sigmoid(z) it is
// s * (1 + x*slope*(1-s)). z is from -88 to 88. 1-s is e^-z * s, exact for large z too.
func (t tier) gatedDerivative(x, z, slope value) value {
	e := t.exp(t.negative(z))
	one := t.copied(t.number(1))
	s := t.over(one, t.plus(e, one))
	return t.times(t.timesPlus(t.times(x, slope), t.times(e, s), one), s)
}

// geluTanhEnd is where geluTanh gives so much that exp(-z) is 0.
const geluTanhEnd = 10.02

// geluTanh returns z with (1 + tanh(sqrt(2/pi) * (x + 0.044715*x^3))) / 2 = sigmoid(z), and dz/dx.
func (t tier) geluTanh(x value) (z, slope value) {
	linear := 2 * math.Sqrt(2/math.Pi)
	cubic := 0.044715 * linear
	square := t.times(x, x)
	return t.times(t.polynomial(square, []float64{linear, cubic}), x), t.polynomial(square, []float64{linear, 3 * cubic})
}

// normalEnd is where exp(-a*a/2) is 0.
const normalEnd = 13.26

// normal returns e = exp(-a*a/2) and how likely a normally distributed number exceeds a, which is from 0 to normalEnd.
func (t tier) normal(a value) (e, tail value) {
	half := t.times(t.times(a, a), t.number(-0.5))
	e = t.exp(half)
	// tail = e * m(u), with u = 1/(1 + a*step) and a smooth m, of which the polynomial's error, times e, is 5e-9 at most. From
	// 6 on, where nothing was fitted, e is that small.
	const step = 0.3
	m := fit(func(u float64) float64 {
		a := (1/u - 1) / step
		return math.Exp(a*a/2) * math.Erfc(a/math.Sqrt2) / 2
	}, 8, 1/(1+6*step), 1)
	u := t.over(t.copied(t.number(1)), t.polynomial(a, []float64{1, step}))
	return e, t.times(t.polynomial(u, m), e)
}

// activations writes both kernels of each activation function.
func (t tier) activations() {
	p := func() value {
		m, err := Param("p").Resolve()
		if err != nil {
			panic(err)
		}
		to := t.vector()
		VBROADCASTSS(m.Addr, to)
		return to
	}
	for _, a := range activations {
		var title string // leaky_relu is LeakyRelu
		for _, word := range strings.Split(a.name, "_") {
			title += strings.ToUpper(word[:1]) + word[1:]
		}
		name := "forward" + title + t.suffix
		TEXT(name, NOSPLIT, "func(y, x []float32, p float32)")
		Doc(fmt.Sprintf("%s computes the activation function %s.", name, a.name))
		parameter := p()
		t.formula("y", []string{"x"}, false, func(in []value) value { return a.forward(t, in[0], parameter) })

		name = "backward" + title + t.suffix
		TEXT(name, NOSPLIT, "func(dx, dy, v []float32, p float32, add bool)")
		Doc(fmt.Sprintf("%s sets dx to the gradient before the activation function %s, or adds it.", name, a.name))
		parameter = p()
		t.formula("dx", []string{"dy", "v"}, true, func(in []value) value { return a.backward(t, in[1], in[0], parameter) })
	}
}
