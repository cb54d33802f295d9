"""Checks an ONNX model with onnx, runs it in ONNX Runtime, and writes its output as float32.

usage: infer.py MODEL IMAGES OUTPUT CHANNELS HEIGHT WIDTH
IMAGES is float32 in NCHW order.
"""
import sys

import numpy
import onnx
import onnxruntime

model, images, output, *shape = sys.argv[1:]
onnx.checker.check_model(model, full_check=True)
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
x = numpy.fromfile(images, numpy.float32).reshape(-1, *map(int, shape))
(only,) = session.get_inputs()
# One image by itself, then the rest: the batch is of any size.
parts = [session.run(None, {only.name: part})[0] for part in (x[:1], x[1:]) if len(part)]
numpy.concatenate(parts).astype(numpy.float32).tofile(output)
