"""The tutorial's network in TensorFlow."""

import os

from protocol import adam_rate, channels_last, channels_last_weights, serve


class TensorFlow:
    def __init__(self, job):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(job.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self.tf = tf
        self.version = tf.__version__
        self.settings = "tf.function, oneDNN, NHWC, fused Adam (ResourceApplyAdam); intra-op threads as asked, inter-op 1"
        self.optimizer = job.optimizer
        beta1, beta2, epsilon = (tf.constant(job.optimizer[k]) for k in ("beta1", "beta2", "epsilon"))
        self.w = w = {k: tf.Variable(v) for k, v in channels_last_weights(job.weights).items()}
        m = {k: tf.Variable(tf.zeros_like(v)) for k, v in w.items()}
        v = {k: tf.Variable(tf.zeros_like(v)) for k, v in w.items()}
        self.steps = 0

        def conv_pool(x, name):
            x = tf.nn.conv2d(x, w[name + ".weight"], strides=1, padding="SAME")
            x = tf.nn.relu(tf.nn.bias_add(x, w[name + ".bias"]))
            return tf.nn.max_pool2d(x, 2, 2, padding="SAME")

        def logits(x):
            x = conv_pool(conv_pool(x, "conv1"), "conv2")
            x = tf.reshape(x, [-1, w["dense1.weight"].shape[0]])
            x = tf.nn.relu(tf.nn.bias_add(tf.matmul(x, w["dense1.weight"]), w["dense1.bias"]))
            return tf.nn.bias_add(tf.matmul(x, w["dense2.weight"]), w["dense2.bias"])

        images = tf.TensorSpec([job.batch, 28, 28, 1], tf.float32)
        labels = tf.TensorSpec([job.batch], tf.int32)
        scalar = tf.TensorSpec([], tf.float32)

        @tf.function(input_signature=[images, labels, scalar, scalar])
        def update(images, labels, power1, power2):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits(images)))
            for name, g in tape.gradient(loss, w).items():
                tf.raw_ops.ResourceApplyAdam(
                    var=w[name].handle, m=m[name].handle, v=v[name].handle, beta1_power=power1, beta2_power=power2,
                    lr=tf.constant(job.optimizer["learning_rate"]), beta1=beta1, beta2=beta2, epsilon=epsilon, grad=g)
            return loss

        self.update = update.get_concrete_function()
        self.probabilities = tf.function(
            lambda images: tf.nn.softmax(logits(images)), input_signature=[images]
        ).get_concrete_function()

    def put(self, images, labels):
        return self.tf.constant(channels_last(images)), self.tf.constant(labels)

    def step(self, batch):
        self.steps += 1
        powers = (self.tf.constant(self.optimizer[k] ** self.steps, self.tf.float32) for k in ("beta1", "beta2"))
        return self.update(*batch, *powers)

    def wait(self, loss):
        return float(loss)

    def infer(self, batch):
        return self.probabilities(batch[0]).numpy()


if __name__ == "__main__":
    serve("tensorflow", TensorFlow)
