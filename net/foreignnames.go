package net

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// convention is how a program names the layers of a network.
type convention struct {
	how string // for people; "" for our own names
	// layers returns other names of layers, by our names. A layer that isn't in the
	// result has its own name.
	layers func(p *Plan) map[string]string
}

// conventions are tried in order.
var conventions = []convention{
	{"", func(*Plan) map[string]string { return nil }},
	{"the names of torchvision's and timm's ResNet", renamed(
		`^layer(\d+)_(\d+)_(conv|bn)(\d+)$`, "layer$1.$2.$3$4",
		`^layer(\d+)_(\d+)_project$`, "layer$1.$2.downsample.0",
		`^layer(\d+)_(\d+)_project_bn$`, "layer$1.$2.downsample.1",
	)},
	{"the names of torchvision's and timm's DenseNet", renamed(
		`^(conv0|norm0|norm5)$`, "features.$1",
		`^block(\d+)_layer(\d+)_conv(\d+)$`, "features.denseblock$1.denselayer$2.conv$3",
		`^block(\d+)_layer(\d+)_conv(\d+)_norm$`, "features.denseblock$1.denselayer$2.norm$3",
		`^transition(\d+)$`, "features.transition$1.conv",
		`^transition(\d+)_norm$`, "features.transition$1.norm",
		`^fc$`, "classifier",
	)},
	{"torchvision's names, features and classifier", numberedNames},
	{"the names of timm's VGG", timmVGG},
	{"the names of torchvision's MobileNetV2", torchvisionMobileNetV2},
	{"the names of timm's MobileNetV2", timmMobileNetV2},
	{"the names of torchvision's SqueezeNet", torchvisionSqueezeNet},
}

// renamed returns the names of a convention that follow from ours: pairs of a regular
// expression and a replacement.
func renamed(pairs ...string) func(*Plan) map[string]string {
	var rules []*regexp.Regexp
	for i := 0; i < len(pairs); i += 2 {
		rules = append(rules, regexp.MustCompile(pairs[i]))
	}
	return func(p *Plan) map[string]string {
		names := map[string]string{}
		for _, n := range p.Nodes {
			for i, rule := range rules {
				if rule.MatchString(n.Name) {
					names[n.Name] = rule.ReplaceAllString(n.Name, pairs[2*i+1])
				}
			}
		}
		return names
	}
}

// numberedNames are those of two Sequential of PyTorch: features, with all layers before
// the image is flattened, and classifier, with all behind. Each layer has a number, also
// those without parameters.
func numberedNames(p *Plan) map[string]string {
	names := map[string]string{}
	part, number := "features", 0
	for _, n := range p.Nodes {
		if _, ok := n.Layer.(*Flatten); ok {
			part, number = "classifier", 0
			continue
		}
		names[n.Name] = part + "." + strconv.Itoa(number)
		number++
	}
	return names
}

// timmVGG has convolutions for the first two dense layers.
func timmVGG(p *Plan) map[string]string {
	names := numberedNames(p)
	names["fc1"], names["fc2"], names["fc3"] = "pre_logits.fc1", "pre_logits.fc2", "head.fc"
	return names
}

// mobileBlocks calls f for each block of MobileNetV2 with its number from 1, its name and
// whether its first convolution makes it wider. It returns the number of blocks.
func mobileBlocks(p *Plan, f func(number int, name string, expands bool)) int {
	has := map[string]bool{}
	for _, n := range p.Nodes {
		has[n.Name] = true
	}
	for number := 1; ; number++ {
		name := "block" + strconv.Itoa(number)
		if !has[name+"_depthwise"] {
			return number - 1
		}
		f(number, name, has[name+"_expand"])
	}
}

func torchvisionMobileNetV2(p *Plan) map[string]string {
	names := map[string]string{"conv1": "features.0.0", "bn1": "features.0.1", "fc": "classifier.1"}
	count := mobileBlocks(p, func(number int, name string, expands bool) {
		at, prefix := 0, fmt.Sprintf("features.%d.conv.", number)
		for _, part := range []string{"_expand", "_depthwise"} {
			if part == "_expand" && !expands {
				continue
			}
			names[name+part], names[name+part+"_bn"] = fmt.Sprintf("%s%d.0", prefix, at), fmt.Sprintf("%s%d.1", prefix, at)
			at++
		}
		names[name+"_project"], names[name+"_project_bn"] = fmt.Sprintf("%s%d", prefix, at), fmt.Sprintf("%s%d", prefix, at+1)
	})
	names["last"], names["last_bn"] = fmt.Sprintf("features.%d.0", count+1), fmt.Sprintf("features.%d.1", count+1)
	return names
}

func timmMobileNetV2(p *Plan) map[string]string {
	names := map[string]string{"conv1": "conv_stem", "last": "conv_head", "last_bn": "bn2", "fc": "classifier"}
	var places []string // of each block: its stage, and its number in it
	for stage, blocks := range []int{1, 2, 3, 4, 3, 3, 1} {
		for k := range blocks {
			places = append(places, fmt.Sprintf("blocks.%d.%d.", stage, k))
		}
	}
	mobileBlocks(p, func(number int, name string, expands bool) {
		if number > len(places) {
			return
		}
		layers := []string{"_expand", "conv_pw", "_depthwise", "conv_dw", "_project", "conv_pwl"}
		if !expands {
			layers = []string{"_depthwise", "conv_dw", "_project", "conv_pw"}
		}
		for i := 0; i < len(layers); i += 2 {
			ours := name + layers[i]
			names[ours], names[ours+"_bn"] = places[number-1]+layers[i+1], fmt.Sprintf("%sbn%d", places[number-1], i/2+1)
		}
	})
	return names
}

// torchvisionSqueezeNet numbers the layers of SqueezeNet 1.1, as numberedNames does, but a
// fire module is one layer.
func torchvisionSqueezeNet(p *Plan) map[string]string {
	names := map[string]string{"conv1": "features.0", "classes": "classifier.1"}
	number, fire := 2, ""
	for _, n := range p.Nodes {
		if _, ok := n.Layer.(*Pool); ok {
			number++
		}
		if _, ok := n.Layer.(*Conv); !ok {
			continue
		}
		module, part, ok := strings.Cut(n.Name, "_")
		if !ok {
			continue
		}
		if module != fire {
			fire = module
			number++
		}
		names[n.Name] = fmt.Sprintf("features.%d.%s", number-1, part)
	}
	return names
}

// prefixes are modules that wrap a network, or parts of it, in programs for PyTorch.
var prefixes = []string{"module", "model", "_orig_mod", "backbone", "net", "network", "encoder", "base_model", "sequential"}

// kerasRoles are what Keras calls a layer's parameters.
var kerasRoles = map[string]Role{
	"kernel": Weight, "gamma": Weight, "beta": Bias, "moving_mean": RunningMean, "moving_variance": RunningVar,
}

// normalised returns a tensor's name as PyTorch would write it: "conv1.weight" for
// TensorFlow's "conv1/kernel:0".
func normalised(name string) string {
	name = strings.ReplaceAll(strings.TrimSuffix(name, ":0"), "/", ".")
	if module, last, ok := cutLast(name); ok {
		if role, ok := kerasRoles[last]; ok {
			return module + "." + string(role)
		}
	}
	return name
}

// cutLast cuts a name at its last dot.
func cutLast(name string) (before, after string, found bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return "", name, false
	}
	return name[:i], name[i+1:], true
}

// reading is one way to recognise tensors.
type reading struct {
	how     string            // as in Matching
	tensors map[string]string // the tensor's name, by the parameter's name
}

// read looks for parameters among tensors by the names of a convention. Prefixes are
// passed over: known ones, and those that all tensors have. If a name stands behind
// several prefixes, it is not found.
func read(c convention, p *Plan, params []Param, tensors []string) reading {
	shared := sharedPrefix(tensors)
	type found struct{ tensor, prefix string }
	behind := map[string][]found{} // by the name behind a prefix
	there := map[string]bool{}
	for _, name := range tensors {
		there[name] = true
		rest, prefix := normalised(name), ""
		for depth := 0; ; depth++ {
			behind[rest] = append(behind[rest], found{name, prefix})
			first, after, ok := strings.Cut(rest, ".")
			if !ok || depth >= len(shared) && !slices.Contains(prefixes, first) {
				break
			}
			rest, prefix = after, prefix+first+"."
		}
	}
	r := reading{how: c.how, tensors: map[string]string{}}
	layers, taken := c.layers(p), map[string]bool{}
	without := map[string]bool{}
	for _, exact := range []bool{true, false} { // a tensor of the very name comes first
		for _, q := range params {
			layer := p.Nodes[q.Layer].Name
			if other, ok := layers[layer]; ok {
				layer = other
			}
			name := layer + "." + string(q.Role)
			if exact {
				if there[name] {
					r.tensors[q.Name], taken[name] = name, true
				}
				continue
			}
			if r.tensors[q.Name] != "" {
				continue
			}
			free := slices.DeleteFunc(slices.Clone(behind[name]), func(f found) bool { return taken[f.tensor] })
			if len(free) == 1 {
				f := free[0]
				r.tensors[q.Name], taken[f.tensor] = f.tensor, true
				if f.prefix != "" {
					without[f.prefix] = true
				}
			}
		}
	}
	if len(without) > 0 {
		r.how = cmp.Or(r.how, "the network's own names") + ", behind " + strings.Join(slices.Sorted(maps.Keys(without)), " and ")
	}
	return r
}

// sharedPrefix returns the modules with which all names begin, without the module that
// holds a parameter.
func sharedPrefix(names []string) []string {
	var shared []string
	for i, name := range names {
		modules := strings.Split(normalised(name), ".")
		modules = modules[:max(0, len(modules)-2)]
		if i == 0 {
			shared = modules
			continue
		}
		n := 0
		for n < len(shared) && n < len(modules) && shared[n] == modules[n] {
			n++
		}
		shared = shared[:n]
	}
	return shared
}

// module holds the parameters of one layer: in a network, or in a file, where their names
// differ only behind the last dot.
type module struct {
	name string
	of   map[Role]string // the names of its parameters or tensors
	dims map[Role]string // their dimensions
}

// kind is what decides which modules fit each other: roles and dimensions.
func (m module) kind() string { return fmt.Sprint(m.dims) } // in the order of the roles

// addTo adds a parameter or tensor to the module with the given name, the last one or a
// new one.
func addTo(modules []module, name string, role Role, of, dims string) []module {
	i := slices.IndexFunc(modules, func(m module) bool { return m.name == name })
	if i < 0 {
		i, modules = len(modules), append(modules, module{name, map[Role]string{}, map[Role]string{}})
	}
	modules[i].of[role], modules[i].dims[role] = of, dims
	return modules
}

// readShapes recognises layers by the roles and dimensions of their tensors. Layers that
// agree in these are told apart by the numbers that PyTorch's Sequential gives its
// layers, which are their order; then the network must be a plain chain. It reports
// whether that gives each parameter a tensor and leaves none over, in one way only.
func (f *WeightsFile) readShapes(p *Plan, params []Param, tensors []string, l Layout) (reading, bool) {
	var layers, modules []module
	for _, q := range params {
		layers = addTo(layers, p.Nodes[q.Layer].Name, q.Role, q.Name, fmt.Sprint(q.dimsIn(l)))
	}
	for _, name := range tensors {
		if len(modules) > len(layers) {
			return reading{}, false
		}
		before, role, _ := cutLast(normalised(name))
		modules = addTo(modules, before, Role(role), name, fmt.Sprint(f.tensors[name].Shape()))
	}
	if len(modules) != len(layers) || len(layers) == 0 {
		return reading{}, false
	}
	chain := p.isChain()
	fit := make([]module, len(layers)) // the module of each layer
	for kind, ours := range byKind(layers) {
		theirs := byKind(modules)[kind]
		if len(theirs) != len(ours) || len(ours) > 1 && !chain {
			return reading{}, false
		}
		slices.SortFunc(theirs, func(a, b int) int { return byNumber(modules[a].name, modules[b].name) })
		for i, at := range ours {
			fit[at] = modules[theirs[i]]
		}
	}
	// Where a chain's layers agree, numbers must tell them apart; where they don't, no
	// number may contradict.
	for i, a := range fit {
		for j, b := range fit[:i] {
			order := byNumber(b.name, a.name)
			if chain && (order > 0 || order == 0 && layers[i].kind() == layers[j].kind()) {
				return reading{}, false
			}
		}
	}
	r := reading{tensors: map[string]string{}}
	var pairs []string
	for i, layer := range layers {
		for role, parameter := range layer.of {
			r.tensors[parameter] = fit[i].of[role]
		}
		pairs = append(pairs, cmp.Or(fit[i].name, "no name")+" is "+layer.name)
	}
	r.how = "dimensions and order, which fit in one way only: " + some(pairs)
	return r, true
}

// byKind returns the indices of modules of each kind, in their order.
func byKind(modules []module) map[string][]int {
	kinds := map[string][]int{}
	for i, m := range modules {
		kinds[m.kind()] = append(kinds[m.kind()], i)
	}
	return kinds
}

// isChain reports whether each layer takes the output of the layer before it, and nothing
// else.
func (p *Plan) isChain() bool {
	for i, n := range p.Nodes {
		if len(n.Inputs) != 1 || n.Inputs[0] != i-1 { // of the first layer, NetworkInput
			return false
		}
	}
	return true
}

// byNumber compares two modules by the first part in which their names differ, if both are
// numbers there. Otherwise it returns 0.
func byNumber(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		if x[i] == y[i] {
			continue
		}
		m, err := strconv.Atoi(x[i])
		n, err2 := strconv.Atoi(y[i])
		if err != nil || err2 != nil {
			return 0
		}
		return cmp.Compare(m, n)
	}
	return 0
}
