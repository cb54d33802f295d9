package net

import "math/bits"

// Philox is the counter-based generator Philox4x32 with ten rounds (Salmon,
// Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11).
// It turns a key and a counter into four random words. So any device can compute any
// value of a random sequence, in any order and without state.
func Philox(key [2]uint32, counter [4]uint32) [4]uint32 {
	const (
		m0, m1 = 0xD2511F53, 0xCD9E8D57
		w0, w1 = 0x9E3779B9, 0xBB67AE85
	)
	for range 10 {
		h0, l0 := bits.Mul32(m0, counter[0])
		h1, l1 := bits.Mul32(m1, counter[2])
		counter = [4]uint32{h1 ^ counter[1] ^ key[0], l1, h0 ^ counter[3] ^ key[1], l0}
		key[0] += w0
		key[1] += w1
	}
	return counter
}

// Purpose keeps the random streams of one seed apart. It is the top byte of the counter's
// last word. The other three bytes are the number of a stream.
type Purpose uint32

// The purposes.
const (
	ForInit    Purpose = 1 // initial weights; stream is the parameter's index in Plan.Params
	ForShuffle Purpose = 2 // order of the training set; stream is the epoch from 0
	ForDropout Purpose = 3 // dropout; stream is the layer's index, see DropoutKeep
	ForAugment Purpose = 4 // augmentation; stream is the setting, see Source
	ForSplit   Purpose = 5 // splits of a data set; stream is the class, see Split
	ForSample  Purpose = 6 // parts of a data set; stream is the class, see Sample
)

// SeedKey returns the Philox key of a seed: its low and high words.
func SeedKey(seed uint64) [2]uint32 { return [2]uint32{uint32(seed), uint32(seed >> 32)} }

// DropoutKeep reports whether dropout keeps the value at index i of a dropout layer's
// input. Every device follows this definition. The value stays if word i%4 of
//
//	Philox(SeedKey(seed), {i/4, low word of step, high word of step, ForDropout<<24 | layer})
//
// is at least [DropoutThreshold](rate). layer is the layer's index in the network. step
// is the number of updates made before this one. i counts in NCHW order over the whole
// mini-batch, even if the batch is only a part of it ([Share]): sample k of the batch
// begins at (Share.First+k) times the size of a sample.
func DropoutKeep(seed uint64, layer int, step int64, rate float64, i int) bool {
	w := Philox(SeedKey(seed), DropoutCounter(layer, step, i/4))
	return w[i%4] >= DropoutThreshold(rate)
}

// DropoutCounter returns the Philox counter for the four values at indices 4*block to
// 4*block+3. See [DropoutKeep].
func DropoutCounter(layer int, step int64, block int) [4]uint32 {
	return [4]uint32{uint32(block), uint32(step), uint32(step >> 32), uint32(ForDropout)<<24 | uint32(layer)&0xffffff}
}

// DropoutThreshold returns the least random word that keeps a value: floor(rate * 2^32).
func DropoutThreshold(rate float64) uint32 { return uint32(rate * (1 << 32)) }

// stream draws words of one random stream in order.
type stream struct {
	key    [2]uint32
	middle [2]uint32 // the counter's second and third word, to which the block's high word is added
	last   uint32    // last counter word
	block  uint64
	buf    [4]uint32
	n      int // words of buf not yet taken
}

func newStream(seed uint64, p Purpose, id int) *stream {
	return &stream{key: SeedKey(seed), last: uint32(p)<<24 | uint32(id)&0xffffff}
}

func (s *stream) word() uint32 {
	if s.n == 0 {
		s.buf = Philox(s.key, [4]uint32{uint32(s.block), uint32(s.block>>32) + s.middle[0], s.middle[1], s.last})
		s.block++
		s.n = 4
	}
	s.n--
	return s.buf[3-s.n]
}

// float returns a uniform value in [0, 1) with 32 random bits.
func (s *stream) float() float64 { return float64(s.word()) / (1 << 32) }

// below returns a uniform value in [0, n), for 0 < n < 2^32, without bias
// (Lemire, "Fast random integer generation in an interval", 2019).
func (s *stream) below(n uint32) uint32 {
	hi, lo := bits.Mul32(s.word(), n)
	if lo < n {
		for t := -n % n; lo < t; {
			hi, lo = bits.Mul32(s.word(), n)
		}
	}
	return hi
}

// Shuffle fills order with a permutation of 0 ... len(order)-1. It is the order in which
// the epoch (counted from 0) visits the samples of the training set.
func Shuffle(seed uint64, epoch int, order []int32) {
	for i := range order {
		order[i] = int32(i)
	}
	s := newStream(seed, ForShuffle, epoch)
	for i := len(order) - 1; i > 0; i-- {
		j := s.below(uint32(i) + 1)
		order[i], order[j] = order[j], order[i]
	}
}
