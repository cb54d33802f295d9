package tensorboard

import (
	"fmt"
	"maps"
	"slices"

	"github.com/gputrain/gputrain/internal/protobuf"
	"github.com/gputrain/gputrain/net"
)

// The numbers of fields below are those of graph.proto, node_def.proto,
// attr_value.proto and tensor_shape.proto
// (https://github.com/tensorflow/tensorboard/tree/master/tensorboard/compat/proto).

// node is a NodeDef: what is computed, of what. A slash in a name makes a group.
type node struct {
	name, op string
	inputs   []string
	shape    []int // of the output; -1 is the batch
	settings map[string]string
}

// graphOf returns a network as a GraphDef: of each layer a group, with its weights,
// and the loss.
func graphOf(plan *net.Plan) protobuf.Message {
	in := plan.Network.Input
	nodes := []node{{name: "images", op: "Placeholder", shape: []int{-1, in.C, in.H, in.W}}}
	last := "images"
	for _, l := range plan.Layers {
		n := node{
			name: l.Name, op: opOf(l.Layer), inputs: []string{last},
			shape: []int{-1, l.Out.C, l.Out.H, l.Out.W}, settings: settingsOf(l),
		}
		if l.Out.H == 1 && l.Out.W == 1 {
			n.shape = n.shape[:2]
		}
		if len(l.Params) > 0 {
			n.name += "/" + n.op
		}
		for _, p := range l.Params {
			nodes = append(nodes, node{name: l.Name + "/" + string(p.Role), op: "Variable", shape: p.Dims})
			n.inputs = append(n.inputs, l.Name+"/"+string(p.Role))
		}
		nodes, last = append(nodes, n), n.name
	}
	batch, classes := []int{-1}, []int{-1, plan.Classes}
	nodes = append(nodes,
		node{name: "probabilities", op: "Softmax", inputs: []string{last}, shape: classes},
		node{name: "labels", op: "Placeholder", shape: batch},
		node{name: "loss", op: "SparseSoftmaxCrossEntropyWithLogits", inputs: []string{last, "labels"}, shape: batch},
	)
	var m protobuf.Message
	for _, n := range nodes {
		m.Sub(1, n.fill)
	}
	m.Sub(4, func(m *protobuf.Message) { m.Integer(1, 27) }) // VersionDef, producer
	return m
}

// fill fills a NodeDef.
func (n node) fill(m *protobuf.Message) {
	m.Text(1, n.name)
	m.Text(2, n.op)
	for _, in := range n.inputs {
		m.Text(3, in)
	}
	attribute := func(key string, value func(m *protobuf.Message)) {
		m.Sub(5, func(m *protobuf.Message) {
			m.Text(1, key)
			m.Sub(2, value)
		})
	}
	attribute("_output_shapes", func(m *protobuf.Message) {
		m.Sub(1, func(m *protobuf.Message) { // ListValue
			m.Sub(7, func(m *protobuf.Message) { // TensorShapeProto
				for _, d := range n.shape {
					m.Sub(2, func(m *protobuf.Message) { m.Integer(1, int64(d)) })
				}
			})
		})
	})
	for _, key := range slices.Sorted(maps.Keys(n.settings)) {
		attribute(key, func(m *protobuf.Message) { m.Text(2, n.settings[key]) })
	}
}

// opOf names what a layer computes as TensorFlow does.
func opOf(l net.Layer) string {
	switch l := l.(type) {
	case *net.Conv:
		return "Conv2D"
	case *net.Pool:
		return map[net.PoolMode]string{net.MaxPool: "MaxPool", net.MeanPool: "AvgPool", net.L2Pool: "L2Pool"}[l.PoolMode()]
	case *net.Activation:
		return map[net.ActivationFunc]string{net.ReLU: "Relu", net.LeakyReLU: "LeakyRelu", net.Tanh: "Tanh", net.Sigmoid: "Sigmoid"}[l.Func]
	case *net.Dropout:
		return "Dropout"
	case *net.BatchNorm:
		return "FusedBatchNorm"
	case *net.Flatten:
		return "Reshape"
	case *net.Dense:
		return "MatMul"
	}
	return l.Kind()
}

// settingsOf tells a layer's settings.
func settingsOf(l net.PlannedLayer) map[string]string {
	w := l.Window
	s := map[string]string{}
	switch layer := l.Layer.(type) {
	case *net.Conv, *net.Pool:
		s["kernel"] = fmt.Sprintf("%d x %d", w.KernelH, w.KernelW)
		s["stride"] = fmt.Sprintf("%d x %d", w.StrideH, w.StrideW)
		s["padding"] = fmt.Sprintf("top %d, bottom %d, left %d, right %d", w.Top, w.Bottom, w.Left, w.Right)
		if (w.DilationH > 1) || (w.DilationW > 1) {
			s["dilation"] = fmt.Sprintf("%d x %d", w.DilationH, w.DilationW)
		}
	case *net.Activation:
		if layer.Func == net.LeakyReLU {
			s["slope"] = fmt.Sprint(layer.LeakySlope())
		}
	case *net.Dropout:
		s["rate"] = fmt.Sprint(layer.Rate)
	case *net.BatchNorm:
		momentum, epsilon := layer.Settings()
		s["momentum"], s["epsilon"] = fmt.Sprint(momentum), fmt.Sprint(epsilon)
	}
	return s
}
