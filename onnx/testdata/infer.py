"""Checks ONNX models with onnx, runs them in ONNX Runtime, and writes their outputs as float32.

usage: infer.py FOLDER
A line of FOLDER/list is NAME CHANNELS HEIGHT WIDTH. Of each, NAME.onnx is the model, NAME.images its input as float32 in
NCHW order, and NAME.output is written.
"""
import pathlib
import sys

import numpy
import onnx
import onnxruntime

folder = pathlib.Path(sys.argv[1])
failed = False
for line in (folder / "list").read_text().splitlines():
    name, *shape = line.split()
    try:
        model = str(folder / (name + ".onnx"))
        onnx.checker.check_model(model, full_check=True)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        x = numpy.fromfile(folder / (name + ".images"), numpy.float32).reshape(-1, *map(int, shape))
        (only,) = session.get_inputs()
        # One image by itself, then the rest: the batch is of any size.
        parts = [session.run(None, {only.name: part})[0] for part in (x[:1], x[1:]) if len(part)]
        numpy.concatenate(parts).astype(numpy.float32).tofile(folder / (name + ".output"))
    except Exception as error:  # of any kind: the others are still told of
        print(f"{name}: {error}", file=sys.stderr)
        failed = True
sys.exit(failed)
