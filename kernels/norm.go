package kernels

import "fmt"

// Batch normalisation (Ioffe and Szegedy, 2015), of a tensor X (Batch, Channels, Extent). For the formulas see
// net.BatchNorm. In training, BatchnormMoments and BatchnormStatistics find a mini-batch's mean and 1/sqrt(variance +
// epsilon), and Batchnorm computes the output. In a group of devices, BatchnormShare and BatchnormJoint take the place of
// BatchnormStatistics. The backward pass is BatchnormGradients, then BatchnormGradientSums if there are several parts, and
// BatchnormBackward for the input gradient.

// Rectifier is what may be fused with a normalisation: the function that comes after it. The kernels know them by these
// numbers.
type Rectifier uint32

// The rectifiers.
const (
	NoRectifier Rectifier = iota
	ReLU
	ReLU6
)

func (r Rectifier) check(k *Kernel) error {
	if r > ReLU6 {
		return fmt.Errorf("kernels: %s: there is no rectifier %d", k.Name, r)
	}
	return nil
}

// BatchnormMoments computes the mean of each channel, and the sum of the squared deviations from it, for each of Parts
// parts of its values. Means and Squares have Parts rows of Channels numbers. See [ReductionParts].
type BatchnormMoments struct {
	Means    Pointer[float32]
	Squares  Pointer[float32]
	X        Values
	Batch    uint32
	Channels uint32
	Extent   uint32
	Parts    uint32
}

var batchnormMoments = newForms("batchnorm_moments", 256, BatchnormMoments{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BatchnormMoments) Launch(d Device) (Launch, error) {
	return newReduction(batchnormMoments[k.X.Type], d, k, k.Batch, k.Channels, k.Extent, k.Parts)
}

// BatchnormStatistics puts together what [BatchnormMoments] found, whose Batch, Channels, Extent and Parts it needs: each
// channel's mean and 1/sqrt(variance + Epsilon) over the mini-batch. It also moves the running statistics, unless they
// are null.
type BatchnormStatistics struct {
	Mean        Pointer[float32]
	Inverse     Pointer[float32]
	RunningMean Optional[float32]
	RunningVar  Optional[float32]
	Means       Pointer[float32]
	Squares     Pointer[float32]
	Batch       uint32
	Channels    uint32
	Extent      uint32
	Parts       uint32
	Momentum    float64
	Epsilon     float64
}

var batchnormStatistics = newKernel("batchnorm_statistics", 1024, BatchnormStatistics{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BatchnormStatistics) Launch(d Device) (Launch, error) {
	if err := checkStatistics(batchnormStatistics, k.Batch, k.Channels, k.Extent); err != nil {
		return Launch{}, err
	}
	if (k.RunningMean == 0) != (k.RunningVar == 0) {
		return Launch{}, fmt.Errorf("kernels: batchnorm_statistics: one of the running statistics is null")
	}
	return newPartSums(batchnormStatistics, d, k, k.Parts, k.Channels)
}

// checkStatistics returns an error for a tensor without values, which has no mean.
func checkStatistics(k *Kernel, batch, channels, extent uint32) error {
	n, err := countPlaces(k, batch, channels, extent)
	if err == nil && n < 1 {
		err = fmt.Errorf("kernels: %s: %d values in each of %d channels of %d samples: want 1 or more", k.Name, extent, channels, batch)
	}
	return err
}

// BatchnormShare writes what a member of a group of devices adds to the group's sums, from what [BatchnormMoments] found,
// whose Batch, Channels, Extent and Parts it needs. Shares has 2*Channels + 1 numbers: the sums of the deviations from Pivot,
// those of their squares, and the number of a channel's values. If Counts is 0, all are 0. Pivot is the running mean.
type BatchnormShare struct {
	Shares   Pointer[float64]
	Pivot    Pointer[float32]
	Means    Pointer[float32]
	Squares  Pointer[float32]
	Batch    uint32
	Channels uint32
	Extent   uint32
	Parts    uint32
	Counts   int32
}

var batchnormShare = newKernel("batchnorm_share", 1024, BatchnormShare{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BatchnormShare) Launch(d Device) (Launch, error) {
	if err := checkStatistics(batchnormShare, k.Batch, k.Channels, k.Extent); err != nil {
		return Launch{}, err
	}
	return newPartSums(batchnormShare, d, k, k.Parts, k.Channels)
}

// BatchnormJoint computes each channel's mean and 1/sqrt(variance + Epsilon) over all members of a group, from the sums of
// their Shares; see [BatchnormShare]. If Moves isn't 0, it also moves the running statistics.
type BatchnormJoint struct {
	Mean        Pointer[float32]
	Inverse     Pointer[float32]
	RunningMean Pointer[float32]
	RunningVar  Pointer[float32]
	Shares      Pointer[float64]
	Channels    uint32
	Moves       int32
	Momentum    float64
	Epsilon     float64
}

var batchnormJoint = newKernel("batchnorm_joint", 256, BatchnormJoint{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BatchnormJoint) Launch(d Device) (Launch, error) {
	return newLaunch(batchnormJoint, d, uint64(k.Channels), k)
}

// BatchnormRunning computes Mean and Inverse from the running statistics: Inverse is 1/sqrt(RunningVar + Epsilon).
type BatchnormRunning struct {
	Mean        Pointer[float32]
	Inverse     Pointer[float32]
	RunningMean Pointer[float32]
	RunningVar  Pointer[float32]
	Channels    uint32
	Epsilon     float64
}

var batchnormRunning = newKernel("batchnorm_running", 256, BatchnormRunning{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BatchnormRunning) Launch(d Device) (Launch, error) {
	return newLaunch(batchnormRunning, d, uint64(k.Channels), k)
}

// Batchnorm computes y = f(weight*inverse*(x - mean) + bias + other) for Count values. f is the Rectifier. Other may be
// null; then nothing is added. Y may be X or Other.
type Batchnorm struct {
	Y         Values
	X         Values
	Other     Values `values:"optional"`
	Mean      Pointer[float32]
	Inverse   Pointer[float32]
	Weight    Pointer[float32]
	Bias      Pointer[float32]
	Count     uint32
	Channels  uint32
	Extent    uint32
	Rectifier Rectifier
}

var batchnorm = newForms("batchnorm", 256, Batchnorm{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k Batchnorm) Launch(d Device) (Launch, error) {
	return newNorm(batchnorm[k.Y.Type], d, k, k.Count, k.Channels, k.Extent, k.Rectifier)
}

// newNorm makes a launch for a kernel that computes every value of a tensor of count values.
func newNorm(k *Kernel, d Device, parameters any, count, channels, extent uint32, r Rectifier) (Launch, error) {
	if err := r.check(k); err != nil {
		return Launch{}, err
	}
	sample, err := countPlaces(k, channels, extent)
	if err != nil {
		return Launch{}, err
	}
	if sample > 0 && uint64(count)%sample != 0 {
		return Launch{}, fmt.Errorf("kernels: %s: %d values are not whole samples of %d", k.Name, count, sample)
	}
	return newChannelwise(k, d, parameters, count, channels, extent)
}

// BatchnormGradients computes the gradients of weight and bias for each channel, in Parts parts; see [ReductionParts]. With
// several, Dweight and Dbias have Parts rows of Channels sums, which [BatchnormGradientSums] adds up. Y is the output of
// [Batchnorm]. Only a Rectifier that came after a sum with Other needs it. Without a Y, the kernel finds the slope of the
// Rectifier from X.
type BatchnormGradients struct {
	Dweight   Pointer[float32]
	Dbias     Pointer[float32]
	Dy        Values
	X         Values
	Y         Values `values:"optional"`
	Mean      Pointer[float32]
	Inverse   Pointer[float32]
	Weight    Pointer[float32]
	Bias      Pointer[float32]
	Batch     uint32
	Channels  uint32
	Extent    uint32
	Parts     uint32
	Rectifier Rectifier
}

var batchnormGradients = newForms("batchnorm_gradients", 256, BatchnormGradients{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BatchnormGradients) Launch(d Device) (Launch, error) {
	kernel := batchnormGradients[k.Dy.Type]
	if err := k.Rectifier.check(kernel); err != nil {
		return Launch{}, err
	}
	return newReduction(kernel, d, k, k.Batch, k.Channels, k.Extent, k.Parts)
}

// BatchnormGradientSums adds up the parts of [BatchnormGradients]: Dweights and Dbiases have Parts rows of Channels sums.
// Unless Both is null, it gets a copy of Dweight and, behind it, of Dbias.
type BatchnormGradientSums struct {
	Dweight  Pointer[float32]
	Dbias    Pointer[float32]
	Dweights Pointer[float32]
	Dbiases  Pointer[float32]
	Both     Optional[float32]
	Channels uint32
	Parts    uint32
}

var batchnormGradientSums = newKernel("batchnorm_gradient_sums", 1024, BatchnormGradientSums{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BatchnormGradientSums) Launch(d Device) (Launch, error) {
	return newPartSums(batchnormGradientSums, d, k, k.Parts, k.Channels)
}

// BatchnormBackward computes the input gradient of Count values from the output gradient and the gradients of weight and
// bias, Dweight and Dbias. These are over Total values a channel or, if it is null, over those of Count. Where Add is not 0,
// it adds the result to Dx. Y is as in [BatchnormGradients]. If Dother is not null, the kernel also writes the gradient of
// the tensor Other there, or adds it where AddOther is not 0. Dx or Dother may be Dy, if nothing is added to it. If only the
// gradient of Other is wanted, [ActivationBackward] computes it.
//
// If Dweight and Dbias are null, Mean and Inverse are constants, not of the mini-batch. Then X may be null too, if there is a Y
// or no Rectifier.
type BatchnormBackward struct {
	Dx        Values
	Dother    Values `values:"optional"`
	Dy        Values
	X         Values `values:"optional"`
	Y         Values `values:"optional"`
	Mean      Pointer[float32]
	Inverse   Pointer[float32]
	Weight    Pointer[float32]
	Bias      Pointer[float32]
	Dweight   Optional[float32]
	Dbias     Optional[float32]
	Total     Optional[float64]
	Count     uint32
	Channels  uint32
	Extent    uint32
	Rectifier Rectifier
	Add       int32
	AddOther  int32
}

var batchnormBackward = newForms("batchnorm_backward", 256, BatchnormBackward{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k BatchnormBackward) Launch(d Device) (Launch, error) {
	kernel := batchnormBackward[k.Dx.Type]
	if k.Dother.Address != 0 && k.Rectifier != NoRectifier && k.Y.Address == 0 {
		return Launch{}, fmt.Errorf("kernels: %s: the gradient of another tensor needs y", kernel.Name)
	}
	if (k.Dweight == 0) != (k.Dbias == 0) {
		return Launch{}, fmt.Errorf("kernels: %s: one of the gradients of weight and bias is null", kernel.Name)
	}
	if k.X.Address == 0 && (k.Dweight != 0 || k.Rectifier != NoRectifier && k.Y.Address == 0) {
		return Launch{}, fmt.Errorf("kernels: %s: it needs x", kernel.Name)
	}
	return newNorm(kernel, d, k, k.Count, k.Channels, k.Extent, k.Rectifier)
}
