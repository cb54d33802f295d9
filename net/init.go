package net

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
	"gorgonia.org/tensor"
)

// InitMethod is the name of a way to draw initial values.
type InitMethod string

// The methods.
const (
	// Zeros and Ones set every value to 0 and 1.
	Zeros InitMethod = "zeros"
	Ones  InitMethod = "ones"
	// Constant sets every value to Value.
	Constant InitMethod = "constant"
	// TruncatedNormal draws from a normal distribution with mean 0 and standard deviation
	// Sigma. It redraws values beyond two standard deviations.
	TruncatedNormal InitMethod = "truncated_normal"
	// He draws from a normal distribution with mean 0 and standard deviation
	// sqrt(2/FanIn) (He et al., "Delving deep into rectifiers", 2015).
	He InitMethod = "he"
	// Glorot draws uniformly from -x to x, with x = sqrt(6/(FanIn+FanOut)) (Glorot and
	// Bengio, 2010).
	Glorot InitMethod = "glorot"
	// Identity makes filter or unit i of a group pass on input i of the group. The weight
	// in the middle of the kernel is 1, all others are 0 (Zagoruyko and Komodakis,
	// "DiracNets", 2017). If there are more filters or units than inputs, the rest are
	// drawn as by He.
	Identity InitMethod = "identity"
	// Orthogonal makes the rows of the weight matrix orthogonal and of length 1, or the
	// columns if there are fewer columns than rows. A row holds the weights of one filter
	// or unit (Saxe et al., 2014).
	Orthogonal InitMethod = "orthogonal"
	// Whitening is for a convolution on the network's input. It sets the first half of
	// the filters to the principal components of windows of the training images, the
	// greatest first, each divided by its standard deviation. So the outputs of these
	// filters are uncorrelated and have variance 1. The second half are the negatives of
	// the first (Page, "How to train your ResNet", 2018). The number of filters is even.
	// Windows are those that lie inside the image, of at most the first 5,000 images. 5e-4
	// of the pixels' mean variance is added to each variance, so that the method doesn't
	// depend on the pixels' scale. As the bias of such a convolution, it makes the outputs'
	// means 0. A program that is compiled without images draws weights as He does, and
	// biases are 0: see [InitialState].
	Whitening InitMethod = "whitening"
)

// Initializer says how a parameter's initial values are drawn. The zero
// Initializer means the layer's default.
type Initializer struct {
	Method InitMethod `json:"method"`
	Sigma  float64    `json:"sigma,omitempty"` // standard deviation, for TruncatedNormal
	Value  float64    `json:"value,omitempty"` // the value, for Constant
}

func truncated(sigma float64) Initializer {
	return Initializer{Method: TruncatedNormal, Sigma: sigma}
}

func (in Initializer) or(d Initializer) Initializer {
	if in == (Initializer{}) {
		return d
	}
	return in
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// checkInit returns an error for an initialiser that does not fit the parameter.
func (p Param) checkInit() error {
	in, matrix := p.Init, len(p.Dims) > 1
	switch in.Method {
	case TruncatedNormal:
		if !(in.Sigma > 0) || !finite(float64(float32(2*in.Sigma))) {
			return fmt.Errorf("initial values: sigma of truncated_normal must be above 0 and fit a float32 twice, got %v", in.Sigma)
		}
	case Constant:
		if !finite(float64(float32(in.Value))) {
			return fmt.Errorf("initial values: constant must be finite and fit a float32, got %v", in.Value)
		}
	case Zeros, Ones, He, Glorot:
	case Identity, Orthogonal:
		if !matrix {
			return fmt.Errorf("initial values: %s is for weights", in.Method)
		}
	case Whitening:
		if p.Role == Bias {
			return nil
		}
		if len(p.Dims) != 4 || p.Groups != 1 {
			return fmt.Errorf("initial values: whitening is for the weights of a convolution without groups")
		}
		if n := p.Dims[0]; n%2 != 0 || n > 2*p.FanIn {
			return fmt.Errorf("initial values: whitening makes an even number of filters, at most %d, got %d", 2*p.FanIn, n)
		}
		if p.FanIn > mostWhitened {
			return fmt.Errorf("initial values: whitening takes windows of at most %d values, got %d", mostWhitened, p.FanIn)
		}
	default:
		return fmt.Errorf("initial values: unknown method %q (want constant, zeros, ones, truncated_normal, he, glorot, identity, orthogonal or whitening)", in.Method)
	}
	return nil
}

// fill draws values for p. windows are those of the training images, or nil if there are
// no images. weight has the values of the weights if p is a bias.
func (p Param) fill(dst []float32, s *stream, windows *windowMoments, weight []float32) {
	switch p.Init.Method {
	case Zeros:
	case Ones:
		for i := range dst {
			dst[i] = 1
		}
	case Constant:
		for i := range dst {
			dst[i] = float32(p.Init.Value)
		}
	case TruncatedNormal:
		for i := range dst {
			z := s.normal()
			for math.Abs(z) > 2 {
				z = s.normal()
			}
			dst[i] = float32(p.Init.Sigma * z)
		}
	case He:
		p.fillHe(dst, s)
	case Glorot:
		limit := math.Sqrt(6 / float64(p.FanIn+p.FanOut))
		for i := range dst {
			dst[i] = float32(limit * (2*s.float() - 1))
		}
	case Identity:
		p.fillIdentity(dst, s)
	case Orthogonal:
		p.fillOrthogonal(dst, s)
	case Whitening:
		switch {
		case p.Role == Bias && windows != nil:
			windows.centre(dst, weight)
		case p.Role == Bias:
		case windows == nil || !p.fillWhitening(dst, windows):
			p.fillHe(dst, s)
		}
	}
}

func (p Param) fillHe(dst []float32, s *stream) {
	sigma := math.Sqrt(2 / float64(p.FanIn))
	for i := range dst {
		dst[i] = float32(sigma * s.normal())
	}
}

func (p Param) fillIdentity(dst []float32, s *stream) {
	p.fillHe(dst, s)
	area, middle := 1, 0
	if len(p.Dims) == 4 {
		area, middle = p.Dims[2]*p.Dims[3], p.Dims[2]/2*p.Dims[3]+p.Dims[3]/2
	}
	inputs, group := p.Dims[1], p.Dims[0]/max(1, p.Groups) // of a group
	for k := range p.Dims[0] {
		if c := k % group; c < inputs {
			filter := dst[k*inputs*area:][:inputs*area]
			clear(filter)
			filter[c*area+middle] = 1
		}
	}
}

func (p Param) fillOrthogonal(dst []float32, s *stream) {
	rows, columns := p.Dims[0], len(dst)/p.Dims[0]
	long, short := max(rows, columns), min(rows, columns)
	normal := make([]float64, long*short)
	for i := range normal {
		normal[i] = s.normal()
	}
	var qr mat.QR
	qr.Factorize(mat.NewDense(long, short, normal))
	var q, r mat.Dense
	qr.QTo(&q)
	qr.RTo(&r)
	for i := range long {
		for j := range short {
			// The sign makes the draw uniform (Mezzadri, 2007).
			v := float32(math.Copysign(1, r.At(j, j)) * q.At(i, j))
			if rows == long {
				dst[i*columns+j] = v
			} else {
				dst[j*columns+i] = v
			}
		}
	}
}

// Limits of Whitening.
const (
	whiteningImages  = 5000
	whiteningEpsilon = 5e-4
	mostWhitened     = 1024     // values of a window
	whiteningWork    = 20e9 / 2 // multiply-adds that the covariance may take: it uses fewer images where they are larger
)

// windowMoments are the means and covariances of the values of windows.
type windowMoments struct {
	means      []float64
	covariance *mat.SymDense
}

// momentsOf returns those of all windows that lie inside an image. At least one does.
func momentsOf(images *Dataset, w Window) *windowMoments {
	shape := images.Shape
	size := shape.C * w.KernelH * w.KernelW
	var places []int // of windows inside an image
	for y := 0; y+(w.KernelH-1)*w.DilationH < shape.H; y += w.StrideH {
		for x := 0; x+(w.KernelW-1)*w.DilationW < shape.W; x += w.StrideW {
			places = append(places, y*shape.W+x)
		}
	}
	var taps []int
	for c := range shape.C {
		for r := range w.KernelH {
			for s := range w.KernelW {
				taps = append(taps, (c*shape.H+r*w.DilationH)*shape.W+s*w.DilationW)
			}
		}
	}
	count := min(images.Len(), whiteningImages, max(1, whiteningWork/(len(places)*size*size)))
	sum, products := make([]float64, size), make([]float64, size*size)
	image, window := make([]float32, shape.Size()), make([]float64, size)
	for i := range count {
		images.Gather(image, []int32{int32(i)})
		for _, at := range places {
			for k, tap := range taps {
				window[k] = float64(image[at+tap])
				sum[k] += window[k]
			}
			for k, v := range window {
				row := products[k*size:][:k+1]
				for j := range row {
					row[j] += float64(v * window[j]) // rounded, so that every machine computes the same
				}
			}
		}
	}
	n := float64(count * len(places))
	m := &windowMoments{make([]float64, size), mat.NewSymDense(size, nil)}
	for k := range size {
		m.means[k] = sum[k] / n
		for j := range k + 1 {
			m.covariance.SetSym(k, j, products[k*size+j]/n-sum[k]/n*sum[j]/n)
		}
	}
	return m
}

// centre sets the biases with which the outputs of filters have mean 0.
func (m *windowMoments) centre(bias, weight []float32) {
	for k := range bias {
		var mean float64
		for i, v := range m.means {
			mean += float64(float64(weight[k*len(m.means)+i]) * v) // rounded, so that every machine computes the same
		}
		bias[k] = float32(-mean)
	}
}

// fillWhitening sets the filters and reports whether the windows have principal
// components. Those of finite values do.
func (p Param) fillWhitening(dst []float32, windows *windowMoments) bool {
	size := p.FanIn
	var eigen mat.EigenSym
	if !eigen.Factorize(windows.covariance, true) {
		return false
	}
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	variances := eigen.Values(nil)
	half := p.Dims[0] / 2
	least := whiteningEpsilon * mat.Trace(windows.covariance) / float64(size)
	if least == 0 {
		least = whiteningEpsilon // all images are of one colour
	}
	for k := range half {
		at := size - 1 - k // they are in ascending order
		scale := 1 / math.Sqrt(max(variances[at], 0)+least)
		greatest := 0.0
		for j := range size {
			if v := vectors.At(j, at); math.Abs(v) > math.Abs(greatest) {
				greatest = v
			}
		}
		scale = math.Copysign(scale, greatest) // a vector and its negative are both right: the greatest value decides
		for j := range size {
			v := float32(scale * vectors.At(j, at))
			dst[k*size+j], dst[(half+k)*size+j] = v, -v
		}
	}
	return true
}

// normal returns a standard normal value (Box and Muller, 1958).
func (s *stream) normal() float64 {
	u := 1 - s.float() // in (0, 1]
	v := s.float()
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v)
}

// InitialState draws the initial values of every parameter. Each parameter has its own
// random stream, so its values depend only on the seed, its position in the plan and its
// description.
//
// Whitening also needs images of the training set. Its values are computed here, in
// float64, so every device starts from the same values. A resumed run has them in its
// checkpoint. Without images, the values are He's instead: that is enough for a
// program that gets its weights by SetState. Images whose shape is not that of the
// network's input count as none, because Train will refuse them.
func InitialState(p *Plan, seed uint64, images *Dataset) State {
	if images != nil && (images.Len() == 0 || images.Shape != p.Network.Input) {
		images = nil
	}
	st := State{Params: make(map[string]*tensor.Dense, len(p.Params)), Optimizer: map[string]*tensor.Dense{}}
	var windows *windowMoments
	of := -1 // the layer that has the windows
	for i, q := range p.Params {
		if q.Init.Method == Whitening && of != q.Layer && images != nil {
			windows, of = momentsOf(images, p.Nodes[q.Layer].Window), q.Layer
		}
		var weight []float32
		if t := st.Params[p.Nodes[q.Layer].Name+"."+string(Weight)]; t != nil {
			weight = t.Float32s()
		}
		values := make([]float32, q.Size())
		q.fill(values, newStream(seed, ForInit, i), windows, weight)
		st.Params[q.Name] = tensor.New(tensor.WithShape(q.Dims...), tensor.WithBacking(values))
	}
	return st
}
