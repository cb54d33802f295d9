"""Any network in JAX, on the CPU or on a GPU."""

import os

from network import ChannelsLast, without_batchnorm
from protocol import Unavailable, channels_last, serve

# The activation functions: of JAX, the input and the layer's JSON.
FUNCTIONS = {
    "relu": lambda jax, x, layer: jax.nn.relu(x),
    "leaky_relu": lambda jax, x, layer: jax.nn.leaky_relu(x, layer.get("slope", 0.01)),
    "tanh": lambda jax, x, layer: jax.numpy.tanh(x),
    "sigmoid": lambda jax, x, layer: jax.nn.sigmoid(x),
    "gelu": lambda jax, x, layer: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda jax, x, layer: jax.nn.gelu(x, approximate=True),
    "silu": lambda jax, x, layer: jax.nn.silu(x),
    "relu6": lambda jax, x, layer: jax.nn.relu6(x),
    "hard_swish": lambda jax, x, layer: jax.nn.hard_swish(x),
    "hard_sigmoid": lambda jax, x, layer: jax.nn.hard_sigmoid(x),
    "elu": lambda jax, x, layer: jax.nn.elu(x, layer.get("alpha", 1)),
    "mish": lambda jax, x, layer: x * jax.numpy.tanh(jax.nn.softplus(x)),
}


class Layers:
    """Computes layers, each kind by the method of its name. Images are (N, rows, columns, channels), vectors (N, values).
    w has the weights; statistics takes the running statistics after a training step, and is None in evaluation."""

    def __init__(self, jax, laid, w, statistics):
        self.jax, self.np, self.laid, self.w, self.statistics = jax, jax.numpy, laid, w, statistics

    def logits(self, images):
        y = self.laid.network.evaluate(images, self.layer)
        y = y.reshape(len(y), -1)
        return y if self.laid.gather_logits is None else y[:, self.laid.gather_logits]

    def layer(self, layer, inputs):
        for i, x in enumerate(inputs):
            if (places := self.laid.gathers.get((layer.name, i))) is not None:
                inputs[i] = x[:, places]
        if layer.kind in ("add", "concat", "multiply") and not layer.flat:
            inputs = [x[:, None, None] if flat else x for x, flat in zip(inputs, layer.flats)]
        return getattr(self, layer.kind)(layer, *inputs)

    def parameter(self, layer, role):
        return self.w[f"{layer.name}.{role}"]

    def biased(self, layer, y):
        return y + self.parameter(layer, "bias") if "bias" in layer.roles else y

    def conv(self, layer, x):
        at, w = layer.window, self.parameter(layer, "weight")
        if layer.depthwise and layer.shape[0] == layer.groups and self.jax.default_backend() == "cpu":
            # XLA's own is far slower on the CPU than this sum over the filter's places, which it fuses.
            return self.biased(layer, sum(values * w[r, c, 0] for (r, c), values in self.windows(at, x, 0)))
        y = self.jax.lax.conv_general_dilated(
            x, w, at.stride, at.padding, rhs_dilation=at.dilation, dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=layer.groups)  # fmt: skip
        return self.biased(layer, y)

    def windows(self, at, x, fill):
        """Each place of a window, and the values that all windows have there."""
        x = self.np.pad(x, ((0, 0), *at.padding, (0, 0)), constant_values=fill)
        ends = [(n - (k - 1) * d - 1) // s * s + 1 for n, k, s, d in zip(x.shape[1:3], at.kernel, at.stride, at.dilation)]
        for r in range(at.kernel[0]):
            for c in range(at.kernel[1]):
                top, left = r * at.dilation[0], c * at.dilation[1]
                yield (r, c), x[:, top : top + ends[0] : at.stride[0], left : left + ends[1] : at.stride[1]]

    def pool(self, layer, x):
        np, lax, at, mode = self.np, self.jax.lax, layer.window, layer.fields.get("mode", "max")
        shape = (1, *at.kernel, 1), (1, *at.stride, 1), ((0, 0), *at.padding, (0, 0))
        if mode == "max":
            return lax.reduce_window(x, -np.inf, lax.max, *shape)
        if mode == "mean" and not at.padded and at.kernel == layer.inputs[0][1:]:
            return x.mean((1, 2), keepdims=True)
        y = lax.reduce_window(x if mode == "mean" else x * x, 0.0, lax.add, *shape)
        if mode == "mean":
            inside = np.ones((1, *layer.inputs[0][1:], 1), x.dtype)
            return y / lax.reduce_window(inside, 0.0, lax.add, *shape)
        return np.where(y > 0, np.sqrt(np.where(y > 0, y, 1)), 0)  # whose gradient is 0 where it is 0

    def activation(self, layer, x):
        return FUNCTIONS[layer.fields["func"]](self.jax, x, layer.fields)

    def dropout(self, layer, x):
        return x  # of rate 0, or in evaluation

    def batchnorm(self, layer, x):
        np, kind, fields = self.np, x.dtype, layer.fields
        weight, bias, mean, var = (self.parameter(layer, role).astype(np.float32) for role in layer.roles)
        x = x.astype(np.float32)
        if self.statistics is not None and not layer.settled:
            axes = tuple(range(x.ndim - 1))
            count, momentum, old = x.size // x.shape[-1], fields.get("momentum", 0.1), (mean, var)
            mean = x.mean(axes)
            var = ((x - mean) ** 2).mean(axes)
            self.statistics[f"{layer.name}.running_mean"] = (1 - momentum) * old[0] + momentum * mean
            self.statistics[f"{layer.name}.running_var"] = (1 - momentum) * old[1] + momentum * count / max(count - 1, 1) * var
        factor = weight * self.jax.lax.rsqrt(var + (fields.get("epsilon") or 1e-5))
        return ((x - mean) * factor + bias).astype(kind)

    def flatten(self, layer, x):
        return x.reshape(len(x), -1)

    def dense(self, layer, x):
        return self.biased(layer, x.reshape(len(x), -1) @ self.parameter(layer, "weight"))

    def add(self, layer, *inputs):
        return sum(inputs[1:], inputs[0])

    def concat(self, layer, *inputs):
        return self.np.concatenate(inputs, -1)

    def multiply(self, layer, x, by):
        return x * by

    def scale(self, layer, x):
        return x * layer.fields["factor"]


class Jax:
    def __init__(self, job):
        self.tier = None
        if job.gpu is None:
            # XLA's CPU client has no option for its threads; it counts the CPUs that the process may use, or takes NPROC.
            os.environ["NPROC"] = str(job.threads)
            os.environ["JAX_PLATFORMS"] = "cpu"
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job.threads])
            if job.tier == "avx2":
                os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_max_isa=AVX2"
                os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
                self.tier = job.tier
        else:
            os.environ["JAX_PLATFORMS"] = "cuda"
            # Or it takes three quarters of the GPU's memory, which others need.
            os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
        import jax
        import jax.numpy as jnp

        self.jax, self.version = jax, jax.__version__
        self.settings = "jit of the whole step, buffers donated, NHWC; "
        if job.gpu is None:
            self.device = jax.devices()[0]
            self.settings += "threads by NPROC and CPU affinity"
        else:
            self.device = gpu(jax, job.gpu)
            # What its default rounds factors to on GPUs that can is TF32.
            jax.config.update("jax_default_matmul_precision", "highest" if job.precision == "fp32" else "default")
            arithmetic = {"fp32": "float32", "tf32": "TF32", "bf16": "layers in bfloat16"}[job.precision]
            self.settings += f"{arithmetic}; batches are in the GPU's memory"
        layers = jnp.bfloat16 if job.precision == "bf16" else jnp.float32

        def logits(laid, w, x, statistics=None):
            w = {k: v if ".running_" in k else v.astype(layers) for k, v in w.items()}
            return Layers(jax, laid, w, statistics).logits(x.astype(layers)).astype(jnp.float32)

        if job.mode == "infer":
            laid = ChannelsLast(*without_batchnorm(job.network, job.weights))
            self.settings += ", batch normalisation folded into convolutions"
            self.state = jax.device_put(laid.weights, self.device)
            self.probabilities = jax.jit(lambda w, x: jax.nn.softmax(logits(laid, w, x)))
            return
        laid = ChannelsLast(job.network, job.weights)
        trained = job.network.trained()
        begin, update = optimizer(jax, job.optimizer, set(job.network.decayed()))

        def mean_loss(w, kept, x, labels):
            statistics = {}
            rows = jax.nn.log_softmax(logits(laid, {**kept, **w}, x, statistics))
            return -jnp.take_along_axis(rows, labels[:, None], axis=1).mean(), statistics

        def step(state, x, labels):
            w, kept, moments = state
            (loss, statistics), g = jax.value_and_grad(mean_loss, has_aux=True)(w, kept, x, labels)
            w, moments = update(w, g, moments)
            return (w, {**kept, **statistics}, moments), loss

        self.update = jax.jit(step, donate_argnums=0)
        w = {k: laid.weights[k] for k in trained}
        kept = {k: v for k, v in laid.weights.items() if k not in w}
        # Each in a buffer of its own, since an update takes them over.
        self.state = jax.device_put((w, kept, jax.tree.map(jnp.copy, begin(w))), self.device)

    def put(self, images, labels):
        return self.jax.device_put((channels_last(images), labels), self.device)

    def step(self, batch):
        self.state, loss = self.update(self.state, *batch)
        return loss

    def wait(self, loss):
        self.jax.block_until_ready(self.state)
        return float(loss)

    def infer(self, batch):
        return self.jax.device_get(self.probabilities(self.state, batch[0]))


def optimizer(jax, o, decayed):
    """Two functions: of weights, their first moments; of weights, gradients and moments, the next weights and moments."""
    np, each, rate, decay = jax.numpy, jax.tree.map, o["learning_rate"], o.get("weight_decay", 0)

    def decays(w, g):
        return {k: g[k] + decay * w[k] if k in decayed else g[k] for k in g} if decay else g

    def sgd(w, g, v):
        g, momentum = decays(w, g), o.get("momentum", 0)
        if not momentum:
            return each(lambda w, g: w - rate * g, w, g), v
        v = each(lambda v, g: momentum * v + g, v, g)
        ahead = each(lambda v, g: g + momentum * v, v, g) if o.get("nesterov") else v
        return each(lambda w, v: w - rate * v, w, ahead), v

    def adam(w, g, moments):
        m, v, t = moments
        if o["method"] == "adam":
            g = decays(w, g)
        elif decay:
            w = {k: w[k] * (1 - rate * decay) if k in decayed else w[k] for k in w}
        t, beta1, beta2 = t + 1, o["beta1"], o["beta2"]
        m = each(lambda m, g: beta1 * m + (1 - beta1) * g, m, g)
        v = each(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, g)
        r = rate * np.sqrt(1 - beta2**t) / (1 - beta1**t)
        return each(lambda w, m, v: w - r * m / (np.sqrt(v) + o["epsilon"]), w, m, v), (m, v, t)

    zeros = lambda w: each(np.zeros_like, w)
    if o["method"] == "sgd":
        return (zeros if o.get("momentum") else lambda w: ()), sgd
    return lambda w: (zeros(w), zeros(w), np.float32(0)), adam


def gpu(jax, number):
    """JAX's GPU of that number."""
    try:
        found = jax.devices("cuda")
    except (RuntimeError, AssertionError) as e:  # it has none, or is built without, for which JAX 0.10 fails an assertion
        why = str(e).partition("\n")[0] or "it is built without"
        raise Unavailable(f"JAX {jax.__version__} finds no GPU: {why}") from e
    if number >= len(found):
        raise Unavailable(f"JAX {jax.__version__} finds {len(found)} GPU here, none of number {number}")
    return found[number]


if __name__ == "__main__":
    serve("jax", Jax, gpu=True)
