package net

import (
	"fmt"
	"math"
	"strconv"
)

// Model is a built-in model. It makes a network from the shape of the input and the
// number of classes. All other sizes are those of its paper.
type Model struct {
	Name    string
	Summary string // for people, with its source
	Input   Shape  // the usual input
	Classes int    // the usual number of classes
	layers  func(in Shape, classes int) []Layer
}

// Build returns a new network: the model for images of shape in and the given number of
// classes.
// Images that are too small for the model give an error. It names the layer whose input
// has become too small.
func (m Model) Build(in Shape, classes int) (*Network, error) {
	n := &Network{Name: m.Name, Input: in, Layers: m.layers(in, classes)}
	if _, err := n.Plan(); err != nil {
		return nil, fmt.Errorf("model %s for images of %v and %d classes: %w", m.Name, in, classes, err)
	}
	return n, nil
}

// Network returns a new network: the model for its usual input and classes.
func (m Model) Network() *Network {
	return &Network{Name: m.Name, Input: m.Input, Layers: m.layers(m.Input, m.Classes)}
}

// Models returns the built-in models, the default one first.
func Models() []Model {
	mnist, cifar, imagenet := Shape{1, 28, 28}, Shape{3, 32, 32}, Shape{3, 224, 224}
	return []Model{
		{"tutorial", "two 5x5 convolutions and two dense layers, from a TensorFlow tutorial", mnist, 10, tutorial},
		{"lenet5", "LeNet-5 (LeCun et al., 1998) in today's usual form", mnist, 10, lenet5},
		{"mlp", "one hidden layer of 300, for comparison", mnist, 10, mlp},
		{"digits-s", "two convolutions with batch normalisation, for digits in seconds", mnist, 10, digits(128, stage{16, []int{5}, PadValid}, stage{32, []int{3}, PadValid})},
		{"digits-m", "the network of digits-s, wider", mnist, 10, digits(128, stage{24, []int{5}, PadValid}, stage{48, []int{3}, PadValid})},
		{"digits-l", "six convolutions with batch normalisation, for the last tenths of a per cent", mnist, 10,
			digits(0, stage{32, []int{3, 3}, PadValid}, stage{64, []int{3, 3}, PadSame}, stage{128, []int{3, 3}, PadSame})},
		{"resnet20", "residual network for small images (He et al., 2016), projection shortcuts", cifar, 10, cifarResNet(3)},
		{"resnet56", "the small residual network with nine blocks a stage instead of three", cifar, 10, cifarResNet(9)},
		{"resnet18", "residual network of basic blocks (He et al., 2016)", imagenet, 1000, resNet(basic, 2, 2, 2, 2)},
		{"resnet50", "residual network of bottlenecks (He et al., 2016), stride in the 3x3 convolution", imagenet, 1000, resNet(bottleneck, 3, 4, 6, 3)},
		{"vgg11", "VGG (Simonyan and Zisserman, 2015) with batch normalisation", imagenet, 1000, vgg(1, 1, 2, 2, 2)},
		{"vgg16", "VGG with 13 convolutions and batch normalisation", imagenet, 1000, vgg(2, 2, 3, 3, 3)},
		{"mobilenetv2", "inverted residuals of depthwise convolutions (Sandler et al., 2018)", imagenet, 1000, mobileNetV2},
		{"squeezenet", "SqueezeNet 1.1 (Iandola et al., 2016)", imagenet, 1000, squeezeNet},
		{"densenet121", "densely connected network (Huang et al., 2017)", imagenet, 1000, denseNet121},
		{"airbench94", "K. Jordan's network for 94 % on CIFAR-10 in seconds (2024)", cifar, 10, airbench(2, 64, 256, 256)},
		{"airbench95", "the network of airbench94, wider, for 95 %", cifar, 10, airbench(2, 128, 384, 384)},
		{"airbench96", "the network of airbench94, wider and with residual groups of three convolutions, for 96 %", cifar, 10, airbench(3, 128, 384, 512)},
	}
}

// ModelNamed returns the built-in model with this name, and whether there is one.
func ModelNamed(name string) (Model, bool) {
	for _, m := range Models() {
		if m.Name == name {
			return m, true
		}
	}
	return Model{}, false
}

// BuiltIn returns the built-in model with this name for its usual input and classes. It
// returns nil if there is none.
func BuiltIn(name string) *Network {
	m, ok := ModelNamed(name)
	if !ok {
		return nil
	}
	return m.Network()
}

// tutorial is the network of the TensorFlow tutorial that the project starts from. It has
// two 5x5 convolutions with ReLU and 2x2 max pooling, then two dense layers. Weights are
// truncated normal, with the tutorial's standard deviations. On MNIST it has 3,199,106
// parameters.
func tutorial(_ Shape, classes int) []Layer {
	w, convBias, denseBias := truncated(0.03), truncated(1), truncated(0.01)
	conv := func(name string, filters int) Layer {
		return &Conv{Name: name, Filters: filters, Kernel: Square(5), Padding: PadSame, WeightInit: w, BiasInit: convBias}
	}
	pool := func(name string) Layer {
		return &Pool{Name: name, Mode: MaxPool, Kernel: Square(2), Stride: Square(2), Padding: PadSame}
	}
	dense := func(name string, units int) Layer {
		return &Dense{Name: name, Units: units, WeightInit: w, BiasInit: denseBias}
	}
	return []Layer{
		conv("conv1", 32), &Activation{Func: ReLU}, pool("pool1"),
		conv("conv2", 64), &Activation{Func: ReLU}, pool("pool2"),
		&Flatten{Name: "flatten"},
		dense("dense1", 1000), &Activation{Func: ReLU},
		dense("dense2", classes),
	}
}

// stage describes convolutions with the same number of filters, by the sizes of their
// kernels.
type stage struct {
	filters int
	kernels []int
	padding Padding
}

// digits has stages of convolutions with batch normalisation and ReLU. 2x2 max pooling
// comes behind the last convolution of each stage. A fully connected layer of the given
// units follows, or none for 0.
func digits(units int, stages ...stage) func(Shape, int) []Layer {
	return func(_ Shape, classes int) []Layer {
		s := &sequence{}
		n := 0
		for g, stage := range stages {
			for k, size := range stage.kernels {
				n++
				s.add(&Conv{Name: fmt.Sprintf("conv%d", n), Filters: stage.filters, Kernel: Square(size), Padding: stage.padding, NoBias: true})
				if k == len(stage.kernels)-1 {
					s.add(&Pool{Name: fmt.Sprintf("pool%d", g+1), Kernel: Square(2)})
				}
				s.add(&BatchNorm{Name: fmt.Sprintf("norm%d", n)})
				s.relu()
			}
		}
		s.add(&Flatten{Name: "flatten"})
		if units > 0 {
			s.add(&Dense{Name: "dense", Units: units, NoBias: true}, &BatchNorm{Name: fmt.Sprintf("norm%d", n+1)})
			s.relu()
		}
		s.add(&Dense{Name: "logits", Units: classes})
		return *s
	}
}

// lenet5 has tanh, mean pooling and full connection between the second
// convolution and its input.
func lenet5(_ Shape, classes int) []Layer {
	glorot := Initializer{Method: Glorot}
	conv := func(name string, filters int, pad Padding) Layer {
		return &Conv{Name: name, Filters: filters, Kernel: Square(5), Padding: pad, WeightInit: glorot}
	}
	dense := func(name string, units int) Layer {
		return &Dense{Name: name, Units: units, WeightInit: glorot}
	}
	tanh := func() Layer { return &Activation{Func: Tanh} }
	pool := func(name string) Layer { return &Pool{Name: name, Mode: MeanPool, Kernel: Square(2)} }
	return []Layer{
		conv("conv1", 6, PadSame), tanh(), pool("pool1"),
		conv("conv2", 16, PadValid), tanh(), pool("pool2"),
		&Flatten{Name: "flatten"},
		dense("dense1", 120), tanh(),
		dense("dense2", 84), tanh(),
		dense("dense3", classes),
	}
}

// mlp is a plain network without convolutions.
func mlp(_ Shape, classes int) []Layer {
	return []Layer{
		&Flatten{Name: "flatten"},
		&Dense{Name: "dense1", Units: 300, WeightInit: truncated(0.03), BiasInit: truncated(0.03)},
		&Activation{Func: ReLU},
		&Dense{Name: "dense2", Units: classes, WeightInit: truncated(0.03), BiasInit: truncated(0.03)},
	}
}

// sequence is a list of layers under construction. Its methods return the name of the
// layer that they add last, for later layers that take its output.
type sequence []Layer

func (s *sequence) add(l ...Layer) string {
	*s = append(*s, l...)
	return l[len(l)-1].common().name
}

// norm adds a convolution without bias, named conv, and its batch normalisation,
// named bn.
func (s *sequence) norm(conv, bn string, c Conv) string {
	c.Name, c.NoBias = conv, true
	return s.add(&c, &BatchNorm{Name: bn})
}

func (s *sequence) relu() { s.add(&Activation{Func: ReLU}) }

// head adds the mean over the image and a dense layer to the logits.
func (s *sequence) head(classes int, before ...Layer) []Layer {
	s.add(&Pool{Name: "avgpool", Mode: MeanPool, Global: true})
	s.add(append(before, &Dense{Name: "fc", Units: classes, WeightInit: Initializer{Method: Glorot}})...)
	return *s
}

// pad is equal padding on all sides.
func pad(n int) Padding {
	if n == 0 {
		return PadValid
	}
	return Pad(n, n, n, n)
}

// block is a kind of residual block. add adds one with its ReLU and returns its name. The
// block's input is the layer x, with the given number of channels. Its output has widen*width channels.
type block struct {
	widen int
	add   func(s *sequence, name, x string, channels, width, stride int) string
}

// bottleneckWiden is how much wider than its width a bottleneck's output is.
const bottleneckWiden = 4

var basic, bottleneck = block{1, basicBlock}, block{bottleneckWiden, bottleneckBlock}

// basicBlock is two 3x3 convolutions of the block's width.
func basicBlock(s *sequence, name, x string, channels, width, stride int) string {
	s.norm(name+"_conv1", name+"_bn1", Conv{From: From{x}, Filters: width, Kernel: Square(3), Stride: Square(stride), Padding: pad(1)})
	s.relu()
	y := s.norm(name+"_conv2", name+"_bn2", Conv{Filters: width, Kernel: Square(3), Padding: pad(1)})
	return s.shortcut(name, x, y, channels, width, stride)
}

// bottleneckBlock is a 3x3 convolution of the block's width between 1x1 ones; its
// output is four times as wide.
func bottleneckBlock(s *sequence, name, x string, channels, width, stride int) string {
	s.norm(name+"_conv1", name+"_bn1", Conv{From: From{x}, Filters: width, Kernel: Square(1)})
	s.relu()
	s.norm(name+"_conv2", name+"_bn2", Conv{Filters: width, Kernel: Square(3), Stride: Square(stride), Padding: pad(1)})
	s.relu()
	y := s.norm(name+"_conv3", name+"_bn3", Conv{Filters: bottleneckWiden * width, Kernel: Square(1)})
	return s.shortcut(name, x, y, channels, bottleneckWiden*width, stride)
}

// shortcut adds x and y, and then a ReLU. If their shapes differ, x goes through a 1x1
// convolution first.
func (s *sequence) shortcut(name, x, y string, channels, width, stride int) string {
	if stride != 1 || channels != width {
		x = s.norm(name+"_project", name+"_project_bn", Conv{From: From{x}, Filters: width, Kernel: Square(1), Stride: Square(stride)})
	}
	s.add(&Add{Name: name + "_add", From: From{y, x}})
	return s.add(&Activation{Name: name, Func: ReLU})
}

// cifarResNet has three stages of basic blocks, with 16, 32 and 64 filters. blocks is the
// number of blocks in each stage.
func cifarResNet(blocks int) func(Shape, int) []Layer {
	return func(_ Shape, classes int) []Layer {
		s := &sequence{}
		s.norm("conv1", "bn1", Conv{Filters: 16, Kernel: Square(3), Padding: pad(1)})
		x := s.add(&Activation{Name: "relu1", Func: ReLU})
		s.stages(x, 16, basic, []int{16, 32, 64}, []int{blocks, blocks, blocks})
		return s.head(classes)
	}
}

// stages adds one stage for each of widths, with the number of blocks in blocks. All stages
// except the first begin with stride 2.
func (s *sequence) stages(x string, channels int, b block, widths, blocks []int) {
	for i, width := range widths {
		for k := range blocks[i] {
			stride := 1
			if i > 0 && k == 0 {
				stride = 2
			}
			x = b.add(s, fmt.Sprintf("layer%d_%d", i+1, k), x, channels, width, stride)
			channels = b.widen * width
		}
	}
}

// resNet is the residual network for large images. blocks is the number of blocks in each
// of its four stages.
func resNet(b block, blocks ...int) func(Shape, int) []Layer {
	return func(_ Shape, classes int) []Layer {
		s := &sequence{}
		s.norm("conv1", "bn1", Conv{Filters: 64, Kernel: Square(7), Stride: Square(2), Padding: pad(3)})
		s.relu()
		x := s.add(&Pool{Name: "maxpool", Kernel: Square(3), Stride: Square(2), Padding: pad(1)})
		s.stages(x, 64, b, []int{64, 128, 256, 512}, blocks)
		return s.head(classes)
	}
}

// vgg has five stages of 3x3 convolutions. convolutions is their number in each stage. A
// pooling after each stage halves rows and columns, rounded up. The head has two hidden
// layers of 4096 units.
func vgg(convolutions ...int) func(Shape, int) []Layer {
	return func(_ Shape, classes int) []Layer {
		s := &sequence{}
		for i, width := range []int{64, 128, 256, 512, 512} {
			for k := range convolutions[i] {
				name := fmt.Sprintf("conv%d_%d", i+1, k+1)
				s.add(&Conv{Name: name, Filters: width, Kernel: Square(3), Padding: pad(1)}, &BatchNorm{Name: "bn" + name[len("conv"):]})
				s.relu()
			}
			s.add(&Pool{Name: fmt.Sprintf("pool%d", i+1), Kernel: Square(2), Padding: PadSame})
		}
		s.add(&Flatten{Name: "flatten"})
		for i := range 2 {
			s.add(&Dense{Name: fmt.Sprintf("fc%d", i+1), Units: 4096})
			s.relu()
			s.add(&Dropout{Rate: 0.5})
		}
		s.add(&Dense{Name: "fc3", Units: classes, WeightInit: Initializer{Method: Glorot}})
		return *s
	}
}

func mobileNetV2(_ Shape, classes int) []Layer {
	s := &sequence{}
	relu6 := func() { s.add(&Activation{Func: ReLU6}) }
	s.norm("conv1", "bn1", Conv{Filters: 32, Kernel: Square(3), Stride: Square(2), Padding: pad(1)})
	x := s.add(&Activation{Name: "stem", Func: ReLU6})
	channels, count := 32, 0
	for _, stage := range []struct{ expansion, width, blocks, stride int }{
		{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1},
	} {
		for k := range stage.blocks {
			count++
			name, stride, wide := "block"+strconv.Itoa(count), stage.stride, channels*stage.expansion
			if k > 0 {
				stride = 1
			}
			from := From{x}
			if stage.expansion > 1 {
				s.norm(name+"_expand", name+"_expand_bn", Conv{From: from, Filters: wide, Kernel: Square(1)})
				relu6()
				from = nil
			}
			s.norm(name+"_depthwise", name+"_depthwise_bn", Conv{From: from, Filters: wide, Kernel: Square(3), Stride: Square(stride), Padding: pad(1), Groups: wide})
			relu6()
			y := s.norm(name+"_project", name+"_project_bn", Conv{Filters: stage.width, Kernel: Square(1)})
			if stride == 1 && channels == stage.width {
				y = s.add(&Add{Name: name, From: From{y, x}})
			}
			x, channels = y, stage.width
		}
	}
	s.norm("last", "last_bn", Conv{Filters: 1280, Kernel: Square(1)})
	relu6()
	return s.head(classes, &Dropout{Rate: 0.2})
}

func squeezeNet(_ Shape, classes int) []Layer {
	s := &sequence{}
	// The windows may reach one row and one column beyond the image.
	pool := func(n int) string {
		return s.add(&Pool{Name: fmt.Sprintf("pool%d", n), Kernel: Square(3), Stride: Square(2), Padding: Pad(0, 1, 0, 1)})
	}
	s.add(&Conv{Name: "conv1", Filters: 64, Kernel: Square(3), Stride: Square(2)})
	s.relu()
	pool(1)
	for i, f := range []struct{ squeeze, expand int }{{16, 64}, {16, 64}, {32, 128}, {32, 128}, {48, 192}, {48, 192}, {64, 256}, {64, 256}} {
		name := fmt.Sprintf("fire%d", i+2)
		conv := func(part string, from From, filters, kernel int) string {
			s.add(&Conv{Name: name + "_" + part, From: from, Filters: filters, Kernel: Square(kernel), Padding: pad(kernel / 2)})
			return s.add(&Activation{Name: name + "_" + part + "_relu", Func: ReLU})
		}
		x := conv("squeeze", nil, f.squeeze, 1)
		s.add(&Concat{Name: name, From: From{conv("expand1x1", From{x}, f.expand, 1), conv("expand3x3", From{x}, f.expand, 3)}})
		if i == 1 || i == 3 {
			pool(i/2 + 2)
		}
	}
	s.add(&Dropout{Rate: 0.5}, &Conv{Name: "classes", Filters: classes, Kernel: Square(1), WeightInit: truncated(0.01)})
	s.relu()
	s.add(&Pool{Name: "avgpool", Mode: MeanPool, Global: true})
	return *s
}

func denseNet121(_ Shape, classes int) []Layer {
	const growth = 32
	s := &sequence{}
	s.norm("conv0", "norm0", Conv{Filters: 64, Kernel: Square(7), Stride: Square(2), Padding: pad(3)})
	s.relu()
	x, channels := s.add(&Pool{Name: "pool0", Kernel: Square(3), Stride: Square(2), Padding: pad(1)}), 64
	// activated adds batch normalisation, ReLU and a convolution.
	activated := func(name string, from From, c Conv) string {
		s.add(&BatchNorm{Name: name + "_norm", From: from})
		s.relu()
		c.Name, c.NoBias = name, true
		return s.add(&c)
	}
	for i, layers := range []int{6, 12, 24, 16} {
		for k := range layers {
			name := fmt.Sprintf("block%d_layer%d", i+1, k+1)
			activated(name+"_conv1", From{x}, Conv{Filters: 4 * growth, Kernel: Square(1)})
			y := activated(name+"_conv2", nil, Conv{Filters: growth, Kernel: Square(3), Padding: pad(1)})
			x = s.add(&Concat{Name: name, From: From{x, y}})
			channels += growth
		}
		if i < 3 {
			channels /= 2
			activated(fmt.Sprintf("transition%d", i+1), nil, Conv{Filters: channels, Kernel: Square(1)})
			x = s.add(&Pool{Name: fmt.Sprintf("pool%d", i+1), Mode: MeanPool, Kernel: Square(2), Padding: PadSame}) // PadSame rounds up, for small images
		}
	}
	s.add(&BatchNorm{Name: "norm5"})
	s.relu()
	return s.head(classes)
}

// airbench has a frozen convolution that whitens 2x2 windows, then one group of depth
// convolutions for each width. depth is 2 or 3.
func airbench(depth int, widths ...int) func(Shape, int) []Layer {
	return func(in Shape, classes int) []Layer {
		s := &sequence{}
		gelu := func(name string) string { return s.add(&Activation{Name: name, Func: GELU}) }
		bn := func(name string) string {
			return s.add(&BatchNorm{Name: name, Momentum: new(0.4), Epsilon: 1e-12, Frozen: Frozen{Roles: []Role{Weight}}})
		}
		s.add(&Conv{
			Name: "whiten", Filters: 2 * 4 * in.C, Kernel: Square(2),
			WeightInit: Initializer{Method: Whitening}, BiasInit: Initializer{Method: Whitening}, Frozen: Frozen{Roles: []Role{Weight}},
		})
		gelu("whiten_gelu")
		for i, width := range widths {
			group := fmt.Sprintf("group%d", i+1)
			conv := func(k int) string {
				return s.add(&Conv{Name: fmt.Sprintf("%s_conv%d", group, k), Filters: width, Kernel: Square(3), Padding: PadSame, NoBias: true, WeightInit: Initializer{Method: Identity}})
			}
			conv(1)
			s.add(&Pool{Name: group + "_pool", Kernel: Square(2)})
			bn(group + "_bn1")
			first := gelu(group + "_gelu1")
			for k := 2; k <= depth; k++ {
				conv(k)
				y := bn(fmt.Sprintf("%s_bn%d", group, k))
				if k == 3 {
					s.add(&Add{Name: group + "_add", From: From{y, first}})
				}
				gelu(fmt.Sprintf("%s_gelu%d", group, k))
			}
		}
		s.add(&Pool{Name: "pool", Kernel: Square(3)}, &Flatten{Name: "flatten"})
		// As PyTorch draws them: logits are small at first.
		head := truncated(1 / math.Sqrt(3*float64(widths[len(widths)-1])))
		s.add(&Dense{Name: "head", Units: classes, NoBias: true, WeightInit: head}, &Scale{Name: "logits", Factor: 1.0 / 9})
		return *s
	}
}
