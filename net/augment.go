package net

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
)

// Flip says which pictures are mirrored, left for right.
type Flip string

// The flips.
const (
	NoFlip     Flip = ""
	RandomFlip Flip = "random" // every picture by chance, anew each epoch
	// AlternateFlip mirrors each picture every other epoch. Chance decides whether it
	// begins in the first epoch or in the second, so two epochs always show both sides
	// (K. Jordan, "94 % on CIFAR-10 in 3.29 seconds on a single GPU", 2024).
	AlternateFlip Flip = "alternate"
)

// Augment says how training changes pictures, so that a network sees them differently
// each epoch. The zero Augment changes nothing, and so does a field that is 0, nil or
// empty.
//
// A random value is uniform in its range unless its field says otherwise. It is a pure
// function of the run's seed, the epoch and the sample. Each setting has random numbers
// of its own, so another setting does not change them.
type Augment struct {
	Name string `json:"name,omitempty"` // for people

	// Place. The picture goes through these settings in this order.
	Crop        int          `json:"crop,omitempty"`         // moves by at most this many pixels of the input in each direction, like a random crop after padding
	ResizedCrop *ResizedCrop `json:"resized_crop,omitempty"` // a random part of the picture, enlarged to all of it
	Rotate      float64      `json:"rotate,omitempty"`       // rotates by at most this many degrees in either direction
	Scale       float64      `json:"scale,omitempty"`        // enlarges or shrinks by a factor from 1-Scale to 1+Scale
	Shear       float64      `json:"shear,omitempty"`        // shears horizontally by at most this many degrees in either direction
	Translate   float64      `json:"translate,omitempty"`    // moves by at most this share of width and height in each direction, in whole pixels
	Flip        Flip         `json:"flip,omitempty"`
	Border      Border       `json:"border,omitempty"` // what lies around a picture; "" means ZeroBorder

	// Colour, for samples of bytes. A field of value x draws a factor from 1-x to 1+x, but
	// at least 0.
	Brightness float64 `json:"brightness,omitempty"` // multiplies all values by a factor
	Contrast   float64 `json:"contrast,omitempty"`   // multiplies the distance from middle grey by a factor
	Saturation float64 `json:"saturation,omitempty"` // multiplies the distance from the pixel's own grey by a factor; for pictures of three channels only

	Erase *Erase `json:"erase,omitempty"` // cutout, random erasing

	// Mixtures of two pictures. With both set, each picture gets one of the two, by even
	// chance.
	Mixup  float64 `json:"mixup,omitempty"`  // the picture's share is drawn from Beta(x, x) (Zhang et al., 2018)
	CutMix float64 `json:"cutmix,omitempty"` // a rectangle is the other picture's; the share of the rest is drawn from Beta(x, x) (Yun et al., 2019)
}

// ResizedCrop says how large a random part of a picture is (Szegedy et al., "Going
// deeper with convolutions", 2015).
type ResizedCrop struct {
	Area  [2]float64 `json:"area"`  // the least and the greatest share of the picture's area; usual are 0.08 and 1
	Ratio [2]float64 `json:"ratio"` // the least and the greatest width over height, relative to the picture's; the logarithm is uniform; usual are 3/4 and 4/3
}

// Erase sets a square of the picture to 0. The middle of the square is anywhere in the
// picture (DeVries and Taylor, "Improved regularization of convolutional neural networks
// with cutout", 2017; Zhong et al., "Random erasing data augmentation", 2020).
type Erase struct {
	Size        float64 `json:"size"`                  // side of the square, as a share of the picture's shorter side
	Probability float64 `json:"probability,omitempty"` // share of the pictures that get a square; 0 means 1
}

// augmentations makes the built-in settings at each call, because they hold pointers.
func augmentations() []Augment {
	return []Augment{
		{Name: "none"},
		// For pictures that may not be mirrored, such as digits.
		{Name: "light", Translate: 1.0 / 14, Rotate: 8, Scale: 0.08},
		// What networks for CIFAR-10 are usually trained with (He et al., 2016), by share.
		{Name: "standard", Translate: 1.0 / 8, Flip: RandomFlip},
		{
			Name: "strong", Translate: 1.0 / 8, Rotate: 12, Scale: 0.15, Shear: 5, Flip: RandomFlip, Border: ReflectBorder,
			Brightness: 0.25, Contrast: 0.25, Saturation: 0.25, Erase: &Erase{Size: 0.3, Probability: 0.5},
		},
	}
}

// Augmentations returns the built-in settings:
//
//   - none
//   - light, for pictures that may not be mirrored, such as digits
//   - standard, for photographs, which may be mirrored
//   - strong, for long training of large networks on colour pictures
func Augmentations() []Augment { return augmentations() }

// AugmentationNamed returns the built-in settings with this name, and whether there are
// any.
func AugmentationNamed(name string) (Augment, bool) {
	for _, a := range augmentations() {
		if a.Name == name {
			if name == "none" {
				a.Name = "" // as where nothing is said
			}
			return a, true
		}
	}
	return Augment{}, false
}

// ParseAugment reads settings from JSON and checks them. The names of the fields are
// those of Augment's tags.
func ParseAugment(r io.Reader) (Augment, error) {
	b, err := readJSON(r)
	if err != nil {
		return Augment{}, fmt.Errorf("augmentation: %w", err)
	}
	var a Augment
	if err := strictUnmarshal(b, &a); err != nil {
		return Augment{}, fmt.Errorf("augmentation: %w", err)
	}
	if err := checkTexts(b); err != nil {
		return Augment{}, fmt.Errorf("augmentation: %w", err)
	}
	if err := a.Check(); err != nil {
		return Augment{}, err
	}
	return a, nil
}

// Plain reports whether the settings change nothing.
func (a Augment) Plain() bool {
	a.Name, a.Border = "", ""
	return a == Augment{}
}

// Same reports whether both settings change pictures in the same way. Their names don't
// count.
func (a Augment) Same(b Augment) bool {
	return reflect.DeepEqual(a.withoutName(), b.withoutName())
}

// withoutName returns the settings alone, with defaults filled in.
func (a Augment) withoutName() Augment {
	a.Name, a.Border = "", cmp.Or(a.Border, ZeroBorder)
	return a
}

// Check returns an error for settings outside their ranges.
func (a Augment) Check() error {
	in := func(name string, x, lo, hi float64) error {
		if !(x >= lo && x <= hi) {
			return fmt.Errorf("augmentation: %s must be from %v to %v, got %v", name, lo, hi, x)
		}
		return nil
	}
	checks := []error{
		in("crop", float64(a.Crop), 0, 1<<16), in("rotate", a.Rotate, 0, 180), in("scale", a.Scale, 0, 0.9),
		in("shear", a.Shear, 0, 60), in("translate", a.Translate, 0, 1), in("brightness", a.Brightness, 0, 10),
		in("contrast", a.Contrast, 0, 10), in("saturation", a.Saturation, 0, 10),
		in("mixup", a.Mixup, 0, 100), in("cutmix", a.CutMix, 0, 100),
	}
	if a.Flip != NoFlip && a.Flip != RandomFlip && a.Flip != AlternateFlip {
		checks = append(checks, fmt.Errorf("augmentation: unknown flip %q (want random or alternate)", a.Flip))
	}
	if a.Border != "" && a.Border != ZeroBorder && a.Border != ReflectBorder {
		checks = append(checks, fmt.Errorf("augmentation: unknown border %q (want zeros or reflect)", a.Border))
	}
	if c := a.ResizedCrop; c != nil {
		checks = append(checks, in("resized_crop's least area", c.Area[0], 0.01, 1), in("resized_crop's greatest area", c.Area[1], c.Area[0], 1),
			in("resized_crop's least ratio", c.Ratio[0], 0.1, 10), in("resized_crop's greatest ratio", c.Ratio[1], c.Ratio[0], 10))
	}
	if e := a.Erase; e != nil {
		checks = append(checks, in("erase's size", e.Size, 0, 1), in("erase's probability", e.Probability, 0, 1))
		if e.Size == 0 {
			checks = append(checks, errors.New("augmentation: erase needs a size above 0"))
		}
	}
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	return nil
}

// CheckFor returns an error for settings that do not suit the samples of d.
func (a Augment) CheckFor(d *Dataset) error {
	switch {
	case d.Pixels == nil && (a.Brightness != 0 || a.Contrast != 0 || a.Saturation != 0):
		return fmt.Errorf("augmentation: brightness, contrast and saturation are for pictures of bytes; data set %s has other values", d.Name)
	case a.Crop >= min(d.Shape.H, d.Shape.W) && a.Crop > 0:
		return fmt.Errorf("augmentation: crop moves pictures by up to %d pixels, and those of data set %s have only %d x %d: nothing of them might be left", a.Crop, d.Name, d.Shape.H, d.Shape.W)
	}
	return nil
}

// The streams of random numbers, one for each setting.
const (
	drawCrop = 1 + iota
	drawResizedCrop
	drawRotate
	drawScale
	drawShear
	drawTranslate
	drawFlip
	drawBrightness
	drawContrast
	drawSaturation
	drawErase
	drawMix
)

// lots draws the random numbers of one sample in one epoch.
type lots struct {
	seed   uint64
	epoch  int
	sample int32
}

// stream returns the random numbers of a setting. They are those of the Philox counters
// {0, sample, epoch, ForAugment<<24 | setting}, {1, ...} and so on.
func (l lots) stream(setting int) *stream {
	return &stream{key: SeedKey(l.seed), middle: [2]uint32{uint32(l.sample), uint32(l.epoch)}, last: uint32(ForAugment)<<24 | uint32(setting)}
}

// around returns a uniform value from -x to x.
func (s *stream) around(x float64) float64 { return (2*s.float() - 1) * x }

// affine is a map of the plane in float64: rows as in Transform.Matrix.
type affine [6]float64

// then returns the map that does a first, b next.
func (a affine) then(b affine) affine {
	return affine{
		b[0]*a[0] + b[1]*a[3], b[0]*a[1] + b[1]*a[4], b[0]*a[2] + b[1]*a[5] + b[2],
		b[3]*a[0] + b[4]*a[3], b[3]*a[1] + b[4]*a[4], b[3]*a[2] + b[4]*a[5] + b[5],
	}
}

// transform draws the transform that turns a picture of shape from into an input of
// shape to.
func (a Augment) transform(l lots, from, to Shape) Transform {
	w, h := float64(to.W), float64(to.H)
	// From the input's pixels to coordinates about its middle, in units of pixels.
	m := affine{1, 0, -(w - 1) / 2, 0, 1, -(h - 1) / 2}
	if a.mirrored(l) {
		m = m.then(affine{-1, 0, 0, 0, 1, 0})
	}
	if t := a.Translate; t != 0 {
		// Whole pixels, so that nothing blurs where nothing else moves.
		s := l.stream(drawTranslate)
		m = m.then(affine{1, 0, s.whole(t * w), 0, 1, s.whole(t * h)})
	}
	if a.Shear != 0 {
		m = m.then(affine{1, math.Tan(l.stream(drawShear).around(a.Shear) * math.Pi / 180), 0, 0, 1, 0})
	}
	if a.Scale != 0 {
		f := 1 / (1 + l.stream(drawScale).around(a.Scale))
		m = m.then(affine{f, 0, 0, 0, f, 0})
	}
	if a.Rotate != 0 {
		sin, cos := math.Sincos(l.stream(drawRotate).around(a.Rotate) * math.Pi / 180)
		m = m.then(affine{cos, -sin, 0, sin, cos, 0})
	}
	if c := a.ResizedCrop; c != nil {
		s := l.stream(drawResizedCrop)
		area := c.Area[0] + (c.Area[1]-c.Area[0])*s.float()
		ratio := math.Exp(math.Log(c.Ratio[0]) + (math.Log(c.Ratio[1])-math.Log(c.Ratio[0]))*s.float())
		width, height := math.Min(1, math.Sqrt(area*ratio)), math.Min(1, math.Sqrt(area/ratio))
		// The picture reaches from the middle of an outer pixel to the middle of the opposite
		// one, so the part holds nothing of the border.
		m = m.then(affine{width, 0, s.around((1 - width) * (w - 1) / 2), 0, height, s.around((1 - height) * (h - 1) / 2)})
	}
	if a.Crop != 0 {
		s := l.stream(drawCrop)
		m = m.then(affine{1, 0, s.whole(float64(a.Crop)), 0, 1, s.whole(float64(a.Crop))})
	}
	// From there to the picture's pixels. The picture may have more or fewer than the input.
	fw, fh := float64(from.W), float64(from.H)
	m = m.then(affine{fw / w, 0, (fw - 1) / 2, 0, fh / h, (fh - 1) / 2})
	t := IdentityTransform()
	for i, v := range m {
		t.Matrix[i] = float32(v)
	}
	if a.Border != "" {
		t.Border = a.Border
	}
	t.Colour = a.colour(l, to.C)
	if e := a.Erase; e != nil {
		t.Erase = e.box(l.stream(drawErase), to)
	}
	return t
}

// whole returns a uniform whole number from -n to n, where n is the whole part of x.
func (s *stream) whole(x float64) float64 {
	n := uint32(x + 1e-9)
	return float64(s.below(2*n+1)) - float64(n)
}

// mirrored reports whether a picture is flipped.
func (a Augment) mirrored(l lots) bool {
	switch a.Flip {
	case NoFlip:
		return false
	case AlternateFlip:
		odd := l.epoch%2 == 1
		l.epoch = 0
		return (l.stream(drawFlip).word()>>31 == 1) != odd
	}
	return l.stream(drawFlip).word()>>31 == 1
}

// luma is how much red, green and blue add to a pixel's grey (ITU-R BT.601).
var luma = [3]float64{0.299, 0.587, 0.114}

// colour returns Transform.Colour: brightness, then contrast, then saturation.
func (a Augment) colour(l lots, channels int) (out [12]float32) {
	factor := func(setting int, x float64) float64 {
		if x == 0 {
			return 1
		}
		return math.Max(0, 1+l.stream(setting).around(x))
	}
	if a.Brightness == 0 && a.Contrast == 0 && a.Saturation == 0 {
		return out
	}
	contrast := factor(drawContrast, a.Contrast)
	slope, shift := factor(drawBrightness, a.Brightness)*contrast, (1-contrast)/2
	saturation := 1.0
	if channels == 3 {
		saturation = factor(drawSaturation, a.Saturation)
	}
	for r := range 3 {
		for c := range 3 {
			v := (1 - saturation) * luma[c]
			if r == c {
				v += saturation
			}
			out[4*r+c] = float32(v * slope)
		}
		out[4*r+3] = float32(shift)
	}
	if channels != 3 {
		out[0] = float32(slope)
	}
	return out
}

// box draws the square to erase.
func (e Erase) box(s *stream, to Shape) Box {
	if p := e.Probability; p != 0 && s.float() >= p {
		return Box{}
	}
	side := int32(math.Round(e.Size * float64(min(to.H, to.W))))
	if side == 0 {
		return Box{}
	}
	left, top := int32(s.below(uint32(to.W)))-side/2, int32(s.below(uint32(to.H)))-side/2
	return Box{Left: left, Top: top, Right: left + side, Bottom: top + side}
}

// beta draws from the distribution Beta(a, a).
func (s *stream) beta(a float64) float64 {
	x, y := s.gamma(a), s.gamma(a)
	if x+y == 0 { // both are too small for a float64: one gets all
		return float64(s.word() >> 31)
	}
	return x / (x + y)
}

// gamma draws from the gamma distribution of shape a and scale 1 (Marsaglia and
// Tsang, "A simple method for generating gamma variables", 2000).
func (s *stream) gamma(a float64) float64 {
	boost := 1.0
	if a < 1 {
		boost = math.Pow(1-s.float(), 1/a)
		a++
	}
	d := a - 1.0/3
	for {
		x := s.normal()
		v := 1 + x/math.Sqrt(9*d)
		if v <= 0 {
			continue
		}
		v *= v * v
		if math.Log(1-s.float()) < x*x/2+d-d*v+d*math.Log(v) {
			return boost * d * v
		}
	}
}

// Source makes the mini-batches of training from a data set, and augments its samples.
// What it gives depends on nothing but seed, epoch and sample. So a resumed run sees the
// same, whatever the device and the number of threads.
type Source struct {
	Data    *Dataset
	Augment Augment
	Seed    uint64
	Input   Shape // the shape of the network's input; it has as many channels as Data

	views []View
}

// Batch returns the mini-batch of these samples of Data in an epoch, counted from 0. Its
// Views are valid until the next call.
func (s *Source) Batch(epoch int, samples []int32) Batch {
	b := Batch{Data: s.Data, Indices: samples}
	if s.Augment.Plain() && s.Data.Shape == s.Input {
		return b
	}
	s.views = s.views[:0]
	for _, i := range samples {
		s.views = append(s.views, s.View(epoch, i))
	}
	b.Views = s.views
	return b
}

// View returns the view of a sample in an epoch, counted from 0.
func (s *Source) View(epoch int, sample int32) View {
	l := lots{s.Seed, epoch, sample}
	v := PlainView()
	v.Transform = s.Augment.transform(l, s.Data.Shape, s.Input)
	if s.Augment.Mixup == 0 && s.Augment.CutMix == 0 {
		return v
	}
	r := l.stream(drawMix)
	v.Partner = int32(r.below(uint32(s.Data.Len())))
	cut := s.Augment.CutMix != 0
	if cut && s.Augment.Mixup != 0 {
		cut = r.word()>>31 == 1
	}
	l.sample = v.Partner
	v.Other = s.Augment.transform(l, s.Data.Shape, s.Input)
	if !cut {
		v.Share = float32(r.beta(s.Augment.Mixup))
		return v
	}
	// The middle of the box is anywhere in the picture. What lies outside is cut off, so
	// the share is computed from the area that is left.
	side := math.Sqrt(1 - r.beta(s.Augment.CutMix))
	w, h := int32(math.Round(side*float64(s.Input.W))), int32(math.Round(side*float64(s.Input.H)))
	x, y := int32(r.below(uint32(s.Input.W))), int32(r.below(uint32(s.Input.H)))
	v.Box = Box{
		Left: max(0, x-w/2), Top: max(0, y-h/2),
		Right: min(int32(s.Input.W), x-w/2+w), Bottom: min(int32(s.Input.H), y-h/2+h),
	}
	if v.Box.Empty() { // an empty box would mean mixup
		plain := PlainView()
		plain.Transform = v.Transform
		return plain
	}
	area := float64(v.Box.Right-v.Box.Left) * float64(v.Box.Bottom-v.Box.Top)
	v.Share = float32(1 - area/float64(s.Input.H*s.Input.W))
	return v
}
