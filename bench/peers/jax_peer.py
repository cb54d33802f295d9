"""The tutorial's network in JAX, on the CPU or on a GPU."""

import os

from protocol import Unavailable, channels_last, channels_last_weights, serve


class Jax:
    def __init__(self, job):
        if job.gpu is None:
            # XLA's CPU client has no option for its threads; it counts the CPUs that the process may use, or takes NPROC.
            os.environ["NPROC"] = str(job.threads)
            os.environ["JAX_PLATFORMS"] = "cpu"
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job.threads])
        else:
            os.environ["JAX_PLATFORMS"] = "cuda"
            # Or it takes three quarters of the GPU's memory, which others need.
            os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
        import jax
        import jax.numpy as jnp
        from jax import lax

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
        rate, beta1, beta2, epsilon = (job.optimizer[k] for k in ("learning_rate", "beta1", "beta2", "epsilon"))

        def conv_pool(x, w, b):
            x = lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = jnp.maximum(x + b, 0)
            return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "SAME")

        def logits(w, x):
            w, x = jax.tree.map(lambda t: t.astype(layers), (w, x))
            x = conv_pool(x, w["conv1.weight"], w["conv1.bias"])
            x = conv_pool(x, w["conv2.weight"], w["conv2.bias"])
            x = x.reshape(x.shape[0], -1)
            x = jnp.maximum(x @ w["dense1.weight"] + w["dense1.bias"], 0)
            return (x @ w["dense2.weight"] + w["dense2.bias"]).astype(jnp.float32)

        def mean_loss(w, x, labels):
            rows = jax.nn.log_softmax(logits(w, x))
            return -jnp.take_along_axis(rows, labels[:, None], axis=1).mean()

        def update(state, x, labels):
            w, m, v, t = state
            t = t + 1
            loss, g = jax.value_and_grad(mean_loss)(w, x, labels)
            m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, m, g)
            v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, g)
            r = rate * jnp.sqrt(1 - beta2**t) / (1 - beta1**t)
            w = jax.tree.map(lambda w, m, v: w - r * m / (jnp.sqrt(v) + epsilon), w, m, v)
            return (w, m, v, t), loss

        self.update = jax.jit(update, donate_argnums=0)
        self.probabilities = jax.jit(lambda w, x: jax.nn.softmax(logits(w, x)))
        w = channels_last_weights(job.weights)
        zeros = jax.tree.map(jnp.zeros_like, w)
        # Each in a buffer of its own, since an update takes them over.
        self.state = jax.device_put((w, zeros, jax.tree.map(jnp.copy, zeros), jnp.float32(0)), self.device)

    def put(self, images, labels):
        return self.jax.device_put((channels_last(images), labels), self.device)

    def step(self, batch):
        self.state, loss = self.update(self.state, *batch)
        return loss

    def wait(self, loss):
        self.jax.block_until_ready(self.state)
        return float(loss)

    def infer(self, batch):
        return self.jax.device_get(self.probabilities(self.state[0], batch[0]))


def gpu(jax, number):
    """JAX's GPU of that number."""
    try:
        found = jax.devices("cuda")
    except RuntimeError as e:  # it has none, or is built without
        raise Unavailable(f"JAX {jax.__version__} finds no GPU: " + str(e).partition("\n")[0]) from e
    if number >= len(found):
        raise Unavailable(f"JAX {jax.__version__} finds {len(found)} GPU here, none of number {number}")
    return found[number]


if __name__ == "__main__":
    serve("jax", Jax, gpu=True)
