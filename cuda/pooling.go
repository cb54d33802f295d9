//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"errors"

	cudnn "gorgonia.org/cu/dnn"

	"github.com/gputrain/gputrain/kernels"
	"github.com/gputrain/gputrain/net"
)

// dnnPooling holds cuDNN's descriptors of pooling, for one shape and one mini-batch size.
type dnnPooling struct {
	x, y *cudnn.TensorDescriptor
	pool *cudnn.Pooling
}

func newDNNPooling(in, out net.Shape, w net.Window, mode cudnn.PoolingMode, n int) (*dnnPooling, error) {
	p := &dnnPooling{}
	var errs [3]error
	p.x, errs[0] = cudnn.NewTensorDescriptor(cudnn.NCHW, cudnn.Float, []int{n, in.C, in.H, in.W}, nil)
	p.y, errs[1] = cudnn.NewTensorDescriptor(cudnn.NCHW, cudnn.Float, []int{n, out.C, out.H, out.W}, nil)
	p.pool, errs[2] = cudnn.NewPooling(mode, cudnn.PropagateNan, []int{w.KernelH, w.KernelW}, []int{w.StrideH, w.StrideW}, []int{w.Top, w.Left})
	if err := dnn("describing pooling", firstError(errs[:]...)); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *dnnPooling) close() error { return destroy(p.x, p.y, p.pool) }

// poolLayer is a pooling layer. cuDNN computes what [Form.PoolsInCuDNN] says, and our own kernels compute everything else.
// They also compute the backward pass of max pooling, because cuDNN's isn't deterministic.
type poolLayer struct {
	link
	mode  net.PoolMode
	dnn   bool
	sizes perBatch[*dnnPooling]
}

func newPoolLayer(l link, mode net.PoolMode) *poolLayer {
	return &poolLayer{link: l, mode: mode, dnn: l.program.device.form.PoolsInCuDNN(l.node.Window, mode)}
}

func (s *poolLayer) claim(int, int) claim {
	return claim{reads: []*slot{s.in.value, s.out.value}}
}

func (s *poolLayer) at(n int) (*dnnPooling, error) {
	return s.sizes.at(s.program, n, func(n int) (*dnnPooling, error) {
		mode := cudnn.PoolingMode(cudnn.MaxPooling)
		if s.mode == net.MeanPool {
			mode = cudnn.AverageCountExcludePadding
		}
		return newDNNPooling(s.in.shape, s.out.shape, s.node.Window, mode, n)
	})
}

// kernelMode returns the mode's number in our kernels.
func (s *poolLayer) kernelMode() int32 {
	return map[net.PoolMode]int32{net.MaxPool: kernels.MaxPooling, net.MeanPool: kernels.MeanPooling, net.L2Pool: kernels.L2Pooling}[s.mode]
}

// windows returns the layer's geometry as our kernels take it.
func (s *poolLayer) windows() kernels.Windows {
	w := s.node.Window
	return kernels.Windows{H: int32(s.in.shape.H), W: int32(s.in.shape.W), OutH: int32(w.OutH), OutW: int32(w.OutW),
		KernelH: int32(w.KernelH), KernelW: int32(w.KernelW), StrideH: int32(w.StrideH), StrideW: int32(w.StrideW),
		Top: int32(w.Top), Left: int32(w.Left)}
}

func (s *poolLayer) forward(p *pass) error {
	if s.dnn {
		d, err := s.at(p.n)
		if err != nil {
			return err
		}
		return dnn("cudnnPoolingForward", s.program.device.dnn.PoolingForward(d.pool, 1, d.x, s.in.value.Buffer, 0, d.y, s.out.value.Buffer))
	}
	planes, channels := s.program.device.form.planes(p.n, s.in.shape)
	return s.launch(kernels.PoolForward{
		Y: s.out.value.values(), X: s.in.value.values(), Mode: s.kernelMode(), Planes: planes, Channels: channels, Windows: s.windows(),
	})
}

func (s *poolLayer) backward(p *pass) error {
	if s.dnn && s.mode == net.MeanPool {
		d, err := s.at(p.n)
		if err != nil {
			return err
		}
		return dnn("cudnnPoolingBackward", s.program.device.dnn.PoolingBackward(d.pool, 1, d.y, s.out.value.Buffer,
			d.y, s.out.grad.Buffer, d.x, s.in.value.Buffer, float64(s.in.add()), d.x, s.in.grad.Buffer))
	}
	planes, channels := s.program.device.form.planes(p.n, s.in.shape)
	dx, dy, x, y := s.in.grad.values(), s.out.grad.values(), s.in.value.values(), s.out.value.values()
	if s.mode == net.MaxPool {
		return s.launch(kernels.MaxPoolBackward{
			Dx: dx, Dy: dy, X: x, Y: y, Planes: planes, Channels: channels, Windows: s.windows(), Add: s.in.add(),
		})
	}
	return s.launch(kernels.PoolBackward{
		Dx: dx, Dy: dy, X: x, Y: y, Mode: s.kernelMode(), Planes: planes, Channels: channels, Windows: s.windows(), Add: s.in.add(),
	})
}

func (s *poolLayer) close() error { return s.sizes.close() }
