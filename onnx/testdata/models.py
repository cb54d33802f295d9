"""Writes ONNX models that other programs made, with images and what ONNX Runtime makes of these.

usage: models.py FOLDER FAMILY...
FAMILY is torchvision, timm, keras, or light: the networks in the package onnx, with random weights.
Of each model, NAME.onnx is written, NAME.images (float32, channels first) and NAME.output. A line of FOLDER/list is
NAME CHANNELS HEIGHT WIDTH.
"""
import pathlib
import sys
import warnings

import numpy
import onnx
import onnxruntime

warnings.filterwarnings("ignore")
folder = pathlib.Path(sys.argv[1])
IMAGES = 50  # those of "light" see 4, because they take one at a time


def run(name, shape, channels_last=False, one_by_one=False):
    """Runs a model on random images, and adds it to the list."""
    random = numpy.random.default_rng(len(name))
    x = random.standard_normal((4 if one_by_one else IMAGES, *shape), numpy.float32)
    x.tofile(folder / (name + ".images"))
    if channels_last:
        x = numpy.ascontiguousarray(x.transpose(0, 2, 3, 1))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(folder / (name + ".onnx")), options, providers=["CPUExecutionProvider"])
    (only,) = session.get_inputs()
    parts = x[:, None] if one_by_one else [x[:1], x[1:]]
    output = numpy.concatenate([session.run(None, {only.name: part})[0] for part in parts])
    output.reshape(len(x), -1).astype(numpy.float32).tofile(folder / (name + ".output"))
    with open(folder / "list", "a") as f:
        print(name, *shape, file=f)


def unsettle(model):
    """Gives batch normalisation statistics and weights that change something."""
    import torch

    for m in model.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            for p, low, high in ((m.weight, 0.5, 1.5), (m.bias, -0.3, 0.3), (m.running_mean, -0.3, 0.3), (m.running_var, 0.5, 1.5)):
                torch.nn.init.uniform_(p, low, high)


def export(name, model, size):
    import torch

    torch.manual_seed(1)
    unsettle(model)
    x = torch.zeros(2, 3, size, size)
    torch.onnx.export(model.eval(), (x,), str(folder / (name + ".onnx")), dynamo=True, verbose=False,
                      dynamic_shapes=({0: torch.export.Dim("batch")},), external_data=name.endswith("18"))
    run(name, (3, size, size))


def torchvision(names):
    import torch
    import torchvision.models

    torch.manual_seed(1)
    for name in names:
        extra = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
        try:
            export(name, getattr(torchvision.models, name)(num_classes=100, **extra), 299 if name == "inception_v3" else 224)
        except Exception as error:
            print(f"{name}: {error}", file=sys.stderr)


def timm(names):
    import timm
    import torch

    torch.manual_seed(1)
    for name in names:
        try:
            export("timm_" + name, timm.create_model(name, pretrained=False, num_classes=100), 224)
        except Exception as error:
            print(f"{name}: {error}", file=sys.stderr)


def keras(names):
    import os

    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    for name in names:
        try:
            model = getattr(keras.applications, name)(weights=None, classes=100, input_shape=(224, 224, 3))
            model(numpy.zeros((1, 224, 224, 3), numpy.float32))
            model.export(str(folder / f"keras_{name}.onnx"), format="onnx", verbose=False)
            run("keras_" + name, (3, 224, 224), channels_last=True)
        except Exception as error:
            print(f"{name}: {error}", file=sys.stderr)


def light():
    """The networks of the package onnx, whose weights are filled with one number each: here they get random ones."""
    data = pathlib.Path(onnx.__file__).parent / "backend/test/data/light"
    random = numpy.random.default_rng(1)
    for path in sorted(data.glob("*.onnx")):
        model = onnx.load(path)
        graph = model.graph
        known = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
        kept, made = [], {}
        users = {}
        for node in graph.node:
            for place, name in enumerate(node.input):
                users.setdefault(name, (node.op_type, place))
        for node in graph.node:
            if node.op_type == "Constant":
                known[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
            if node.op_type != "ConstantOfShape":
                kept.append(node)
                continue
            shape = known[node.input[0]]
            op, place = users.get(node.output[0], ("", 0))
            fan = max(1, numpy.prod(shape[1:])) if len(shape) > 1 else 1
            if len(shape) > 1 and op in ("Conv", "Gemm", "MatMul"):
                values = random.standard_normal(shape) * (2 / fan) ** 0.5
            elif op == "BatchNormalization" and place in (1, 4) or op == "Mul":
                values = random.uniform(0.7, 1.3, shape)
            else:
                values = random.uniform(-0.2, 0.2, shape)
            made[node.output[0]] = values.astype(numpy.float32)
        del graph.node[:]
        graph.node.extend(kept)
        graph.initializer.extend(onnx.numpy_helper.from_array(v, k) for k, v in made.items())
        onnx.save(model, folder / path.name)
        try:
            run(path.stem, (3, 224, 224), one_by_one=True)
        except Exception as error:
            print(f"{path.stem}: {error}", file=sys.stderr)


def operators():
    """The cases of single operators in the package onnx, with one input of two or four dimensions. Outputs are flattened."""
    data = pathlib.Path(onnx.__file__).parent / "backend/test/data"
    for path in sorted(data.glob("pytorch-*/*/model.onnx")):
        model = onnx.load(path)
        graph = model.graph
        known = {t.name for t in graph.initializer}
        inputs = [i for i in graph.input if i.name not in known]
        if len(inputs) != 1 or len(graph.output) != 1 or len(inputs[0].type.tensor_type.shape.dim) not in (2, 4):
            continue
        read = lambda name: onnx.numpy_helper.to_array(onnx.TensorProto.FromString((path.parent / "test_data_set_0" / name).read_bytes()))
        x, y = read("input_0.pb"), read("output_0.pb")
        if y.ndim < 2 or y.shape[0] != x.shape[0] or y[0].size < 2:
            continue
        (output,) = graph.output
        graph.node.append(onnx.helper.make_node("Flatten", [output.name], ["flat"], axis=1))
        output.CopyFrom(onnx.helper.make_tensor_value_info("flat", onnx.TensorProto.FLOAT, [x.shape[0], y[0].size]))
        name = path.parent.name
        onnx.save(model, folder / (name + ".onnx"))
        x.astype(numpy.float32).tofile(folder / (name + ".images"))
        y.reshape(len(y), -1).astype(numpy.float32).tofile(folder / (name + ".output"))
        with open(folder / "list", "a") as f:
            print(name, *(x.shape[1:] if x.ndim == 4 else (x.shape[1], 1, 1)), file=f)


FAMILIES = {
    "operators": operators,
    "torchvision": lambda: torchvision(["resnet18", "mobilenet_v2", "mobilenet_v3_small", "squeezenet1_1", "densenet121", "shufflenet_v2_x1_0",
                                        "efficientnet_b0", "vgg11_bn", "convnext_tiny", "googlenet"]),
    "more": lambda: torchvision(["mnasnet0_5", "regnet_y_400mf", "resnext50_32x4d", "inception_v3"]),
    "timm": lambda: timm(["resnet26d", "repvgg_a0", "ghostnet_050", "dla34", "rexnet_100", "hardcorenas_a"]),
    "keras": lambda: keras(["MobileNetV2", "ResNet50V2", "EfficientNetB0", "DenseNet121"]),
    "light": light,
}
for family in sys.argv[2:]:
    FAMILIES[family]()
