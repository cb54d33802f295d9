"""A network of gputrain, from its JSON: what a builder in any framework needs to know of it.

Shapes are (channels, rows, columns). A vector has one row and one column, and its layer is flat. Weights are numpy arrays
by the parameters' names, in gputrain's layouts: filters (K, C/groups, rows, columns), dense weights (units, inputs).
"""

import math
from dataclasses import dataclass

import numpy as np

# The parameters of each kind of layer that has any, by their roles.
ROLES = {
    "conv": ("weight", "bias"),
    "dense": ("weight", "bias"),
    "batchnorm": ("weight", "bias", "running_mean", "running_var"),
}


@dataclass(frozen=True)
class Window:
    """The windows of a convolution or pooling, each value as (rows, columns)."""

    kernel: tuple
    stride: tuple
    dilation: tuple
    padding: tuple  # ((top, bottom), (left, right))
    same: bool  # whether the padding is what TensorFlow calls SAME

    @property
    def padded(self):
        return any(n for pair in self.padding for n in pair)


@dataclass(frozen=True)
class Layer:
    """A layer in its place in the network."""

    kind: str
    name: str
    sources: tuple  # the names of the layers whose outputs it takes; None is the network's input
    fields: dict  # its JSON
    inputs: tuple  # the shapes of its inputs
    flats: tuple  # whether each input is a vector
    shape: tuple  # of its output
    flat: bool  # whether its output is a vector
    window: Window | None = None  # of a convolution or pooling

    @property
    def roles(self):
        """The roles of its parameters."""
        return tuple(r for r in ROLES.get(self.kind, ()) if not (r == "bias" and self.fields.get("no_bias")))

    @property
    def trained(self):
        """The roles of the parameters that the optimizer updates."""
        kept = self.roles if self.settled else self.fields.get("frozen") or ()
        return tuple(r for r in self.roles if r not in kept and not r.startswith("running"))

    @property
    def settled(self):
        """Whether all of it is frozen. Then batch normalisation goes by its running statistics in training too."""
        return self.fields.get("frozen") in (True, "always")

    @property
    def groups(self):
        return self.fields.get("groups") or 1

    @property
    def depthwise(self):
        """Whether each filter of a convolution sees one channel alone."""
        return self.kind == "conv" and self.groups == self.inputs[0][0] > 1


class Network:
    """A network: its name, its input's shape and its layers in order. The last one's output is the logits."""

    def __init__(self, json):
        self.json, self.name = json, json.get("name", "")
        at = json["input"]
        self.input = at["channels"], at["height"], at["width"]
        self.layers = []
        shapes, flats, before = {None: self.input}, {None: False}, None
        for name, fields in zip(names(json["layers"]), json["layers"]):
            sources = fields.get("from", before)
            sources = tuple(sources) if isinstance(sources, list) else (sources,)
            sources = tuple(None if s == "input" and s not in shapes else s for s in sources)
            layer = place(name, fields, sources, tuple(shapes[s] for s in sources), tuple(flats[s] for s in sources))
            self.layers.append(layer)
            shapes[name], flats[name], before = layer.shape, layer.flat, name
        self.classes = self.layers[-1].shape[0]

    def parameters(self):
        """The names of all parameters."""
        return [f"{layer.name}.{role}" for layer in self.layers for role in layer.roles]

    def trained(self):
        """The names of the parameters that the optimizer updates."""
        return [f"{layer.name}.{role}" for layer in self.layers for role in layer.trained]

    def decayed(self):
        """The names of those among them that weight decay is for: the weights of convolutions and dense layers."""
        kinds = {layer.name: layer.kind for layer in self.layers}
        return [p for p in self.trained() if p.endswith(".weight") and kinds[p[: -len(".weight")]] != "batchnorm"]

    def evaluate(self, x, compute):
        """The last layer's output for the input x; compute(layer, inputs) computes a layer's. An output is kept for as long
        as a layer is to come that takes it."""
        last = {source: layer.name for layer in self.layers for source in layer.sources}
        outputs = {None: x}
        for layer in self.layers:
            inputs = [outputs[source] for source in layer.sources]
            for source in layer.sources:
                if last[source] == layer.name:
                    outputs.pop(source, None)
            outputs[layer.name] = compute(layer, inputs)
            del inputs
        return outputs[self.layers[-1].name]


def names(layers):
    """The layers' names: their own, or their kind or function with a number."""
    count, out = {}, []
    for fields in layers:
        base = fields["func"] if fields["type"] == "activation" else fields["type"]
        count[base] = count.get(base, 0) + 1
        out.append(fields.get("name") or f"{base}{count[base]}")
    return out


def pair(value):
    return tuple(value) if isinstance(value, list) else (value, value)


def window(fields, size, kernel, stride, dilation):
    """The windows of a layer over an image of size (rows, columns)."""
    pad = fields.get("padding", "valid")
    if pad == "valid":
        return Window(kernel, stride, dilation, ((0, 0), (0, 0)), False)
    if pad == "same":
        both = []
        for n, k, s, d in zip(size, kernel, stride, dilation):
            total = max((math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0)
            both.append((total // 2, total - total // 2))
        return Window(kernel, stride, dilation, tuple(both), True)
    top, bottom, left, right = pad
    return Window(kernel, stride, dilation, ((top, bottom), (left, right)), False)


def place(name, fields, sources, inputs, flats):
    """A layer at its place. Raises ValueError for a kind that it doesn't know."""
    kind, (channels, *size) = fields["type"], inputs[0]
    shape, flat, at = inputs[0], all(flats), None
    if kind == "conv":
        at = window(fields, size, pair(fields["kernel"]), pair(fields.get("stride", 1)), pair(fields.get("dilation", 1)))
        shape, flat = (fields["filters"], *outputs_of(at, size)), False
    elif kind == "pool":
        kernel = tuple(size) if fields.get("global") else pair(fields["kernel"])
        at = window(fields, size, kernel, pair(fields.get("stride", list(kernel))), (1, 1))
        shape, flat = (channels, *outputs_of(at, size)), False
    elif kind == "flatten":
        shape, flat = (math.prod(inputs[0]), 1, 1), True
    elif kind == "dense":
        shape, flat = (fields["units"], 1, 1), True
    elif kind == "concat":
        shape = (sum(s[0] for s in inputs), *size)
    elif kind not in ("activation", "dropout", "batchnorm", "add", "multiply", "scale"):
        raise ValueError(f"layer {name} is of the kind {kind}, which the peers don't know")
    return Layer(kind, name, sources, fields, inputs, flats, shape, flat, at)


def outputs_of(at, size):
    """The rows and columns of what windows give."""
    return tuple(
        (n + sum(p) - (k - 1) * d - 1) // s + 1 for n, k, s, d, p in zip(size, at.kernel, at.stride, at.dilation, at.padding)
    )


def without_batchnorm(network, weights):
    """The network and weights for inference, in which a convolution or dense layer also does what the batch normalisation behind
    it does in evaluation. Where another layer takes the convolution's output too, the normalisation stays. ONNX Runtime and
    OpenVINO do the same with a model that they load."""
    users = {}
    for layer in network.layers:
        for source in layer.sources:
            users.setdefault(source, []).append(layer.name)
    by_name, weights, instead = {layer.name: layer for layer in network.layers}, dict(weights), {}
    for layer in network.layers:
        before = by_name.get(layer.sources[0])
        if layer.kind != "batchnorm" or before is None or before.kind not in ("conv", "dense") or users[before.name] != [layer.name]:
            continue
        scale, shift, mean, var = (weights.pop(f"{layer.name}.{role}").astype(np.float64) for role in layer.roles)
        scale = scale / np.sqrt(var + layer.fields.get("epsilon", 1e-5))
        w, b = weights[f"{before.name}.weight"], weights.get(f"{before.name}.bias", 0)
        weights[f"{before.name}.weight"] = (w * scale.reshape(-1, *[1] * (w.ndim - 1))).astype(np.float32)
        weights[f"{before.name}.bias"] = ((b - mean) * scale + shift).astype(np.float32)
        instead[layer.name] = before.name
    layers = []
    for layer in network.layers:
        if layer.name in instead:
            continue
        sources = ["input" if s is None else instead.get(s, s) for s in layer.sources]
        layers.append({**layer.fields, "name": layer.name, "from": sources})
        if layer.name in instead.values():
            layers[-1]["no_bias"] = False
    return Network({**network.json, "layers": layers}), weights


class ChannelsLast:
    """A network and weights for a framework that keeps channels last: images (N, rows, columns, channels).

    Filters become (rows, columns, C/groups, K) and dense weights (inputs, units). A flattened image has its values in another
    order than gputrain's. So the weights of what follows are put into that order, which costs nothing. Where two orders
    meet, an input must be gathered at run time: gathers names the places for (layer, number of the input).
    """

    def __init__(self, network, weights):
        self.network, self.weights, self.gathers = network, dict(weights), {}
        orders = {None: None}  # at place i is gputrain's value orders[...][i]; None: the same order
        for layer in network.layers:
            orders[layer.name] = self.lay(layer, [orders[s] for s in layer.sources])
        self.gather_logits = natural(orders[network.layers[-1].name])
        self.weights = {k: np.ascontiguousarray(v) for k, v in self.weights.items()}

    def lay(self, layer, orders):
        """Puts a layer's weights into the order of its inputs, and returns that of its output."""
        w, order = self.weights, orders[0]
        weight = f"{layer.name}.weight"
        if layer.kind == "conv":
            w[weight] = w[weight].transpose(2, 3, 1, 0)
            return None
        if layer.kind == "flatten":
            channels, rows, columns = layer.inputs[0]
            if layer.flats[0] or channels == 1 or rows * columns == 1:
                return order
            return np.arange(channels * rows * columns).reshape(channels, rows, columns).transpose(1, 2, 0).ravel()
        if layer.kind == "dense":
            w[weight] = w[weight].T if order is None else w[weight].T[order]
            return None
        if layer.kind == "batchnorm" and order is not None:
            for role in layer.roles:
                w[f"{layer.name}.{role}"] = w[f"{layer.name}.{role}"][order]
        if layer.kind == "concat" and layer.flat and any(o is not None for o in orders):
            parts, at = [], 0
            for (size, _, _), o in zip(layer.inputs, orders):
                parts.append(at + (np.arange(size) if o is None else o))
                at += size
            return np.concatenate(parts)
        if len(orders) > 1 and not (layer.flat and all(np.array_equal(o, order) for o in orders)):
            for i, o in enumerate(orders):
                if o is not None:
                    self.gathers[layer.name, i] = natural(o)
            return None
        return order


def natural(order):
    """The places to gather a vector in gputrain's order from; None if it is in it."""
    return None if order is None else np.argsort(order)
