"""Any network in PyTorch, on the CPU or on a GPU."""

import gc
import math
import os
import time

from network import without_batchnorm
from protocol import Unavailable, serve

# The activation functions: of torch.nn.functional, the input and the layer's JSON.
FUNCTIONS = {
    "relu": lambda F, x, layer: F.relu(x),
    "leaky_relu": lambda F, x, layer: F.leaky_relu(x, layer.get("slope", 0.01)),
    "tanh": lambda F, x, layer: x.tanh(),
    "sigmoid": lambda F, x, layer: x.sigmoid(),
    "gelu": lambda F, x, layer: F.gelu(x),
    "gelu_tanh": lambda F, x, layer: F.gelu(x, approximate="tanh"),
    "silu": lambda F, x, layer: F.silu(x),
    "relu6": lambda F, x, layer: F.relu6(x),
    "hard_swish": lambda F, x, layer: F.hardswish(x),
    "hard_sigmoid": lambda F, x, layer: F.hardsigmoid(x),
    "elu": lambda F, x, layer: F.elu(x, layer.get("alpha", 1)),
    "mish": lambda F, x, layer: F.mish(x),
}


class Layers:
    """Computes layers, each kind by the method of its name. Images are (N, C, H, W) in any memory format, vectors (N, values).
    w has the weights; a training step moves the running statistics in it."""

    def __init__(self, torch, network, w, training):
        self.torch, self.F, self.network, self.w, self.training = torch, torch.nn.functional, network, w, training

    def logits(self, images):
        return self.network.evaluate(images, self.layer).flatten(1)

    def layer(self, layer, inputs):
        if layer.kind in ("add", "concat", "multiply") and not layer.flat:
            inputs = [x[:, :, None, None] if flat else x for x, flat in zip(inputs, layer.flats)]
        return getattr(self, layer.kind)(layer, *inputs)

    def parameter(self, layer, role):
        return self.w.get(f"{layer.name}.{role}")

    def padded(self, at, x, fill):
        """The input, and the padding that is left for the operator: it knows the same on both sides alone, and pooling no
        more than half a window."""
        (top, bottom), (left, right) = at.padding
        if top == bottom and left == right and 2 * top <= at.kernel[0] and 2 * left <= at.kernel[1]:
            return x, (top, left)
        return self.F.pad(x, (left, right, top, bottom), value=fill), (0, 0)

    def conv(self, layer, x):
        at = layer.window
        x, padding = self.padded(at, x, 0.0)
        return self.F.conv2d(x, self.parameter(layer, "weight"), self.parameter(layer, "bias"), at.stride, padding, at.dilation, layer.groups)

    def pool(self, layer, x):
        at, mode, F = layer.window, layer.fields.get("mode", "max"), self.F
        if mode == "mean" and not at.padded and at.kernel == layer.inputs[0][1:]:
            return x.mean((2, 3), keepdim=True)
        if mode == "max":
            x, padding = self.padded(at, x, -math.inf)
            return F.max_pool2d(x, at.kernel, at.stride, padding)
        size = x.shape[2:]
        x, padding = self.padded(at, x if mode == "mean" else x * x, 0.0)
        if mode == "l2":
            y = F.avg_pool2d(x, at.kernel, at.stride, padding, divisor_override=1)
            return self.torch.where(y > 0, self.torch.where(y > 0, y, 1).sqrt(), 0)  # whose gradient is 0 where it is 0
        y = F.avg_pool2d(x, at.kernel, at.stride, padding, count_include_pad=False)
        if at.padded and padding == (0, 0):
            inside, _ = self.padded(at, x.new_ones(1, 1, *size), 0.0)
            y = y / F.avg_pool2d(inside, at.kernel, at.stride)
        return y

    def activation(self, layer, x):
        return FUNCTIONS[layer.fields["func"]](self.F, x, layer.fields)

    def dropout(self, layer, x):
        return x  # of rate 0, or in evaluation

    def batchnorm(self, layer, x):
        weight, bias, mean, var = (self.parameter(layer, role) for role in layer.roles)
        fields, training = layer.fields, self.training and not layer.settled
        return self.F.batch_norm(x, mean, var, weight, bias, training, fields.get("momentum", 0.1), fields.get("epsilon") or 1e-5)

    def flatten(self, layer, x):
        return x.flatten(1)

    def dense(self, layer, x):
        return self.F.linear(x.flatten(1), self.parameter(layer, "weight"), self.parameter(layer, "bias"))

    def add(self, layer, *inputs):
        return sum(inputs[1:], inputs[0])

    def concat(self, layer, *inputs):
        return self.torch.cat(inputs, 1)

    def multiply(self, layer, x, by):
        return x * by

    def scale(self, layer, x):
        return x * layer.fields["factor"]


class Network:
    """The network on a device, its images and filters in a layout (a memory format), with what trains it."""

    def __init__(self, torch, job, device, layout):
        self.torch, self.job, self.device, self.layout = torch, job, device, layout
        train = job.mode == "train"
        network, weights = (job.network, job.weights) if train else without_batchnorm(job.network, job.weights)
        trained = set(network.trained()) if train else ()
        self.w = {name: self.place(value).requires_grad_(name in trained) for name, value in weights.items()}
        self.trained = [self.w[name] for name in weights if name in trained]
        self.layers = Layers(torch, network, self.w, train)
        if train:
            # On a GPU a captured step is the same each time, so epsilon stays as it is, as PyTorch's users have it: over 20 steps
            # of 50 images that moves losses by 3e-4, within what peers may differ by.
            self.epsilon_changes = device.type == "cpu" and job.optimizer["method"] != "sgd"
            self.optimizer = optimizer(torch, job, self.w, capturable=device.type != "cpu")
            self.steps = 0
        self.work = self.step if train else self.infer

    def place(self, array):
        """An array as a tensor, those of four dimensions in the network's layout."""
        t = self.torch.tensor(array, device=self.device)
        if t.dim() < 4:
            return t
        # contiguous() would leave one channel's strides as they are, which name channels first.
        return self.torch.empty_like(t, memory_format=self.layout).copy_(t)

    def batch(self, images, labels):
        """What work takes: the images, and in training their labels."""
        images = (self.place(images),)
        return (*images, self.place(labels).long()) if self.job.mode == "train" else images

    def arithmetic(self):
        """The context that computes in the job's precision; the weights themselves are float32."""
        bf16 = self.job.precision == "bf16"
        return self.torch.autocast(self.device.type, self.torch.bfloat16, enabled=bf16, cache_enabled=False)

    def step(self, images, labels):
        """A training step; returns its loss."""
        if self.epsilon_changes:
            self.steps += 1
            # PyTorch adds epsilon to the corrected second moment's root, sqrt(v)/sqrt(1-beta2^t).
            o = self.job.optimizer
            for group in self.optimizer.param_groups:
                group["eps"] = o["epsilon"] / (1 - o["beta2"] ** self.steps) ** 0.5
        with self.arithmetic():
            loss = self.torch.nn.functional.cross_entropy(self.layers.logits(images), labels)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def infer(self, images):
        """Class probabilities."""
        with self.torch.inference_mode(), self.arithmetic():
            return self.torch.nn.functional.softmax(self.layers.logits(images).float(), dim=1)

    def settle(self, *batch):
        """Gives each weight the strides of its gradient, which fused Adam wants on a GPU: where there is one channel, strides
        that name the same order of memory may differ."""
        if self.job.mode != "train":
            return
        images, labels = batch
        with self.arithmetic():
            loss = self.torch.nn.functional.cross_entropy(self.layers.logits(images), labels)
        loss.backward()
        for w in self.trained:
            if w.stride() != w.grad.stride():
                w.data = self.torch.empty_strided(w.shape, w.grad.stride(), device=self.device).copy_(w.data)
            w.grad = None

    def restart(self):
        """Puts weights and moments back to what they were at first, where they are."""
        if self.job.mode != "train":
            return
        self.steps = 0
        with self.torch.no_grad():
            for name, value in self.job.weights.items():
                self.w[name].copy_(self.torch.tensor(value))
            for state in self.optimizer.state.values():
                for t in state.values():
                    if t is not None:
                        t.zero_()


def optimizer(torch, job, w, capturable):
    """The job's optimizer of weights, with weight decay for those that have it."""
    o, trained, decayed = job.optimizer, job.network.trained(), set(job.network.decayed())
    groups = [{"params": [w[k] for k in trained if (k in decayed) == decays], "weight_decay": o.get("weight_decay", 0) if decays else 0} for decays in (True, False)]
    groups = [group for group in groups if group["params"]]
    if o["method"] == "sgd":
        return torch.optim.SGD(groups, lr=o["learning_rate"], momentum=o.get("momentum", 0), nesterov=o.get("nesterov", False), fused=True)
    make = torch.optim.Adam if o["method"] == "adam" else torch.optim.AdamW
    return make(groups, lr=o["learning_rate"], betas=(o["beta1"], o["beta2"]), eps=o["epsilon"], fused=True, capturable=capturable)


def particular(job):
    """Words on what is particular to a job's mode."""
    if job.mode == "infer":
        return "batch normalisation folded into convolutions"
    return "fused " + {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}[job.optimizer["method"]]


def captured(torch, network, example):
    """Captures a network's work as one CUDA graph. Returns a function of tensors like example's, which it copies to where the
    graph reads them; what it returns is overwritten by its next call. Capturing does the work some times."""
    inputs = [t.clone() for t in example]
    # All on one stream: autograd and cuBLAS remember on which they began, and capturing fails where that is another one.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        network.settle(*inputs)
        for _ in range(3):  # cuDNN measures its algorithms, Adam makes its moments
            network.work(*inputs)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        output = network.work(*inputs)

    def run(*batch):
        for to, t in zip(inputs, batch):
            to.copy_(t)
        graph.replay()
        return output

    return run


def seconds(torch, run, example):
    """The least time of run over some repeats."""
    least = math.inf
    for _ in range(4):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(20):
            run(*example)
        torch.cuda.synchronize()
        least = min(least, time.perf_counter() - start)
    return least


def fastest(torch, job, device):
    """Returns the network in that layout of two in which its work takes less time, what does the work, and words on both."""
    best, failed = (math.inf, None), None
    for name, layout in ("channels last", torch.channels_last), ("channels first", torch.contiguous_format):
        try:
            took, *found, how = prepared(torch, job, device, layout)
        except RuntimeError as e:
            failed = e
            continue
        if took < best[0]:
            best = took, (*found, f"{how}, {name}")
    if best[1] is None:
        raise failed
    network, run, how = best[1]
    return network, run, how + (" (the faster of two layouts)" if failed is None else f" (another layout failed: {failed})")


def prepared(torch, job, device, layout):
    """Prepares the network in a layout. Returns the time that its work takes, the network, what does its work, and words on
    that."""
    network = Network(torch, job, device, layout)
    example = network.batch(job.images[: job.batch], job.labels[: job.batch])
    how = "eager kernels in one CUDA graph"
    try:
        run = captured(torch, network, example)
    except RuntimeError as e:
        how = "eager, since a CUDA graph failed (" + str(e).partition("\n")[0] + ")"
        network = Network(torch, job, device, layout)
        network.settle(*example)
        run = network.work
        run(*example)  # as a warm-up
    took = seconds(torch, run, example)
    network.restart()
    return took, network, run, how


class Torch:
    def __init__(self, job):
        self.tier = None
        if job.gpu is None:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # or PyTorch warns of drivers
            if job.tier == "avx2":  # of PyTorch's own kernels, of oneDNN and of MKL
                os.environ.update({"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"})
                self.tier = job.tier
        import torch

        self.torch, self.version = torch, torch.__version__
        if job.gpu is None:
            torch.set_num_threads(job.threads)
            if torch.get_num_interop_threads() != 1:  # it may be set once
                torch.set_num_interop_threads(1)
            # The fastest step at batch 50 on two threads took 30 ms so, and 39 ms with torch.compile and channels first.
            # torch.compile with channels last has not been measured on an idle machine yet.
            self.network = Network(torch, job, torch.device("cpu"), torch.channels_last)
            self.run = self.network.work
            self.settings = f"eager, oneDNN, channels last, {particular(job)}; threads by set_num_threads"
            return
        if job.gpu >= (count := torch.cuda.device_count()):
            raise Unavailable(f"PyTorch {torch.__version__} finds {count or 'no'} GPU here, none of number {job.gpu}")
        torch.cuda.set_device(job.gpu)
        # In bf16 this is for what autocast leaves in float32.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = job.precision != "fp32"
        torch.backends.cudnn.benchmark = True
        self.network, self.run, how = fastest(torch, job, torch.device("cuda", job.gpu))
        gc.collect()
        torch.cuda.empty_cache()  # of what the other layout took
        torch.cuda.reset_peak_memory_stats()
        self.device_memory = torch.cuda.max_memory_reserved
        arithmetic = {"fp32": "float32", "tf32": "TF32", "bf16": "bfloat16 by autocast"}[job.precision]
        self.settings = (
            f"{how}, {particular(job)}, {arithmetic}, cudnn.benchmark; batches are in the GPU's memory; "
            f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
        )

    def put(self, images, labels):
        return self.network.batch(images, labels)

    def step(self, batch):
        return self.run(*batch)

    def wait(self, loss):
        return loss.item()

    def infer(self, batch):
        return self.run(*batch).cpu().numpy()


if __name__ == "__main__":
    serve("torch", Torch, gpu=True)
