"""The tutorial's network in JAX."""

import os

from protocol import adam_rate, channels_last, channels_last_weights, serve


class Jax:
    def __init__(self, job):
        # XLA's CPU client has no option for its threads; it counts the CPUs that the process may use, or takes NPROC.
        os.environ["NPROC"] = str(job.threads)
        os.environ["JAX_PLATFORMS"] = "cpu"
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job.threads])
        import jax
        import jax.numpy as jnp
        from jax import lax

        self.jax = jax
        self.version = jax.__version__
        self.settings = "jit of the whole step, buffers donated, NHWC; threads by NPROC and CPU affinity"
        self.optimizer = job.optimizer
        beta1, beta2, epsilon = (job.optimizer[k] for k in ("beta1", "beta2", "epsilon"))

        def conv_pool(x, w, b):
            x = lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = jnp.maximum(x + b, 0)
            return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "SAME")

        def logits(w, x):
            x = conv_pool(x, w["conv1.weight"], w["conv1.bias"])
            x = conv_pool(x, w["conv2.weight"], w["conv2.bias"])
            x = x.reshape(x.shape[0], -1)
            x = jnp.maximum(x @ w["dense1.weight"] + w["dense1.bias"], 0)
            return x @ w["dense2.weight"] + w["dense2.bias"]

        def mean_loss(w, x, labels):
            rows = jax.nn.log_softmax(logits(w, x))
            return -jnp.take_along_axis(rows, labels[:, None], axis=1).mean()

        def update(state, rate, x, labels):
            w, m, v = state
            loss, g = jax.value_and_grad(mean_loss)(w, x, labels)
            m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, m, g)
            v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, g)
            w = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + epsilon), w, m, v)
            return (w, m, v), loss

        self.update = jax.jit(update, donate_argnums=0)
        self.probabilities = jax.jit(lambda w, x: jax.nn.softmax(logits(w, x)))
        w = {k: jnp.array(v) for k, v in channels_last_weights(job.weights).items()}
        self.state = w, jax.tree.map(jnp.zeros_like, w), jax.tree.map(jnp.zeros_like, w)
        self.steps = 0

    def put(self, images, labels):
        return self.jax.device_put((channels_last(images), labels))

    def step(self, batch):
        self.steps += 1
        self.state, loss = self.update(self.state, adam_rate(self.optimizer, self.steps), *batch)
        return loss

    def wait(self, loss):
        self.jax.block_until_ready(self.state)
        return float(loss)

    def infer(self, batch):
        return self.jax.device_get(self.probabilities(self.state[0], batch[0]))


if __name__ == "__main__":
    serve("jax", Jax)
