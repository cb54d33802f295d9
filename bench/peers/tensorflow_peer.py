"""Any network in TensorFlow, on the CPU."""

import os

from network import ChannelsLast, without_batchnorm
from protocol import channels_last, serve

# The activation functions: of TensorFlow, the input and the layer's JSON.
FUNCTIONS = {
    "relu": lambda tf, x, layer: tf.nn.relu(x),
    "leaky_relu": lambda tf, x, layer: tf.nn.leaky_relu(x, layer.get("slope", 0.01)),
    "tanh": lambda tf, x, layer: tf.tanh(x),
    "sigmoid": lambda tf, x, layer: tf.sigmoid(x),
    "gelu": lambda tf, x, layer: tf.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda tf, x, layer: tf.nn.gelu(x, approximate=True),
    "silu": lambda tf, x, layer: tf.nn.silu(x),
    "relu6": lambda tf, x, layer: tf.nn.relu6(x),
    "hard_swish": lambda tf, x, layer: x * (tf.nn.relu6(x + 3) / 6),
    "hard_sigmoid": lambda tf, x, layer: tf.nn.relu6(x + 3) / 6,
    "elu": lambda tf, x, layer: elu(tf, x, layer.get("alpha", 1)),
    "mish": lambda tf, x, layer: x * tf.tanh(tf.nn.softplus(x)),
}


def elu(tf, x, alpha):
    if alpha == 1:
        return tf.nn.elu(x)
    return tf.where(x > 0, x, alpha * tf.math.expm1(tf.minimum(x, 0)))


class Layers:
    """Computes layers, each kind by the method of its name. Images are (N, rows, columns, channels), vectors (N, values).
    w has the weights; statistics takes the running statistics after a training step, and is None in evaluation."""

    def __init__(self, tf, laid, w, statistics):
        self.tf, self.laid, self.w, self.statistics = tf, laid, w, statistics

    def logits(self, images):
        y = self.laid.network.evaluate(images, self.layer)
        y = self.tf.reshape(y, [-1, self.laid.network.classes])
        return y if self.laid.gather_logits is None else self.tf.gather(y, self.laid.gather_logits, axis=1)

    def layer(self, layer, inputs):
        tf = self.tf
        for i, x in enumerate(inputs):
            if (places := self.laid.gathers.get((layer.name, i))) is not None:
                inputs[i] = tf.gather(x, places, axis=1)
        if layer.kind in ("add", "concat", "multiply") and not layer.flat:
            inputs = [tf.reshape(x, [-1, 1, 1, x.shape[-1]]) if flat else x for x, flat in zip(inputs, layer.flats)]
        return getattr(self, layer.kind)(layer, *inputs)

    def parameter(self, layer, role):
        return self.w[f"{layer.name}.{role}"]

    def biased(self, layer, y):
        return self.tf.nn.bias_add(y, self.parameter(layer, "bias")) if "bias" in layer.roles else y

    def conv(self, layer, x):
        tf, at, w = self.tf, layer.window, self.parameter(layer, "weight")
        if layer.depthwise and at.stride[0] == at.stride[1] and (max(at.dilation) == 1 or max(at.stride) == 1):
            channels = layer.inputs[0][0]
            w = tf.reshape(w, [*at.kernel, channels, layer.shape[0] // channels])
            # Space to batch knows no explicit padding, and oneDNN's depthwise convolution ends in a failed check with it.
            if at.padded and not at.same:
                x, padding = tf.pad(x, [[0, 0], *map(list, at.padding), [0, 0]]), "VALID"
            else:
                padding = self.padding(at)
            return self.biased(layer, tf.nn.depthwise_conv2d(x, w, [1, *at.stride, 1], padding, dilations=at.dilation))
        # On the CPU, a convolution in groups has no gradient, and can't be joined with its bias.
        groups = layer.groups
        if self.statistics is not None and max(at.dilation) > 1:
            convolve = lambda x, w: self.dilated(at, x, w)
        else:
            convolve = lambda x, w: tf.nn.conv2d(x, w, at.stride, self.padding(at), dilations=at.dilation)
        xs, ws = ([x], [w]) if groups == 1 else (tf.split(x, groups, 3), tf.split(w, groups, 3))
        ys = [convolve(x, w) for x, w in zip(xs, ws)]
        return self.biased(layer, ys[0] if groups == 1 else tf.concat(ys, 3))

    def dilated(self, at, x, w):
        """A dilated convolution whose gradient TensorFlow can compute on the CPU, as tf.nn.atrous_conv2d makes it."""
        tf = self.tf
        over = [-(n + sum(p)) % d for n, p, d in zip(x.shape[1:3], at.padding, at.dilation)]
        x = tf.space_to_batch(x, at.dilation, [(lo, hi + more) for (lo, hi), more in zip(at.padding, over)])
        y = tf.batch_to_space(tf.nn.conv2d(x, w, 1, "VALID"), at.dilation, [(0, more) for more in over])
        return y if max(at.stride) == 1 else y[:, :: at.stride[0], :: at.stride[1]]

    def padding(self, at):
        if at.padded and not at.same:
            return [[0, 0], *map(list, at.padding), [0, 0]]
        return "SAME" if at.padded else "VALID"

    def pool(self, layer, x):
        tf, at, mode = self.tf, layer.window, layer.fields.get("mode", "max")
        whole = not at.padded and at.kernel == layer.inputs[0][1:]
        if mode == "max":
            return tf.nn.max_pool2d(x, at.kernel, at.stride, self.padding(at))
        if mode == "l2":
            x = x * x
        if whole:
            y = tf.reduce_mean(x, [1, 2], keepdims=True)
        elif at.padded and not at.same or mode == "l2":
            # TensorFlow's mean over windows that are padded as asked, with the padding's zeros, times what they are too many.
            y = tf.nn.avg_pool2d(tf.pad(x, [[0, 0], *map(list, at.padding), [0, 0]]), at.kernel, at.stride, "VALID")
            if mode == "mean":
                inside = tf.pad(tf.ones([1, *layer.inputs[0][1:], 1]), [[0, 0], *map(list, at.padding), [0, 0]])
                y = y / tf.nn.avg_pool2d(inside, at.kernel, at.stride, "VALID")
        else:
            y = tf.nn.avg_pool2d(x, at.kernel, at.stride, self.padding(at))
        if mode == "l2":  # whose gradient is 0 where it is 0
            y = y * float(at.kernel[0] * at.kernel[1])
            y = tf.where(y > 0, tf.sqrt(tf.where(y > 0, y, 1)), 0)
        return y

    def activation(self, layer, x):
        return FUNCTIONS[layer.fields["func"]](self.tf, x, layer.fields)

    def dropout(self, layer, x):
        return x  # of rate 0, or in evaluation

    def batchnorm(self, layer, x):
        tf, fields = self.tf, layer.fields
        weight, bias, mean, var = (self.parameter(layer, role) for role in layer.roles)
        training, momentum = self.statistics is not None and not layer.settled, fields.get("momentum", 0.1)
        # The layer's own operator moves the statistics; at factor 1 it wants none, and gives the batch's.
        moving = not training or 0 < momentum < 1
        image = tf.reshape(x, [-1, 1, 1, x.shape[-1]]) if layer.flat else x
        y, mean, var, *_ = tf.raw_ops.FusedBatchNormV3(
            x=image, scale=weight, offset=bias, mean=mean if moving else [], variance=var if moving else [],
            epsilon=fields.get("epsilon") or 1e-5, exponential_avg_factor=momentum if moving else 1.0, is_training=training)  # fmt: skip
        if training and momentum > 0:
            self.statistics.update({f"{layer.name}.running_mean": mean, f"{layer.name}.running_var": var})
        return tf.reshape(y, x.shape) if layer.flat else y

    def flatten(self, layer, x):
        return self.tf.reshape(x, [-1, layer.shape[0]])

    def dense(self, layer, x):
        x = self.tf.reshape(x, [-1, layer.inputs[0][0]])
        return self.biased(layer, self.tf.matmul(x, self.parameter(layer, "weight")))

    def add(self, layer, *inputs):
        return inputs[0] + inputs[1] if len(inputs) == 2 else self.tf.add_n(inputs)

    def concat(self, layer, *inputs):
        return self.tf.concat(inputs, -1)

    def multiply(self, layer, x, by):
        return x * by

    def scale(self, layer, x):
        return x * layer.fields["factor"]


class TensorFlow:
    def __init__(self, job):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        self.tier = None
        if job.tier == "avx2":  # of oneDNN; the rest of the wheel is built for no more than that
            os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
            self.tier = job.tier
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(job.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self.tf = tf
        self.version = tf.__version__
        self.settings = "tf.function, oneDNN, NHWC; intra-op threads as asked, inter-op 1"
        self.images = tf.TensorSpec([job.batch, *job.images.shape[2:], job.images.shape[1]], tf.float32)
        if job.mode == "train":
            self.make_training(job)
        else:
            self.make_inference(job)

    def make_training(self, job):
        tf, network, o = self.tf, job.network, job.optimizer
        laid = ChannelsLast(network, job.weights)
        self.w = w = {k: tf.Variable(v) for k, v in laid.weights.items()}
        trained, decayed = network.trained(), set(network.decayed())
        adam, decay, rate = o["method"] != "sgd", o.get("weight_decay", 0), tf.constant(o["learning_rate"], tf.float32)
        momentum = o.get("momentum", 0)
        moments = [{k: tf.Variable(tf.zeros_like(w[k])) for k in trained} for _ in range(2 if adam else 1 if momentum else 0)]
        self.steps, self.betas = 0, (o.get("beta1", 0), o.get("beta2", 0))
        self.settings += ", fused " + {"sgd": "SGD (ResourceApplyMomentum)" if momentum else "SGD", "adam": "Adam (ResourceApplyAdam)", "adamw": "Adam, decay before it"}[o["method"]]

        def update_one(k, g, power1, power2):
            if decay and k in decayed:
                if o["method"] == "adamw":
                    w[k].assign(w[k] * (1 - o["learning_rate"] * decay))
                else:
                    g = g + decay * w[k]
            if adam:
                tf.raw_ops.ResourceApplyAdam(
                    var=w[k].handle, m=moments[0][k].handle, v=moments[1][k].handle, beta1_power=power1, beta2_power=power2,
                    lr=rate, beta1=tf.constant(o["beta1"], tf.float32), beta2=tf.constant(o["beta2"], tf.float32), epsilon=tf.constant(o["epsilon"], tf.float32), grad=g)  # fmt: skip
            elif momentum:
                tf.raw_ops.ResourceApplyMomentum(
                    var=w[k].handle, accum=moments[0][k].handle, lr=rate, grad=g, momentum=tf.constant(momentum, tf.float32),
                    use_nesterov=o.get("nesterov", False))  # fmt: skip
            else:
                tf.raw_ops.ResourceApplyGradientDescent(var=w[k].handle, alpha=rate, delta=g)

        labels, scalar = tf.TensorSpec([job.batch], tf.int32), tf.TensorSpec([], tf.float32)

        @tf.function(input_signature=[self.images, labels, scalar, scalar], autograph=False)
        def update(images, labels, power1, power2):
            statistics = {}
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch([w[k] for k in trained])
                logits = Layers(tf, laid, w, statistics).logits(images)
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
            gradients = tape.gradient(loss, {k: w[k] for k in trained}, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            for k, g in gradients.items():
                update_one(k, g, power1, power2)
            for k, value in statistics.items():
                w[k].assign(value)
            return loss

        self.update = update.get_concrete_function()

    def make_inference(self, job):
        tf = self.tf
        laid = ChannelsLast(*without_batchnorm(job.network, job.weights))
        self.settings += ", weights as constants, batch normalisation folded into convolutions"

        @tf.function(input_signature=[self.images], autograph=False)
        def probabilities(images):
            # Constants of the graph itself, which its optimizer and oneDNN may prepare once.
            w = {k: tf.constant(v) for k, v in laid.weights.items()}
            return tf.nn.softmax(Layers(tf, laid, w, None).logits(images))

        self.probabilities = probabilities.get_concrete_function()

    def put(self, images, labels):
        return self.tf.constant(channels_last(images)), self.tf.constant(labels)

    def step(self, batch):
        self.steps += 1
        return self.update(*batch, *(self.tf.constant(beta**self.steps, self.tf.float32) for beta in self.betas))

    def wait(self, loss):
        return float(loss)

    def infer(self, batch):
        return self.probabilities(batch[0]).numpy()


if __name__ == "__main__":
    serve("tensorflow", TensorFlow)
