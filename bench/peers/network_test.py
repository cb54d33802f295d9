"""Tests of network.py, and of every peer's layers: small networks of each kind of layer and each function, computed here in
numpy from the definitions. make bench-peers runs them in each new environment."""

import math
import unittest

import numpy as np

from network import ChannelsLast, Network, without_batchnorm
from protocol import Job, channels_last

SIGMOID = lambda x: 1 / (1 + np.exp(-x))

FUNCTIONS = {
    "relu": lambda x, layer: np.maximum(x, 0),
    "leaky_relu": lambda x, layer: np.where(x > 0, x, layer.get("slope", 0.01) * x),
    "tanh": lambda x, layer: np.tanh(x),
    "sigmoid": lambda x, layer: SIGMOID(x),
    "gelu": lambda x, layer: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x, layer: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x, layer: x * SIGMOID(x),
    "relu6": lambda x, layer: np.clip(x, 0, 6),
    "hard_swish": lambda x, layer: x * np.clip(x + 3, 0, 6) / 6,
    "hard_sigmoid": lambda x, layer: np.clip(x + 3, 0, 6) / 6,
    "elu": lambda x, layer: np.where(x > 0, x, layer.get("alpha", 1) * (np.exp(np.minimum(x, 0)) - 1)),
    "mish": lambda x, layer: x * np.tanh(np.log1p(np.exp(x))),
}


class Reference:
    """A network in float64, in loops over windows. Everything is (N, C, H, W)."""

    def __init__(self, network, weights, training):
        self.network, self.training = network, training
        self.w = {k: v.astype(np.float64) for k, v in weights.items()}

    def logits(self, images):
        return self.network.evaluate(images.astype(np.float64), lambda layer, xs: getattr(self, layer.kind)(layer, *xs)).reshape(len(images), -1)

    def loss(self, images, labels):
        y = self.logits(images)
        y = y - y.max(1, keepdims=True)
        return np.mean(np.log(np.exp(y).sum(1)) - y[np.arange(len(y)), labels])

    def parameter(self, layer, role):
        return self.w.get(f"{layer.name}.{role}", np.zeros(layer.shape[0]))

    def windows(self, layer, x, fill):
        """Of every output, the place and the window under it."""
        at = layer.window
        x = np.pad(x, ((0, 0), (0, 0), *at.padding), constant_values=fill)
        for r in range(layer.shape[1]):
            for c in range(layer.shape[2]):
                top, left = r * at.stride[0], c * at.stride[1]
                rows = [top + i * at.dilation[0] for i in range(at.kernel[0])]
                columns = [left + i * at.dilation[1] for i in range(at.kernel[1])]
                yield r, c, x[:, :, rows][:, :, :, columns]

    def conv(self, layer, x):
        y, w = np.zeros((len(x), *layer.shape)), self.parameter(layer, "weight")
        filters, channels = layer.shape[0] // layer.groups, w.shape[1]
        for r, c, values in self.windows(layer, x, 0):
            for k in range(layer.shape[0]):
                from_ = k // filters * channels
                y[:, k, r, c] = (values[:, from_ : from_ + channels] * w[k]).sum((1, 2, 3))
        return y + self.parameter(layer, "bias")[:, None, None]

    def pool(self, layer, x):
        y, mode = np.zeros((len(x), *layer.shape)), layer.fields.get("mode", "max")
        for r, c, values in self.windows(layer, x, np.nan):
            if mode == "max":
                y[:, :, r, c] = np.nanmax(values, (2, 3))
            elif mode == "mean":
                y[:, :, r, c] = np.nanmean(values, (2, 3))
            else:
                y[:, :, r, c] = np.sqrt(np.nansum(values**2, (2, 3)))
        return y

    def activation(self, layer, x):
        return FUNCTIONS[layer.fields["func"]](x, layer.fields)

    def dropout(self, layer, x):
        return x

    def batchnorm(self, layer, x):
        weight, bias, mean, var = (self.parameter(layer, role)[:, None, None] for role in layer.roles)
        if self.training and not layer.settled:
            mean, var = x.mean((0, 2, 3), keepdims=True)[0], x.var((0, 2, 3), keepdims=True)[0]
        return weight * (x - mean) / np.sqrt(var + layer.fields.get("epsilon", 1e-5)) + bias

    def flatten(self, layer, x):
        return x.reshape(len(x), -1, 1, 1)

    def dense(self, layer, x):
        return (x[:, :, 0, 0] @ self.parameter(layer, "weight").T + self.parameter(layer, "bias"))[:, :, None, None]

    def add(self, layer, *inputs):
        return sum(inputs)

    def concat(self, layer, *inputs):
        return np.concatenate(inputs, 1)

    def multiply(self, layer, x, by):
        return x * by

    def scale(self, layer, x):
        return x * layer.fields["factor"]


# Layers on an image of 4 channels and 6 x 5 values. A name "a" is that image, and "b" another of its shape.
EXAMPLES = {
    "conv valid": [{"type": "conv", "filters": 3, "kernel": 3}],
    "conv same": [{"type": "conv", "filters": 3, "kernel": [3, 2], "padding": "same", "stride": 2}],
    "conv padded": [{"type": "conv", "filters": 3, "kernel": 3, "padding": [2, 0, 1, 2], "stride": [1, 2], "no_bias": True}],
    "conv dilated": [{"type": "conv", "filters": 3, "kernel": 3, "padding": "same", "dilation": 2}],
    "conv dilated, strides": [{"type": "conv", "filters": 3, "kernel": [3, 2], "padding": "same", "dilation": 2, "stride": 2}],
    "conv dilated padded": [{"type": "conv", "filters": 3, "kernel": 2, "padding": [1, 0, 0, 2], "dilation": [1, 3]}],
    "conv in groups": [{"type": "conv", "filters": 6, "kernel": 3, "groups": 2, "padding": "same"}],
    "depthwise": [{"type": "conv", "filters": 4, "kernel": 3, "groups": 4, "padding": "same", "stride": 2}],
    "depthwise times two": [{"type": "conv", "filters": 8, "kernel": 3, "groups": 4, "padding": [0, 1, 1, 1]}],
    "depthwise, strides that differ": [{"type": "conv", "filters": 4, "kernel": 3, "groups": 4, "stride": [2, 1]}],
    "depthwise dilated": [{"type": "conv", "filters": 4, "kernel": 2, "groups": 4, "dilation": 2, "padding": [1, 0, 1, 1]}],
    "max": [{"type": "pool", "kernel": 2}],
    "max same": [{"type": "pool", "kernel": 3, "stride": 2, "padding": "same"}],
    "max padded": [{"type": "pool", "kernel": [2, 3], "stride": 1, "padding": [1, 0, 2, 1]}],
    "max global": [{"type": "pool", "global": True}],
    "mean": [{"type": "pool", "mode": "mean", "kernel": [2, 3], "stride": 1}],
    "mean same": [{"type": "pool", "mode": "mean", "kernel": 3, "padding": "same", "stride": 2}],
    "mean padded": [{"type": "pool", "mode": "mean", "kernel": 3, "padding": [2, 0, 1, 1], "stride": 2}],
    "mean global": [{"type": "pool", "mode": "mean", "global": True}],
    "l2": [{"type": "pool", "mode": "l2", "kernel": 2}],
    "l2 same": [{"type": "pool", "mode": "l2", "kernel": 3, "padding": "same", "stride": 2}],
    "l2 global": [{"type": "pool", "mode": "l2", "global": True}],
    "leaky_relu of slope": [{"type": "activation", "func": "leaky_relu", "slope": 0.3}],
    "elu of alpha": [{"type": "activation", "func": "elu", "alpha": 2.5}],
    "dropout": [{"type": "dropout", "rate": 0}],
    "batchnorm": [{"type": "batchnorm"}],
    "batchnorm of its own": [{"type": "batchnorm", "momentum": 0.4, "epsilon": 0.01, "frozen": ["weight"]}],
    "batchnorm that keeps its statistics": [{"type": "batchnorm", "momentum": 0}],
    "batchnorm that forgets": [{"type": "batchnorm", "momentum": 1}],
    "batchnorm that is frozen": [{"type": "batchnorm", "frozen": True}],
    "batchnorm behind a convolution": [{"type": "conv", "filters": 3, "kernel": 2, "no_bias": True}, {"type": "batchnorm"}],
    "batchnorm beside": [
        {"type": "conv", "name": "c", "filters": 3, "kernel": 2}, {"type": "batchnorm", "name": "n"}, {"type": "add", "from": ["c", "n"]},
    ],
    "batchnorm of a vector": [{"type": "flatten"}, {"type": "batchnorm"}, {"type": "activation", "func": "tanh"}],
    "dense": [{"type": "flatten"}, {"type": "dense", "units": 7, "no_bias": True}, {"type": "batchnorm"}],
    "dense of an image": [{"type": "pool", "mode": "mean", "global": True}, {"type": "dense", "units": 5}],
    "add": [{"type": "add", "from": ["a", "b"]}],
    "add three": [{"type": "add", "from": ["a", "b", "a"]}],
    "add vectors": [
        {"type": "flatten", "name": "f"}, {"type": "dense", "name": "d", "units": 120}, {"type": "add", "from": ["f", "d"]},
    ],
    "add vectors of one order": [
        {"type": "flatten", "name": "f"}, {"type": "activation", "name": "g", "func": "relu"}, {"type": "add", "from": ["f", "g"]},
    ],
    "add a vector to an image": [
        {"type": "pool", "mode": "mean", "global": True, "name": "p"}, {"type": "dense", "units": 4, "name": "d"},
        {"type": "add", "from": ["p", "d"]},
    ],
    "concat": [{"type": "concat", "from": ["a", "b", "a"]}],
    "concat vectors": [
        {"type": "dense", "name": "d", "from": "g", "units": 3}, {"type": "flatten", "name": "f", "from": "a"},
        {"type": "concat", "from": ["d", "f", "d"]},
    ],
    "multiply": [{"type": "multiply", "from": ["a", "b"]}],
    "multiply by a gate": [{"type": "dense", "name": "d", "from": "g", "units": 4}, {"type": "multiply", "from": ["b", "d"]}],
    "multiply by an image of one pixel": [{"type": "multiply", "from": ["b", "g"]}],
    "scale": [{"type": "scale", "factor": 0.125}],
    "frozen": [{"type": "conv", "filters": 3, "kernel": 2, "frozen": True}, {"type": "conv", "filters": 3, "kernel": 2, "frozen": ["bias"]}],
    **{name: [{"type": "activation", "func": name}] for name in FUNCTIONS},
}  # fmt: skip


def example(layers):
    """A network around layers, with weights, images and labels for 3 batches of 5."""
    network = Network({"name": "example", "input": {"channels": 2, "height": 7, "width": 6}, "layers": [
        {"type": "conv", "name": "a", "filters": 4, "kernel": 2},
        {"type": "conv", "name": "b", "filters": 4, "kernel": 2, "from": "input"},
        {"type": "pool", "name": "g", "mode": "mean", "global": True},
        {"type": "scale", "name": "begin", "factor": 2, "from": "a"},
        *layers,
        {"type": "flatten", "name": "end"}, {"type": "dense", "units": 3, "name": "last"},
        # All outputs are taken.
        {"type": "dense", "units": 3, "name": "other", "from": "g"}, {"type": "add", "from": ["last", "other"]},
    ]})  # fmt: skip
    return with_weights(network, 15)


def with_weights(network, samples):
    """The network, with weights, images and labels."""
    rng, weights = np.random.default_rng(3), {}
    for layer in network.layers:
        for role in layer.roles:
            shape = (layer.shape[0],)
            if role == "weight" and layer.kind == "conv":
                shape = (layer.shape[0], layer.inputs[0][0] // layer.groups, *layer.window.kernel)
            elif role == "weight" and layer.kind == "dense":
                shape = (layer.shape[0], layer.inputs[0][0])
            value = rng.normal(size=shape) / math.sqrt(max(math.prod(shape[1:]), 1))
            if role == "running_var" or layer.kind == "batchnorm" and role == "weight":
                value = rng.uniform(0.5, 1.5, shape)
            weights[f"{layer.name}.{role}"] = value.astype(np.float32)
    images = rng.normal(size=(samples, *network.input)).astype(np.float32)
    return network, weights, images, rng.integers(0, network.classes, samples).astype(np.int32)


def job(mode, network, weights, images, labels, optimizer=None, **more):
    """A job of batches of 5 on the CPU."""
    return Job(**{
        "network": network, "mode": mode, "device": "cpu", "precision": "fp32", "threads": 1, "tier": "", "batch": 5,
        "check": len(images) // 5, "optimizer": optimizer or {"method": "sgd", "learning_rate": 0.1}, "weights": weights,
        "images": images, "labels": labels, "onnx": "", **more,
    })  # fmt: skip


OPTIMIZERS = [
    {"method": "sgd", "learning_rate": 0.1},
    {"method": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.3},
    {"method": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
    {"method": "adam", "learning_rate": 0.01, "beta1": 0.8, "beta2": 0.9, "epsilon": 1e-2},
    {"method": "adam", "learning_rate": 0.01, "beta1": 0.8, "beta2": 0.9, "epsilon": 1e-8, "weight_decay": 0.3},
    {"method": "adamw", "learning_rate": 0.01, "beta1": 0.8, "beta2": 0.9, "epsilon": 1e-8, "weight_decay": 0.3},
]


def losses(network, weights, images, labels, o):
    """The losses of training steps on batches of 5 in float64, with gradients by differences."""
    w, out = {k: v.astype(np.float64) for k, v in weights.items()}, []
    m, v = ({k: np.zeros_like(w[k]) for k in network.trained()} for _ in range(2))
    for t, at in enumerate(range(0, len(images), 5), 1):
        x, y = images[at : at + 5], labels[at : at + 5]

        def loss(w):
            return Reference(network, w, True).loss(x, y)

        out.append(loss(w))
        after = dict(w)
        for k in network.trained():
            g = np.zeros_like(w[k])
            for i in np.ndindex(g.shape):
                sides = []
                for step in 1e-5, -1e-5:
                    moved = w[k].copy()
                    moved[i] += step
                    sides.append(loss({**w, k: moved}))
                g[i] = (sides[0] - sides[1]) / 2e-5
            decay = o.get("weight_decay", 0) if k in network.decayed() else 0
            rate = o["learning_rate"]
            if o["method"] == "sgd":
                g = g + decay * w[k]
                m[k] = o.get("momentum", 0) * m[k] + g
                after[k] = w[k] - rate * (g + o["momentum"] * m[k] if o.get("nesterov") else m[k])
                continue
            if o["method"] == "adam":
                g = g + decay * w[k]
            m[k] = o["beta1"] * m[k] + (1 - o["beta1"]) * g
            v[k] = o["beta2"] * v[k] + (1 - o["beta2"]) * g * g
            r = rate * math.sqrt(1 - o["beta2"] ** t) / (1 - o["beta1"] ** t)
            base = w[k] * (1 - rate * decay) if o["method"] == "adamw" else w[k]
            after[k] = base - r * m[k] / (np.sqrt(v[k]) + o["epsilon"])
        w = after
    return out


class PeerLayers:
    """Tests of a peer's layers, for a class that also derives from unittest.TestCase and names the peer's class as peer.
    Networks have few values, so float32 and float64 differ by little: 1e-5 leaves room for sums in other orders."""

    def test_every_layer_infers(self):
        for name, layers in EXAMPLES.items():
            with self.subTest(name):
                network, weights, images, labels = example(layers)
                want = Reference(network, weights, False).logits(images[:5])
                want = np.exp(want) / np.exp(want).sum(1, keepdims=True)
                peer = self.peer(job("infer", network, weights, images, labels))
                np.testing.assert_allclose(peer.infer(peer.put(images[:5], labels[:5])), want, rtol=1e-5, atol=1e-5)

    def test_every_layer_trains(self):
        """The first loss, and the gradient that a step of rate 1 leaves in the weights, along some directions."""
        for name, layers in EXAMPLES.items():
            with self.subTest(name):
                at = network, weights, images, labels = example(layers)
                images, labels = images[:5], labels[:5]
                peer = self.peer(job("train", *at, optimizer=OPTIMIZERS[0]))
                before = self.weights(peer)
                loss = peer.wait(peer.step(peer.put(images, labels)))
                self.assertAlmostEqual(loss, Reference(network, weights, True).loss(images, labels), delta=1e-5)
                after, trained = self.weights(peer), network.trained()
                for k in weights:
                    if k not in trained and ".running_" not in k:
                        np.testing.assert_array_equal(after[k], before[k], k)
                rng = np.random.default_rng(5)
                for _ in range(3):
                    way = {k: rng.normal(size=v.shape) for k, v in weights.items()}
                    sides = [
                        Reference(network, {k: v + step * way[k] if k in trained else v for k, v in weights.items()}, True).loss(images, labels)
                        for step in (1e-7, -1e-7)
                    ]
                    laid = self.laid(network, way)
                    got = sum(np.sum((before[k].astype(np.float64) - after[k]) / OPTIMIZERS[0]["learning_rate"] * laid[k]) for k in trained)
                    self.assertAlmostEqual(got, (sides[0] - sides[1]) / 2e-7, delta=1e-4)

    def test_every_optimizer(self):
        network = Network({"name": "tiny", "input": {"channels": 2, "height": 1, "width": 1}, "layers": [
            {"type": "flatten"}, {"type": "dense", "units": 3}, {"type": "batchnorm"}, {"type": "dense", "units": 3}]})  # fmt: skip
        at = _, _, images, labels = with_weights(network, 15)
        for o in OPTIMIZERS:
            with self.subTest(o):
                peer = self.peer(job("train", *at, optimizer=o))
                batches = [peer.put(images[i : i + 5], labels[i : i + 5]) for i in range(0, len(images), 5)]
                got = [peer.wait(peer.step(batch)) for batch in batches]
                np.testing.assert_allclose(got, losses(*at, o), rtol=1e-5, atol=1e-5)

    def weights(self, peer):
        """A peer's weights by name, as arrays in its own layouts."""
        return {k: np.array(v) for k, v in peer.w.items()}

    def laid(self, network, weights):
        """Weights in the peer's layouts."""
        return ChannelsLast(network, weights).weights

    def test_running_statistics(self):
        for momentum in 0, 0.4, 1:
            with self.subTest(momentum):
                at = example([{"type": "scale", "factor": 1, "from": "b"}, {"type": "batchnorm", "name": "n", "momentum": momentum}])
                network, weights, images, labels = at
                peer = self.peer(job("train", *at, optimizer={"method": "sgd", "learning_rate": 0}))
                peer.wait(peer.step(peer.put(images[:5], labels[:5])))
                reference = Reference(network, weights, True)
                b = reference.conv(network.layers[1], images[:5].astype(np.float64))
                got = self.weights(peer)
                for role, value in ("mean", b.mean((0, 2, 3))), ("var", b.var((0, 2, 3), ddof=1)):
                    want = (1 - momentum) * weights[f"n.running_{role}"] + momentum * value
                    np.testing.assert_allclose(got[f"n.running_{role}"], want, rtol=1e-4, atol=1e-5)


class Description(unittest.TestCase):
    def test_names_and_graph(self):
        network = example(EXAMPLES["batchnorm beside"])[0]
        layers = {layer.name: layer for layer in network.layers}
        self.assertEqual(layers["add1"].sources, ("c", "n"))
        self.assertEqual(layers["b"].sources, (None,))
        self.assertEqual([layers[k].shape for k in ("a", "g", "c", "end", "last")], [(4, 6, 5), (4, 1, 1), (3, 5, 4), (60, 1, 1), (3, 1, 1)])
        self.assertEqual([layers[k].flat for k in ("a", "g", "end", "last")], [False, False, True, True])
        self.assertEqual(network.classes, 3)

    def test_what_is_trained(self):
        network = example([*EXAMPLES["frozen"], *EXAMPLES["batchnorm of its own"]])[0]
        # Those around the example are all trained.
        names = [p for p in network.trained() if p.partition(".")[0] in ("conv3", "conv4", "batchnorm1")]
        self.assertEqual(names, ["conv4.weight", "batchnorm1.bias"])
        self.assertEqual([p for p in network.decayed() if p.startswith("b")], ["b.weight"])

    def test_refuses_an_unknown_kind(self):
        with self.assertRaisesRegex(ValueError, "attention"):
            example([{"type": "attention"}])

    def test_folding_changes_no_output(self):
        for name, left in ("batchnorm behind a convolution", 0), ("dense", 0), ("batchnorm beside", 1), ("batchnorm", 1), ("batchnorm of a vector", 1):
            with self.subTest(name):
                network, weights, images, _ = example(EXAMPLES[name])
                folded, fewer = without_batchnorm(network, weights)
                self.assertEqual(sum(layer.kind == "batchnorm" for layer in folded.layers), left)
                self.assertEqual(fewer.keys(), set(folded.parameters()))
                np.testing.assert_allclose(
                    Reference(folded, fewer, False).logits(images), Reference(network, weights, False).logits(images), rtol=1e-5, atol=1e-5
                )

    def test_channels_last_dense_layers_see_the_same_values(self):
        network, weights, *_ = example([{"type": "conv", "filters": 3, "kernel": 2}])
        laid = ChannelsLast(network, weights)
        x = np.random.default_rng(4).normal(size=(2, 3, 5, 4))
        got = channels_last(x).reshape(2, -1) @ laid.weights["last.weight"]
        np.testing.assert_allclose(got, x.reshape(2, -1) @ weights["last.weight"].T)
        self.assertEqual(laid.weights["a.weight"].shape, (2, 2, 2, 4))
        self.assertEqual(laid.gathers, {})


if __name__ == "__main__":
    unittest.main()
