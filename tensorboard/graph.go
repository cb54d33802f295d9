package tensorboard

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gputrain/gputrain/internal/protobuf"
	"github.com/gputrain/gputrain/net"
)

// The numbers of fields below are those of graph.proto, node_def.proto,
// attr_value.proto and tensor_shape.proto
// (https://github.com/tensorflow/tensorboard/tree/master/tensorboard/compat/proto).

// node is a NodeDef: an operation and its inputs. A slash in a name makes a group.
type node struct {
	name, op string
	inputs   []string
	shape    []int // of the output; -1 is the batch
	settings map[string]string
}

// graphOf returns a network as a GraphDef. It has a group for each layer, with its weights,
// and the loss.
func graphOf(plan *net.Plan) protobuf.Message {
	taken := map[string]bool{}
	for _, l := range plan.Nodes {
		taken[l.Name] = true
	}
	free := func(name string) string { // a layer may have the name
		for taken[name] {
			name += "_"
		}
		taken[name] = true
		return name
	}
	in := plan.Network.Input
	images := free("images")
	nodes := []node{{name: images, op: "Placeholder", shape: []int{-1, in.C, in.H, in.W}}}
	made := make([]string, len(plan.Nodes)) // the names of the layers' outputs
	for i, l := range plan.Nodes {
		n := node{name: l.Name, op: opOf(l.Layer), shape: []int{-1, l.Out.C, l.Out.H, l.Out.W}, settings: settingsOf(l)}
		for _, from := range l.Inputs {
			if from == net.NetworkInput {
				n.inputs = append(n.inputs, images)
			} else {
				n.inputs = append(n.inputs, made[from])
			}
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
		nodes, made[i] = append(nodes, n), n.name
	}
	last, labels := made[len(made)-1], free("labels")
	batch, classes := []int{-1}, []int{-1, plan.Classes}
	nodes = append(nodes,
		node{name: free("probabilities"), op: "Softmax", inputs: []string{last}, shape: classes},
		node{name: labels, op: "Placeholder", shape: batch},
		node{name: free("loss"), op: "SparseSoftmaxCrossEntropyWithLogits", inputs: []string{last, labels}, shape: batch},
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

// opOf names the operation of a layer. It is TensorFlow's name if TensorFlow has such an
// operation. An activation has its function's name: "HardSwish".
func opOf(l net.Layer) string {
	switch l := l.(type) {
	case *net.Conv:
		if l.GroupCount() > 1 {
			return "GroupedConv2D"
		}
		return "Conv2D"
	case *net.Pool:
		switch mode := l.PoolMode(); mode {
		case net.MaxPool:
			return "MaxPool"
		case net.MeanPool:
			return "AvgPool"
		case net.L2Pool:
			return "L2Pool"
		default:
			panic(fmt.Sprintf("BUG: tensorboard: pooling by %s", mode))
		}
	case *net.Activation:
		var name strings.Builder
		for word := range strings.SplitSeq(string(l.Func), "_") {
			name.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
		return name.String()
	case *net.Dropout:
		return "Dropout"
	case *net.BatchNorm:
		return "FusedBatchNorm"
	case *net.Flatten:
		return "Reshape"
	case *net.Dense:
		return "MatMul"
	case *net.Add:
		return "AddN"
	case *net.Concat:
		return "ConcatV2"
	case *net.Multiply, *net.Scale:
		return "Mul"
	}
	panic(fmt.Sprintf("BUG: tensorboard: a layer of kind %s", l.Kind()))
}

// settingsOf returns a layer's settings as text, by name.
func settingsOf(l net.Node) map[string]string {
	s := map[string]string{}
	window := func() {
		w := l.Window
		s["kernel"] = fmt.Sprintf("%d x %d", w.KernelH, w.KernelW)
		s["stride"] = fmt.Sprintf("%d x %d", w.StrideH, w.StrideW)
		s["padding"] = fmt.Sprintf("top %d, bottom %d, left %d, right %d", w.Top, w.Bottom, w.Left, w.Right)
		if (w.DilationH > 1) || (w.DilationW > 1) {
			s["dilation"] = fmt.Sprintf("%d x %d", w.DilationH, w.DilationW)
		}
	}
	switch layer := l.Layer.(type) {
	case *net.Conv:
		window()
		if groups := layer.GroupCount(); groups > 1 {
			s["groups"] = fmt.Sprint(groups)
		}
	case *net.Pool:
		window()
		if layer.Global {
			s["global"] = "true"
		}
	case *net.Activation:
		f, ok := net.FunctionNamed(layer.Func)
		if !ok {
			panic(fmt.Sprintf("BUG: tensorboard: layer %s has the function %s", l.Name, layer.Func))
		}
		s["function"] = f.Formula
		if f.Parameter.Name != "" {
			s[f.Parameter.Name] = fmt.Sprint(layer.Parameter())
		}
	case *net.Dropout:
		s["rate"] = fmt.Sprint(layer.Rate)
	case *net.BatchNorm:
		momentum, epsilon := layer.Settings()
		s["momentum"], s["epsilon"] = fmt.Sprint(momentum), fmt.Sprint(epsilon)
	case *net.Scale:
		s["factor"] = fmt.Sprint(layer.Factor)
	case *net.Flatten, *net.Dense, *net.Add, *net.Concat, *net.Multiply:
	default:
		panic(fmt.Sprintf("BUG: tensorboard: layer %s of kind %s", l.Name, l.Layer.Kind()))
	}
	if frozen := frozenOf(l); frozen != "" {
		s["frozen"] = frozen
	}
	return s
}

// frozenOf lists the roles of a layer's parameters that are not trained, without running
// statistics.
func frozenOf(l net.Node) string {
	var roles []string
	for _, p := range l.Params {
		if (p.Role == net.Weight || p.Role == net.Bias) && !p.Trained {
			roles = append(roles, string(p.Role))
		}
	}
	return strings.Join(roles, ", ")
}
