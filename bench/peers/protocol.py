"""The protocol of README.md, for the peers in Python: one module that all share.

A peer calls serve with a class that is made from a Job and has

    version   the framework's version
    settings  how it was set up, in words
    tier      "avx2" if it computes with no more than AVX2, as its job asked; None where nothing was asked or can be done
    put(images, labels)  a batch in the framework's own tensors, from arrays (N, C, H, W) float32 and (N) int32
    step(batch)          one training step; returns its loss, perhaps not yet computed
    wait(loss)           the loss as a float, once it and all updates are done
    infer(batch)         class probabilities as an array (N, classes) in host memory

and, where it can tell,

    device_memory()      the peak of a GPU's memory that it has held, in bytes
"""

import contextlib
import gc
import json
import os
import re
import resource
import sys
import time
from dataclasses import dataclass

import numpy as np
from safetensors.numpy import load_file

from network import Network

UNAVAILABLE = 69  # exit status, EX_UNAVAILABLE of sysexits.h


class Unavailable(Exception):
    """A peer can't take part here, on the device that its job names; the text says why."""


@dataclass(frozen=True)
class Job:
    """What to do: the job file, with the arrays that it names."""

    network: Network
    mode: str
    device: str  # "cpu", "cuda" or "cuda:N"
    precision: str  # "fp32", "tf32" or "bf16"
    threads: int
    tier: str  # "avx2" if it must compute with no more than that, or ""
    batch: int
    check: int
    optimizer: dict
    weights: dict  # name to float32 array, in gputrain's layouts
    images: np.ndarray  # (check * batch, C, H, W) float32
    labels: np.ndarray  # (check * batch) int32
    onnx: str  # the path of the network with its weights as an ONNX model, for inference; "" where there is none

    @property
    def gpu(self):
        """The GPU's number; None on the CPU."""
        return gpu_number(self.device)


def read_job(path):
    """Reads a job file. Raises ValueError for one that is wrong, and Unavailable for one that no peer can do."""
    with open(path, encoding="utf-8") as f:
        j = json.load(f)
    network = Network(j["network"])
    if j["mode"] not in ("train", "infer"):
        raise ValueError(f"mode {j['mode']}: want train or infer")
    optimizer = j["optimizer"]
    if optimizer["method"] not in ("sgd", "adam", "adamw"):
        raise ValueError(f"optimizer {optimizer['method']}: want sgd, adam or adamw")
    if j["mode"] == "train":
        for setting in "schedule", "clip_norm", "factors":
            if optimizer.get(setting):
                raise Unavailable(f"the peers know no {setting} of an optimizer")
        if any(layer.fields.get("rate") for layer in network.layers if layer.kind == "dropout"):
            raise Unavailable(f"{network.name} has dropout, for which each framework draws its own numbers: losses can't be compared")
    check_place(j)
    for field, least in ("threads", 1), ("batch", 1), ("check", 1):
        if j[field] < least:
            raise ValueError(f"{field} is {j[field]}, want {least} or more")
    folder = os.path.dirname(os.path.abspath(path))
    weights = load_file(os.path.join(folder, j["weights"]))
    data = load_file(os.path.join(folder, j["data"]))
    n = j["check"] * j["batch"]
    if len(data["labels"]) < n or len(data["images"]) < n:
        raise ValueError(f"{len(data['labels'])} samples, want {j['check']} batches of {j['batch']}")
    weights = {k: v for k, v in weights.items() if not k.startswith("optimizer.")}
    if weights.keys() != set(network.parameters()):
        raise ValueError(f"parameters that the network lacks, or the file: {sorted(weights.keys() ^ set(network.parameters()))}")
    if data["images"].shape[1:] != network.input:
        raise ValueError(f"images of {data['images'].shape[1:]}, want {network.input}")
    return Job(
        **{k: j[k] for k in ("mode", "device", "precision", "threads", "batch", "check", "optimizer")},
        network=network,
        tier=j.get("tier", ""),
        weights=weights,
        onnx=os.path.join(folder, j["onnx"]) if j.get("onnx") else "",
        images=data["images"][:n].astype(np.float32) * np.float32(j["scale"]),
        labels=data["labels"][:n].astype(np.int32),
    )


def check_place(j):
    """Raises ValueError for a job's device, precision or tier that there is not."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?", j["device"]):
        raise ValueError(f"device {j['device']}: want cpu, cuda or cuda:N")
    if j["precision"] not in (("fp32",) if j["device"] == "cpu" else ("fp32", "tf32", "bf16")):
        raise ValueError(f"precision {j['precision']} on device {j['device']}: want fp32, or on a GPU tf32 or bf16")
    if j.get("tier", "") not in ("", "avx2"):
        raise ValueError(f"tier {j['tier']}: want avx2 or nothing")


def gpu_number(device):
    """The number of the GPU that a device names; None for the CPU."""
    return None if device == "cpu" else int(device.partition(":")[2] or 0)


def channels_last(images):
    """Turns (N, C, H, W) into (N, H, W, C)."""
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))


def cross_entropy(probabilities, labels):
    """The mean over a batch of -log of the label's probability."""
    p = np.asarray(probabilities, np.float64)[np.arange(len(labels)), labels]
    return float(-np.log(p).mean())


def peak_rss():
    """The process's peak resident memory in bytes."""
    try:
        with open("/proc/self/status", encoding="ascii") as f:
            return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmHWM:"))
    except FileNotFoundError:  # not Linux, where getrusage would count the process that started this one too
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def reset_peak_rss():
    """Makes peak_rss count from now on, where that is possible."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as f:
            f.write("5")
    except OSError:  # not Linux: it counts from the process's start
        pass


def run(job, peer, requests, write):
    """Answers requests, lines of text, until they end or ask for another job, whose path it returns; None if they end.
    write takes one object for each line of output."""
    batches = []
    for at in range(0, job.check * job.batch, job.batch):
        images, labels = job.images[at : at + job.batch], job.labels[at : at + job.batch]
        batches.append((peer.put(images, labels), labels))

    def repeat(steps):
        for i in range(steps):
            batch, _ = batches[i % job.check]
            if job.mode == "train":
                loss = peer.step(batch)
            else:
                peer.infer(batch)
        if job.mode == "train":
            peer.wait(loss)

    if job.mode == "train":
        losses = [peer.wait(peer.step(batch)) for batch, _ in batches]
    else:
        losses = [cross_entropy(peer.infer(batch), labels) for batch, labels in batches]
    write({"loss": losses})
    for request in requests:
        word, _, count = request.strip().partition(" ")
        if word == "job" and count:
            return count
        if word != "go" or not count.isdecimal() or int(count) < 1:
            raise ValueError(f"request {request.strip()!r}: want go N or job JOB")
        start = time.perf_counter()
        repeat(int(count))
        seconds = time.perf_counter() - start
        line = {"seconds": seconds, "images": int(count) * job.batch, "peak_rss": peak_rss()}
        if hasattr(peer, "device_memory"):
            line["device_memory"] = peer.device_memory()
        write(line)
    return None


def output():
    """Returns a function that writes an object as a line to standard output. Whatever else a framework prints goes to standard
    error from now on."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return lambda line: print(json.dumps(line), file=lines, flush=True)


@contextlib.contextmanager
def telling(name, write):
    """Writes what goes wrong for the peer called name, and ends the process with the status that says so."""
    try:
        yield
    except ImportError as e:
        write({"error": f"{name} is not installed here ({e}); make bench-peers installs it"})
        sys.exit(UNAVAILABLE)
    except Unavailable as e:
        write({"error": str(e)})
        sys.exit(UNAVAILABLE)
    except Exception as e:
        write({"error": f"{type(e).__name__}: {e}"})
        raise


def serve(name, make, gpu=False):
    """Runs the peer called name on the job that the command line names, and those that requests name after it.
    make(job) imports the framework and returns the peer, so that settings that are read at import can be made first.
    gpu says whether it knows GPUs."""
    write = output()
    with telling(name, write):
        path, requests = sys.argv[1], iter(sys.stdin)
        while path:
            job = read_job(path)
            if job.gpu is not None and not gpu:
                raise Unavailable(f"{name} computes on the CPU alone here, not on a GPU")
            peer = make(job)
            hello = {"peer": name, "version": peer.version, "settings": peer.settings}
            write({**hello, "tier": peer.tier} if peer.tier else hello)
            path = run(job, peer, requests, write)
            job = peer = None
            gc.collect()
            reset_peak_rss()
