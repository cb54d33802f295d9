package kernels

// SoftmaxCrossEntropy computes softmax and cross-entropy from Logits (Batch, Classes) and Labels (Batch). Its results
// are Probabilities (Batch, Classes), Losses and Hits (Batch), and Gradient (Batch, Classes), which is the gradient of
// the mean loss with respect to the logits. A result whose pointer is null is left out. The mean is over all samples
// of the update; its factor is Queued[State.slot].Weight. For plain cross-entropy, Others, Shares and ClassWeights are
// null, Spread is 0 and Kept is 1. For the formulas see net.Criterion.
type SoftmaxCrossEntropy struct {
	Logits        Pointer[float32]
	Bias          Optional[float32] // (Classes): added to each row of Logits
	Labels        Optional[int32]
	Probabilities Optional[float32]
	Losses        Optional[float32]
	Hits          Optional[int32]
	Gradient      Values            `values:"optional"`
	Others        Optional[int32]   // (Batch): the second label of each mixed sample
	Shares        Optional[float32] // (Batch): the share of the first label; null if Others is null
	ClassWeights  Optional[float32] // (Classes): the weight of each class
	State         Pointer[StepState]
	Queued        Pointer[Queued]
	Batch         uint32
	Classes       uint32
	Spread        float32 // label smoothing / Classes
	Kept          float32 // 1 - label smoothing
}

var softmaxCrossEntropy = newForms("softmax_cross_entropy", 1024, SoftmaxCrossEntropy{})

// mostOfWarp is the most logits of a row for which a warp, or a part of one, computes the row. loss.cu has the same
// number.
const mostOfWarp = 128

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k SoftmaxCrossEntropy) Launch(d Device) (Launch, error) {
	if k.Classes > mostOfWarp {
		return newRows(softmaxCrossEntropy[k.Gradient.Type], d, uint64(k.Batch), quads(uint64(k.Classes)), k)
	}
	lanes := uint64(1) // of a row
	for lanes < min(uint64(k.Classes), warp) {
		lanes *= 2
	}
	const threads = 128 // threads of a block: few, so that small batches are spread over the multiprocessors
	return newRows(softmaxCrossEntropy[k.Gradient.Type], d, (uint64(k.Batch)*lanes+threads-1)/threads, threads, k)
}

// AddMetrics adds the losses and hits of a mini-batch to Sums, in a fixed order. Losses and Hits have Batch values
// each. It also adds 1 to State.Slot and Updates to State.Step. If Training is 1, it records in Sums the first step
// whose loss is NaN or infinite.
type AddMetrics struct {
	Sums     Pointer[Sums]
	State    Pointer[StepState]
	Losses   Pointer[float32]
	Hits     Pointer[int32]
	Batch    uint32
	Training int32
	Updates  uint32
}

var addMetrics = newKernel("add_metrics", 256, AddMetrics{})

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k AddMetrics) Launch(d Device) (Launch, error) {
	return newRows(addMetrics, d, 1, uint64(k.Batch), k)
}
