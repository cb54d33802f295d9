"""Writes the small models of this folder's models, with images and what ONNX Runtime makes of these.

usage: tiny.py FOLDER
Needs torch, onnxscript, keras, onnx and onnxruntime. The files are as models.py describes them.
"""
import os
import pathlib
import sys
import warnings

os.environ["KERAS_BACKEND"] = "torch"
warnings.filterwarnings("ignore")
import models
import numpy
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

models.folder = pathlib.Path(sys.argv[1])
models.IMAGES = 3


class SqueezeExcite(nn.Module):
    def __init__(self, channels, gate):
        super().__init__()
        self.reduce, self.expand, self.gate = nn.Conv2d(channels, 2, 1), nn.Conv2d(2, channels, 1), gate

    def forward(self, x):
        return x * self.gate(self.expand(nn.functional.relu(self.reduce(x.mean((2, 3), keepdim=True)))))


class Mobile(nn.Module):
    """What mobile networks are made of."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6, momentum=0.2, eps=1e-3), nn.Hardswish())
        self.depthwise = nn.Sequential(nn.Conv2d(6, 6, 5, 1, 2, groups=6, bias=False), nn.BatchNorm2d(6), nn.ReLU6())
        self.excite = SqueezeExcite(6, nn.Hardsigmoid())
        self.project = nn.Conv2d(6, 6, 1)
        self.excite2 = SqueezeExcite(6, nn.Sigmoid())
        self.classifier = nn.Sequential(nn.Linear(6, 8), nn.SiLU(), nn.Dropout(0.2), nn.Linear(8, 4))

    def forward(self, x):
        x = self.stem((x - 0.5) / 0.25)
        x = x + self.project(self.excite(self.depthwise(x)))
        return self.classifier(torch.flatten(nn.functional.adaptive_avg_pool2d(self.excite2(x), 1), 1))


class Shuffle(nn.Module):
    """Channels that are split and shuffled, and pooling in all ways."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.branch = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.LeakyReLU(0.2), nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.ELU(0.5))
        self.grouped = nn.Conv2d(8, 8, 1, groups=2)
        self.last = nn.Linear(16, 5)

    def forward(self, x):
        x = nn.functional.gelu(self.stem(x))
        a, b = x.chunk(2, 1)
        x = torch.cat((a, self.branch(b)), 1)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        x = nn.functional.mish(self.grouped(x))
        y = nn.functional.max_pool2d(x, 3, 2, 1, ceil_mode=True)
        z = nn.functional.avg_pool2d(x, 3, 2, 1)
        x = torch.cat((y[:, :, :4, :4], z[:, :, :4, :4]), 1) if y.shape != z.shape else torch.cat((y, z), 1)
        x = nn.functional.gelu(x, approximate="tanh")
        return nn.functional.log_softmax(self.last(x.mean((2, 3))), 1)


class Plain(nn.Module):
    """Rows and columns in other orders, and an old way to flatten."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, (3, 2), (2, 1), dilation=(1, 2)), nn.BatchNorm1d(4 * 4 * 7)
        self.pixels, self.fc = nn.Linear(4, 4), nn.Linear(4 * 4 * 7, 3)
        self.scale = nn.Parameter(torch.tensor([0.5, 1.5, -1.0, 2.0]).reshape(1, 4, 1, 1))

    def forward(self, x):
        x = torch.tanh(self.conv(x)) * self.scale - 0.25
        x = self.pixels(x.permute(0, 2, 3, 1))  # channels last from here on
        return torch.softmax(self.fc(torch.sigmoid(self.norm(x.reshape(x.size(0), -1)))), 1)


def old():
    """A model of opset 9 by hand: attributes that later became inputs, constants as inputs, an average that counts padding."""
    random = numpy.random.default_rng(3)
    weights = {"w": random.standard_normal((4, 3, 3, 3)), "b": random.standard_normal(4), "d": random.standard_normal((4, 3)),
               "s": random.uniform(0.5, 1, 4), "t": random.standard_normal(4), "m": random.standard_normal(4), "v": random.uniform(0.5, 1, 4)}
    nodes = [
        helper.make_node("Pad", ["x"], ["p"], pads=[0, 0, 1, 2, 0, 0, 0, 1], mode="constant", value=0.0),
        helper.make_node("Conv", ["p", "w", "b"], ["c"], "conv", kernel_shape=[3, 3], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["c", "s", "t", "m", "v"], ["n"], "norm", epsilon=1e-4),
        helper.make_node("Clip", ["n"], ["r"], "clip", min=0.0, max=6.0),
        helper.make_node("AveragePool", ["r"], ["a"], "average", kernel_shape=[2, 2], pads=[1, 0, 0, 1], count_include_pad=1),
        helper.make_node("MaxPool", ["a"], ["q"], "most", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER"),
        helper.make_node("GlobalMaxPool", ["q"], ["g"], "global"),
        helper.make_node("Squeeze", ["g"], ["f"], axes=[2, 3]),
        helper.make_node("MatMul", ["f", "d"], ["o"], "dense"),
        helper.make_node("Softmax", ["o"], ["y"]),
    ]
    value = lambda name, *dims: helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)
    tensors = [numpy_helper.from_array(v.astype(numpy.float32 if k != "d" else numpy.float16), k) for k, v in weights.items()]
    tensors = [t for t in tensors if t.name != "d"] + [numpy_helper.from_array(weights["d"].astype(numpy.float32), "d")]
    inputs = [value("x", "N", 3, 9, 9)] + [value(t.name, *t.dims) for t in tensors]
    graph = helper.make_graph(nodes, "old", inputs, [value("y", "N", 3)], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=3, producer_name="by hand"), models.folder / "old.onnx")
    models.run("old", (3, 9, 9))


def keras():
    import keras
    from keras import layers

    keras.utils.set_random_seed(2)
    model = keras.Sequential([
        keras.Input((9, 8, 3)), layers.Rescaling(1 / 127.5, offset=-1), layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
        layers.BatchNormalization(), layers.DepthwiseConv2D(3, padding="same"), layers.Activation("hard_silu"),
        layers.AveragePooling2D(2), layers.Flatten(), layers.Dense(6, activation="gelu"), layers.BatchNormalization(), layers.Dense(3, activation="softmax"),
    ])
    for w in model.weights:
        w.assign(numpy.random.default_rng(len(w.path)).uniform(0.3, 1.2, w.shape) * (1 if "norm" in w.path else 0.3))
    model(numpy.zeros((1, 9, 8, 3), numpy.float32))
    model.export(str(models.folder / "keras.onnx"), format="onnx", verbose=False)
    models.run("keras", (3, 9, 8), channels_last=True)


def pytorch(name, model, size):
    torch.manual_seed(4)
    models.unsettle(model)
    x = torch.zeros(2, 3, size, size)
    torch.onnx.export(model.eval(), (x,), str(models.folder / (name + ".onnx")), dynamo=True, verbose=False, external_data=False,
                      dynamic_shapes=({0: torch.export.Dim("batch")},))
    strip(models.folder / (name + ".onnx"))
    models.run(name, (3, size, size))


def strip(path):
    """Leaves out what PyTorch writes of the program that exported: its lines, with their files' paths."""
    model = onnx.load(path)
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.save(model, path)


def shared():
    """Values that several operators take, of which only some may become part of a layer, and windows that reach over a Pad."""
    random = numpy.random.default_rng(5)
    weights = {"s": random.uniform(0.5, 1, 3), "t": random.standard_normal(3), "m": random.standard_normal(3), "v": random.uniform(0.5, 1, 3),
               "k": random.standard_normal((3, 1, 1)), "l": random.standard_normal((3, 1, 1)), "d": random.standard_normal((3, 4))}
    nodes = [
        helper.make_node("BatchNormalization", ["x", "s", "t", "m", "v"], ["a"], "norm"),
        helper.make_node("Sum", ["a"], ["a1"]), helper.make_node("Mul", ["a1", "k"], ["b"], "one"),
        helper.make_node("Concat", ["a"], ["a2"], axis=1), helper.make_node("Add", ["a2", "l"], ["c"], "two"),
        helper.make_node("Identity", ["a"], ["a3"]), helper.make_node("Mul", ["a3", "l"], ["e"], "three"), helper.make_node("Add", ["e", "k"], ["f"], "four"),
        helper.make_node("Sum", ["a", "b", "c", "f"], ["z"], "sum"), helper.make_node("Relu", ["z"], ["r"], "relu"),
        helper.make_node("Pad", ["r", "p"], ["q"]),
        helper.make_node("MaxPool", ["q"], ["o"], "most", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        helper.make_node("GlobalAveragePool", ["o"], ["g"], "mean"), helper.make_node("Flatten", ["g"], ["h"]),
        helper.make_node("Gemm", ["h", "d"], ["y"], "dense"),
    ]
    value = lambda name, *dims: helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)
    tensors = [numpy_helper.from_array(v.astype(numpy.float32), k) for k, v in weights.items()]
    tensors.append(numpy_helper.from_array(numpy.array([0, 0, 1, 1, 0, 0, 0, 0]), "p"))
    graph = helper.make_graph(nodes, "shared", [value("x", "N", 3, 8, 8)], [value("y", "N", 4)], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="by hand"), models.folder / "shared.onnx")
    models.run("shared", (3, 8, 8))


def padded():
    """Zeros around images before operators that have no padding of their own, or other padding."""
    random = numpy.random.default_rng(7)
    weights = {"k": random.standard_normal((3, 1, 1)), "w": random.standard_normal((4, 3, 3, 3)), "d": random.standard_normal((10, 4))}
    node = helper.make_node
    nodes = [
        node("Sub", ["x", "k"], ["a"], "sub"), node("Pad", ["a", "p"], ["b"]),
        node("MaxPool", ["b"], ["c"], "most", kernel_shape=[3, 2], strides=[2, 2]), node("GlobalMaxPool", ["c"], ["c1"]),
        node("AveragePool", ["b"], ["e"], "mean", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 0, 1]), node("GlobalMaxPool", ["e"], ["e1"]),
        node("Conv", ["b", "w"], ["f"], "conv", auto_pad="SAME_UPPER"), node("Sigmoid", ["b"], ["g"], "gate"),
        node("Conv", ["g", "w"], ["h"], "conv2", auto_pad="SAME_LOWER"), node("Add", ["f", "h"], ["i"], "add"), node("GlobalAveragePool", ["i"], ["i1"]),
        node("Concat", ["c1", "e1", "i1"], ["j"], axis=1), node("Flatten", ["j"], ["l"]), node("Gemm", ["l", "d"], ["y"], "dense"),
    ]
    value = lambda name, *dims: helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)
    tensors = [numpy_helper.from_array(v.astype(numpy.float32), k) for k, v in weights.items()]
    tensors.append(numpy_helper.from_array(numpy.array([0, 0, 2, 0, 0, 0, 0, 3]), "p"))
    graph = helper.make_graph(nodes, "padded", [value("x", "N", 3, 7, 6)], [value("y", "N", 4)], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="by hand"), models.folder / "padded.onnx")
    models.run("padded", (3, 7, 6))


def rounded():
    """Eight bits by hand: weights that are rounded in the graph along a negative axis, values that are cut off at 0 and 6 in the
    place of a ReLU6, others in that of a ReLU, and rounded probabilities."""
    random = numpy.random.default_rng(8)
    scalar = lambda name, v, t: numpy_helper.from_array(numpy.array(v, t), name)
    tensors = [
        numpy_helper.from_array(random.standard_normal((5, 2, 3, 3)).astype(numpy.float32) * 3, "w"), numpy_helper.from_array(random.uniform(0.02, 0.1, 5).astype(numpy.float32), "ws"),
        numpy_helper.from_array(numpy.zeros(5, numpy.int8), "wz"),
        numpy_helper.from_array(random.integers(-128, 127, (5, 4, 1, 1), numpy.int8).transpose(1, 0, 2, 3).copy(), "v"), scalar("vs", 0.01, numpy.float32), scalar("vz", 3, numpy.int8),
        numpy_helper.from_array(random.standard_normal((4, 3)).astype(numpy.float32) / 8, "d"),
        scalar("six", 6 / 255, numpy.float32), scalar("low", -128, numpy.int8), scalar("wide", 0.05, numpy.float32), scalar("zero", 0, numpy.uint8), scalar("p", 1 / 255, numpy.float32),
    ]
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["w", "ws", "wz"], ["wq"], axis=-4), node("DequantizeLinear", ["wq", "ws", "wz"], ["wf"], axis=-4),
        node("Conv", ["x", "wf"], ["a"], "conv"), node("QuantizeLinear", ["a", "six", "low"], ["b"], "cut"), node("DequantizeLinear", ["b", "six", "low"], ["c"]),
        node("DequantizeLinear", ["v", "vs", "vz"], ["vf"]), node("Conv", ["c", "vf"], ["e"], "conv2"),
        node("QuantizeLinear", ["e", "wide", "zero"], ["f"], "cut2"), node("DequantizeLinear", ["f", "wide", "zero"], ["g"]),
        node("GlobalAveragePool", ["g"], ["h"]), node("Flatten", ["h"], ["i"]), node("Gemm", ["i", "d"], ["j"], "dense"), node("Softmax", ["j"], ["k"]),
        node("QuantizeLinear", ["k", "p", "zero"], ["l"]), node("DequantizeLinear", ["l", "p", "zero"], ["y"]),
    ]
    value = lambda name, *dims: helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)
    graph = helper.make_graph(nodes, "rounded", [value("x", "N", 2, 8, 7)], [value("y", "N", 3)], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="by hand"), models.folder / "rounded.onnx")
    models.run("rounded", (2, 8, 7))


def eight():
    """mobile.onnx as ONNX Runtime's own program makes eight bits of it. It leaves out the ReLUs."""
    from onnxruntime import quantization

    class Images(quantization.CalibrationDataReader):
        def __init__(self):
            self.images = iter([numpy.random.default_rng(6).standard_normal((40, 3, 9, 9), numpy.float32)])

        def get_next(self):
            x = next(self.images, None)
            return None if x is None else {"x": x}

    path = models.folder / "eight.onnx"
    quantization.quantize_static(models.folder / "mobile.onnx", path, Images(), quant_format=quantization.QuantFormat.QDQ, per_channel=True)
    strip(path)
    models.run("eight", (3, 9, 9))


if __name__ == "__main__":
    for name, model, size in (("mobile", Mobile, 9), ("shuffle", Shuffle, 11), ("plain", Plain, 9)):
        torch.manual_seed(4)
        pytorch(name, model(), size)
    eight()
    rounded()
    padded()
    old()
    shared()
    keras()
