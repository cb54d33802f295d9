"""Trains networks of gputrain in JAX, in float64, from their JSON and safetensors files.

usage: agree.py
Each line on standard input names a folder. It has
  network.json         the network
  weights.safetensors  its first weights
  images, labels       the samples of all steps, one step's behind the other's: float32 in NCHW order, and int32
  job.json             "batch", "steps", "learning_rate", "momentum", and for the second run "rounding" and "margin"
The network is trained twice, exactly and roughly. Into the folder go, as float64, the loss of every step and the weights
after the last one, in the order of their names: losses.exact, weights.exact, losses.rough, weights.rough. A line on standard
output answers: "ok", or what went wrong.

The second run tells what may be asked of a float32 computation. It rounds what layers and their gradients give as float32
does, only "rounding" times as coarsely, and long sums more so. It decides the other way what is close to a tie: the side of a
kink, and which value of a window is the greatest. How close grows with "margin" and with the sums on the way there.

Everything is written from the definitions, without what jax.nn has, and gradients are JAX's own.
"""
import functools
import json
import math
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy
from safetensors.numpy import load_file

jax.config.update("jax_enable_x64", True)


@jax.custom_vjp
def rounded(x, times):
    return x + times * (x.astype(jnp.float32).astype(x.dtype) - x)


rounded.defvjp(lambda x, times: (rounded(x, times), times), lambda times, g: (rounded(g, times), jnp.zeros_like(times)))


def pair(value):
    return tuple(value) if isinstance(value, list) else (value, value)


def padding(layer, size, kernel, stride, dilation):
    """The rows and columns to add: ((top, bottom), (left, right))."""
    pad = layer.get("padding", "valid")
    if pad == "valid":
        return (0, 0), (0, 0)
    if pad == "same":
        both = []
        for n, k, s, d in zip(size, kernel, stride, dilation):
            total = max((math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0)
            both.append((total // 2, total - total // 2))
        return tuple(both)
    top, bottom, left, right = pad
    return (top, bottom), (left, right)


class Ties:
    """Decisions that are taken the other way where they are closer than margin to a tie."""

    def __init__(self, margin):
        self.margin = margin

    def near(self, distance, x):
        finite = jnp.where(jnp.isfinite(x), x, 0)
        return jax.lax.stop_gradient(distance < self.margin * jnp.sqrt(jnp.mean(finite * finite)))

    def above(self, x, kink):
        return (x > kink) ^ self.near(jnp.abs(x - kink), x)

    def greatest(self, windows):
        """The greatest of windows along its first axis; its gradient goes to the first such."""
        places = jnp.arange(len(windows)).reshape(-1, *[1] * (windows.ndim - 1))
        first = jnp.argmax(windows, axis=0)
        if len(windows) > 1:
            others = jnp.where(places == first, -jnp.inf, windows)
            close = self.near(jnp.max(windows, axis=0) - jnp.max(others, axis=0), windows)
            first = jnp.where(close, jnp.argmax(others, axis=0), first)
        return jnp.sum(jnp.where(places == first, windows, 0), axis=0)


def conv(layer, x, weight, bias):
    kernel, stride, dilation = pair(layer["kernel"]), pair(layer.get("stride", 1)), pair(layer.get("dilation", 1))
    if x.shape[1] == len(weight) == layer.get("groups", 1) > 64 and dilation == (1, 1):
        # Depthwise and wide, as in MobileNet: JAX's own convolution takes minutes for it.
        windows = windows_of(x, kernel, stride, padding(layer, x.shape[2:], kernel, stride, dilation), 0)
        return (windows * weight.reshape(len(weight), -1).T[:, None, :, None, None]).sum(0) + (0 if bias is None else bias[:, None, None])
    y = jax.lax.conv_general_dilated(
        x, weight, stride, padding(layer, x.shape[2:], kernel, stride, dilation), rhs_dilation=dilation,
        dimension_numbers=("NCHW", "OIHW", "NCHW"), feature_group_count=layer.get("groups", 1))
    return y if bias is None else y + bias[:, None, None]


def windows_of(x, kernel, stride, pad, fill):
    """The values of every window, (kernel elements, N, C, rows, columns), with fill for what is outside x."""
    x = jnp.pad(x, ((0, 0), (0, 0), *pad), constant_values=fill)
    rows, columns = [(n - k) // s + 1 for n, k, s in zip(x.shape[2:], kernel, stride)]
    return jnp.stack([
        x[:, :, r:r + (rows - 1) * stride[0] + 1:stride[0], c:c + (columns - 1) * stride[1] + 1:stride[1]]
        for r in range(kernel[0]) for c in range(kernel[1])])


def pool(layer, x, ties):
    kernel = x.shape[2:] if layer.get("global") else pair(layer["kernel"])
    stride = pair(layer.get("stride", list(kernel)))
    pad = padding(layer, x.shape[2:], kernel, stride, (1, 1))
    mode = layer.get("mode", "max")
    if mode == "max":
        return ties.greatest(windows_of(x, kernel, stride, pad, -jnp.inf))
    values = windows_of(x, kernel, stride, pad, 0)
    if mode == "mean":
        return values.sum(0) / windows_of(jnp.ones_like(x), kernel, stride, pad, 0).sum(0)
    assert mode == "l2", mode
    squares = (values * values).sum(0)
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


def sigmoid(x):
    return 1 / (1 + jnp.exp(-x))


def between(ties, x, lo, hi, below, inside, above):
    return jnp.where(ties.above(x, lo), jnp.where(ties.above(x, hi), above, inside), below)


FUNCTIONS = {
    "relu": lambda x, layer, ties: jnp.where(ties.above(x, 0), x, 0),
    "leaky_relu": lambda x, layer, ties: jnp.where(ties.above(x, 0), x, layer.get("slope", 0.01) * x),
    "tanh": lambda x, layer, ties: jnp.tanh(x),
    "sigmoid": lambda x, layer, ties: sigmoid(x),
    "gelu": lambda x, layer, ties: x * (1 + jax.scipy.special.erf(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x, layer, ties: x / 2 * (1 + jnp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x, layer, ties: x * sigmoid(x),
    "relu6": lambda x, layer, ties: between(ties, x, 0, 6, 0, x, 6),
    "hard_swish": lambda x, layer, ties: between(ties, x, -3, 3, 0, x * (x + 3) / 6, x),
    "hard_sigmoid": lambda x, layer, ties: between(ties, x, -3, 3, 0, (x + 3) / 6, 1),
    # The exponential is of what is not above 0, so that it never overflows.
    "elu": lambda x, layer, ties: jnp.where(ties.above(x, 0), x, layer.get("alpha", 1) * (jnp.exp(jnp.minimum(x, 0)) - 1)),
    "mish": lambda x, layer, ties: x * jnp.tanh(jnp.logaddexp(x, 0)),
}


def batchnorm(layer, x, weight, bias, mean, var, rounding):
    """The output, and the running statistics after it."""
    count = x.size // x.shape[1]
    column = lambda v: v[:, None, None]
    if layer.get("frozen") in (True, "always"):
        normal = rounded((x - column(mean)) / jnp.sqrt(column(var) + layer.get("epsilon", 1e-5)), rounding)
        return column(weight) * normal + column(bias), (mean, var)
    batch_mean = x.mean((0, 2, 3))
    centred = rounded(x - column(batch_mean), rounding)
    batch_var = (centred * centred).mean((0, 2, 3))
    normal = rounded(centred / jnp.sqrt(column(batch_var) + layer.get("epsilon", 1e-5)), rounding)
    momentum = layer.get("momentum", 0.1)
    moved = ((1 - momentum) * mean + momentum * batch_mean,
             (1 - momentum) * var + momentum * batch_var * count / max(count - 1, 1))
    return column(weight) * normal + column(bias), moved


def derived_names(layers):
    count, names = {}, []
    for layer in layers:
        base = layer["func"] if layer["type"] == "activation" else layer["type"]
        count[base] = count.get(base, 0) + 1
        names.append(layer.get("name") or f"{base}{count[base]}")
    return names


ROLES = {"conv": ("weight", "bias"), "dense": ("weight", "bias"), "batchnorm": ("weight", "bias", "running_mean", "running_var")}


def roles(layer):
    """The parameters of a layer, and which of them are trained."""
    has = [r for r in ROLES.get(layer["type"], ()) if not (r == "bias" and layer.get("no_bias"))]
    frozen = layer.get("frozen", False)
    keeps = has if frozen in (True, "always") else frozen or []
    return has, [r for r in has if r not in keeps and not r.startswith("running")]


def forward(network, names, weights, x, rounding, margin):
    """The logits, and the running statistics after a training step by their names."""
    outputs, statistics, before = {"input": x}, {}, "input"
    terms = {"input": 1}  # of all sums on the way to a value
    for name, layer in zip(names, network["layers"]):
        kind, sources = layer["type"], layer.get("from", before)
        sources = [sources] if isinstance(sources, str) else sources
        inputs = [outputs[s] for s in sources]
        x = inputs[0]
        most = max(terms[s] for s in sources)
        ties = Ties(margin * (4 + math.sqrt(most)))
        p = {role: weights[f"{name}.{role}"] for role in roles(layer)[0]}
        if kind == "conv":
            y = conv(layer, x, p["weight"], p.get("bias"))
        elif kind == "pool":
            y = pool(layer, x, ties)
        elif kind == "activation":
            y = FUNCTIONS[layer["func"]](x, layer, ties)
        elif kind == "dropout":
            assert layer["rate"] == 0, "dropout draws by chance"
            y = x
        elif kind == "batchnorm":
            y, moved = batchnorm(layer, x, *p.values(), rounding)
            statistics[name + ".running_mean"], statistics[name + ".running_var"] = moved
        elif kind == "flatten":
            y = x.reshape(len(x), -1, 1, 1)
        elif kind == "dense":
            y = (x[:, :, 0, 0] @ p["weight"].T + p.get("bias", 0))[:, :, None, None]
        elif kind == "add":
            y = sum(inputs)
        elif kind == "concat":
            y = jnp.concatenate(inputs, axis=1)
        elif kind == "multiply":
            y = x * inputs[1]
        elif kind == "scale":
            y = x * layer["factor"]
        else:
            raise ValueError(f"unknown kind {kind}")
        coarser = 1
        if kind in ("conv", "dense"):  # sums, whose roundings add up
            own = p["weight"][0].size
            coarser = max(1, math.sqrt(own) / 8)
            most += own
        terms[name] = most
        outputs[name], before = rounded(y, rounding * coarser), name
    return outputs[before][:, :, 0, 0], statistics


def loss_of(logits, labels):
    shifted = logits - jax.lax.stop_gradient(logits.max(1, keepdims=True))
    return jnp.mean(jnp.log(jnp.exp(shifted).sum(1)) - shifted[jnp.arange(len(labels)), labels])


@functools.cache
def trainer(text):
    """The training step of a network in JSON, and the names of its parameters: all, and those that are trained."""
    network = json.loads(text)
    layers, names = network["layers"], derived_names(network["layers"])
    has = {f"{n}.{r}" for n, l in zip(names, layers) for r in roles(l)[0]}
    trained = [f"{n}.{r}" for n, l in zip(names, layers) for r in roles(l)[1]]

    @jax.jit
    def step(weights, velocity, x, y, rate, momentum, rounding, margin):
        def loss(values):
            logits, statistics = forward(network, names, {**weights, **values}, x, rounding, margin)
            return loss_of(logits, y), statistics
        (value, statistics), gradient = jax.value_and_grad(loss, has_aux=True)({k: weights[k] for k in trained})
        velocity = {k: momentum * velocity[k] + gradient[k] for k in trained}
        after = {**statistics, **{k: weights[k] - rate * velocity[k] for k in trained}}
        return {**weights, **{k: rounded(v, jnp.minimum(rounding, 1)) for k, v in after.items()}}, velocity, value

    return step, has, trained, network["input"]


def answer(folder):
    step, has, trained, shape = trainer((folder / "network.json").read_text())
    job = json.loads((folder / "job.json").read_text())
    first = {k: v.astype(numpy.float64) for k, v in load_file(folder / "weights.safetensors").items()}
    assert has == set(first), f"parameters that the network lacks, or the file: {has ^ set(first)}"
    shape = job["steps"], job["batch"], shape["channels"], shape["height"], shape["width"]
    images = numpy.fromfile(folder / "images", numpy.float32).reshape(shape).astype(numpy.float64)
    labels = numpy.fromfile(folder / "labels", numpy.int32).reshape(shape[:2])
    for run, rounding, margin in (("exact", 0.0, 0.0), ("rough", float(job["rounding"]), float(job["margin"]))):
        weights, velocity, losses = first, {k: numpy.zeros_like(first[k]) for k in trained}, []
        for x, y in zip(images, labels):
            weights, velocity, value = step(weights, velocity, x, y, job["learning_rate"], job["momentum"], rounding, margin)
            losses.append(value)
        numpy.array(losses, numpy.float64).tofile(folder / f"losses.{run}")
        numpy.concatenate([numpy.ravel(weights[k]) for k in sorted(weights)]).astype(numpy.float64).tofile(folder / f"weights.{run}")


for line in sys.stdin:
    try:
        answer(pathlib.Path(line.strip()))
        print("ok", flush=True)
    except Exception as error:  # of any kind: the next folder is still answered
        print(f"{type(error).__name__}: {error}".replace("\n", " "), flush=True)
