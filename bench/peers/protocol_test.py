"""Tests of protocol.py; make bench-peers runs them in each new environment."""

import json
import math
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np
from safetensors.numpy import save_file

import protocol


# The tutorial's network, with fewer filters and units.
NETWORK = {
    "name": "tutorial", "input": {"channels": 1, "height": 28, "width": 28},
    "layers": [
        {"type": "conv", "filters": 4, "kernel": 5, "padding": "same"}, {"type": "activation", "func": "relu"},
        {"type": "pool", "kernel": 2},
        {"type": "conv", "filters": 64, "kernel": 5, "padding": "same"}, {"type": "activation", "func": "relu"},
        {"type": "pool", "kernel": 2}, {"type": "flatten"},
        {"type": "dense", "units": 6}, {"type": "activation", "func": "relu"}, {"type": "dense", "units": 10},
    ],
}  # fmt: skip


def job_file(folder, **changes):
    """Writes a job of 2 batches of 3 images, and returns its path and its weights."""
    weights = {
        "conv1.weight": (4, 1, 5, 5), "conv1.bias": (4,), "conv2.weight": (64, 4, 5, 5), "conv2.bias": (64,),
        "dense1.weight": (6, 64 * 7 * 7), "dense1.bias": (6,), "dense2.weight": (10, 6), "dense2.bias": (10,),
    }  # fmt: skip
    values = np.random.default_rng(1)
    weights = {k: values.integers(-9, 9, shape).astype(np.float32) for k, shape in weights.items()}
    save_file({**weights, "optimizer.conv1.bias.m": weights["conv1.bias"]}, os.path.join(folder, "w"))
    images = np.arange(7 * 28 * 28).astype(np.uint8).reshape(7, 1, 28, 28)
    save_file({"images": images, "labels": np.arange(7, dtype=np.int32)}, os.path.join(folder, "d"))
    job = {
        "network": NETWORK, "mode": "train", "device": "cpu", "precision": "fp32", "threads": 1, "batch": 3, "check": 2,
        "weights": "w", "data": "d", "scale": 1 / 255,
        "optimizer": {"method": "adam", "learning_rate": 1e-4, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    }  # fmt: skip
    path = os.path.join(folder, "job.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump({**job, **changes}, f)
    return path, weights


def changed(**fields):
    """The network with another first dense layer, so that the weights don't fit."""
    layers = [dict(layer) for layer in NETWORK["layers"]]
    layers[7].update(fields)
    return {**NETWORK, "layers": layers}


class Fake:
    """A peer whose loss is the count of its steps, and whose probabilities are even."""

    def __init__(self):
        self.steps, self.seen = 0, []

    def put(self, images, labels):
        return images, labels

    def step(self, batch):
        self.steps += 1
        self.seen.append(batch[1][0])
        return self.steps

    def wait(self, loss):
        return float(loss)

    def infer(self, batch):
        self.seen.append(batch[1][0])
        return np.full((len(batch[0]), 10), 0.1, np.float32)


def serve_here(path, requests):
    """Runs a fake peer as a process of its own, on a job and requests, and returns the process when it is over."""
    program = """
import protocol, protocol_test
def make(job):
    peer = protocol_test.Fake()
    peer.version, peer.settings, peer.tier = "1", job.mode, job.tier
    return peer
protocol.serve("fake", make)
"""
    return subprocess.run(
        [sys.executable, "-c", program, path], input=requests, capture_output=True, text=True, check=False,
        cwd=os.path.dirname(os.path.abspath(__file__)),
    )  # fmt: skip


class Protocol(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_reads_a_job(self):
        path, weights = job_file(self.folder)
        job = protocol.read_job(path)
        self.assertEqual(job.images.shape, (6, 1, 28, 28))
        self.assertEqual(job.images.dtype, np.float32)
        self.assertEqual(job.images[0, 0, 9, 3], np.float32(255) * np.float32(1 / 255))  # 9*28 + 3 is 255
        self.assertEqual(job.labels.tolist(), [0, 1, 2, 3, 4, 5])
        self.assertEqual(job.weights.keys(), weights.keys())

    def test_refuses_what_peers_cannot_do(self):
        for change in (
            {"network": changed(type="attention")}, {"mode": "sleep"}, {"threads": 0}, {"batch": 0},
            {"check": 3}, {"optimizer": {"method": "lion"}}, {"device": "gpu"}, {"device": "cuda:x"}, {"precision": "tf32"},
            {"device": "cuda", "precision": "fp16"}, {"tier": "avx3"},
            {"network": {**NETWORK, "input": {"channels": 1, "height": 27, "width": 28}}},
        ):  # fmt: skip
            with self.subTest(change), self.assertRaises(ValueError):
                protocol.read_job(job_file(self.folder, **change)[0])
        dropout = {**NETWORK, "layers": [{"type": "dropout", "rate": 0.5}, *NETWORK["layers"]]}
        for change in {"network": dropout}, {"optimizer": {"method": "adam", "clip_norm": 1}}:
            with self.subTest(change), self.assertRaises(protocol.Unavailable):
                protocol.read_job(job_file(self.folder, **change)[0])
            protocol.read_job(job_file(self.folder, mode="infer", **change)[0])

    def test_reads_a_job_of_a_gpu(self):
        for device, number in ("cuda", 0), ("cuda:0", 0), ("cuda:12", 12):
            job = protocol.read_job(job_file(self.folder, device=device, precision="bf16")[0])
            self.assertEqual((job.device, job.precision, job.gpu), (device, "bf16", number))
        self.assertIsNone(protocol.read_job(job_file(self.folder)[0]).gpu)

    def test_trains_and_times_what_it_is_asked(self):
        job, peer, lines = protocol.read_job(job_file(self.folder)[0]), Fake(), []
        protocol.run(job, peer, ["go 5\n", "go 1\n"], lines.append)
        self.assertEqual(lines[:1], [{"loss": [1.0, 2.0]}])
        self.assertEqual([line["images"] for line in lines[1:]], [15, 3])
        for line in lines[1:]:
            self.assertGreater(line["seconds"], 0)
            self.assertGreater(line["peak_rss"], 1 << 20)
        # 2 for the check, 5 and 1 for the repeats: the batches that begin with labels 0 and 3 in turn.
        self.assertEqual(peer.seen, [0, 3] + [0, 3, 0, 3, 0] + [0])

    def test_tells_the_memory_of_a_device(self):
        job, peer, lines = protocol.read_job(job_file(self.folder)[0]), Fake(), []
        peer.device_memory = lambda: 5 << 20
        protocol.run(job, peer, ["go 1\n"], lines.append)
        self.assertEqual(lines[1]["device_memory"], 5 << 20)

    def test_goes_on_with_another_job(self):
        job, peer, lines = protocol.read_job(job_file(self.folder)[0]), Fake(), []
        requests = iter(["go 1\n", "job /a folder/other.json\n", "go 2\n"])
        self.assertEqual(protocol.run(job, peer, requests, lines.append), "/a folder/other.json")
        self.assertEqual(len(lines), 2)
        self.assertIsNone(protocol.run(job, peer, requests, lines.append))
        self.assertEqual([line.get("images") for line in lines[2:]], [None, 6])

    def test_serves_job_after_job(self):
        small, _ = job_file(self.folder)
        folder = os.path.join(self.folder, "other")
        os.mkdir(folder)
        large, _ = job_file(folder, mode="infer", batch=2)
        done = serve_here(small, f"go 1\njob {large}\ngo 1\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([line.get("settings") for line in lines], ["train", None, None, "infer", None, None])
        self.assertEqual([line.get("images") for line in lines], [None, None, 3, None, None, 2])

    def test_refuses_a_gpu_that_it_does_not_know(self):
        done = serve_here(job_file(self.folder, device="cuda", precision="tf32")[0], "")
        self.assertEqual(done.returncode, protocol.UNAVAILABLE)
        self.assertIn("fake computes on the CPU alone", json.loads(done.stdout)["error"])

    def test_infers_without_steps(self):
        job, peer, lines = protocol.read_job(job_file(self.folder, mode="infer")[0]), Fake(), []
        protocol.run(job, peer, ["go 5\n"], lines.append)
        self.assertEqual(peer.steps, 0)
        self.assertEqual(len(peer.seen), 2 + 5)
        for loss in lines[0]["loss"]:
            self.assertAlmostEqual(loss, math.log(10), places=6)

    def test_refuses_other_requests(self):
        for request in "stop", "job", "go", "go 0", "go -1", "go 1 1":
            with self.subTest(request), self.assertRaises(ValueError):
                protocol.run(protocol.read_job(job_file(self.folder)[0]), Fake(), [request], lambda line: None)

    def test_cross_entropy(self):
        p = np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]], np.float32)
        self.assertAlmostEqual(protocol.cross_entropy(p, np.array([0, 1])), math.log(2 * 8) / 2)


if __name__ == "__main__":
    unittest.main()
