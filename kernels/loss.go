package kernels

// SoftmaxCrossEntropy computes what is not null, of logits (Batch, Classes): probabilities (Batch, Classes), losses
// and hits (Batch) by the labels (Batch), and the gradient (Batch, Classes) of the mean loss over the samples of the
// update, of which Queued[State.slot] has the weight. Plain cross-entropy has no Others, Shares and ClassWeights, a
// Spread of 0 and 1 Kept. Formulas: net.Criterion.
type SoftmaxCrossEntropy struct {
	Logits        Pointer[float32]
	Labels        Optional[int32]
	Probabilities Optional[float32]
	Losses        Optional[float32]
	Hits          Optional[int32]
	Gradient      Optional[float32]
	Others        Optional[int32]   // (Batch): second labels, of samples that are mixed
	Shares        Optional[float32] // (Batch): of the first labels; with Others
	ClassWeights  Optional[float32] // (Classes)
	State         Pointer[StepState]
	Queued        Pointer[Queued]
	Batch         uint32
	Classes       uint32
	Spread        float32 // label smoothing / Classes
	Kept          float32 // 1 - label smoothing
}

var softmaxCrossEntropy = newKernel("softmax_cross_entropy", 1024, SoftmaxCrossEntropy{})

// mostOfWarp is how many logits a row has at most for a warp or less to take it, as in loss.cu.
const mostOfWarp = 128

// Launch returns the launch of this kernel on a device; see [Launcher].
func (k SoftmaxCrossEntropy) Launch(d Device) (Launch, error) {
	if k.Classes > mostOfWarp {
		return newRows(softmaxCrossEntropy, d, uint64(k.Batch), quads(uint64(k.Classes)), k)
	}
	lanes := uint64(1) // of a row
	for lanes < min(uint64(k.Classes), warp) {
		lanes *= 2
	}
	const threads = 128 // of a block: few, so that small batches are spread over the multiprocessors
	return newRows(softmaxCrossEntropy, d, (uint64(k.Batch)*lanes+threads-1)/threads, threads, k)
}

// AddMetrics adds the losses and hits of a mini-batch to Sums, in a fixed order. Losses and Hits have Batch values each. It
// also moves State on: to the next slot, and by Updates steps. Where Training is 1, it notes the first step whose loss is
// NaN or infinite.
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
