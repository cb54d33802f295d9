"""Tests of torch_peer.py on the CPU; make bench-peers runs them in PyTorch's environment."""

import contextlib
import dataclasses
import tempfile
import unittest
from unittest import mock

import numpy as np
import torch

import network_test
import protocol
import torch_peer
from network import Network
from network_test import OPTIMIZERS, PeerLayers
from protocol_test import job_file


class FakeGraph:
    """Stands for torch.cuda.CUDAGraph where there is no GPU: what runs while it captures is run again at each replay, on
    the same inputs and into the same output."""

    capturing = None

    def __init__(self):
        self.replays = 0

    def replay(self):
        self.replays += 1
        self.output.copy_(self.work(*self.inputs))


@contextlib.contextmanager
def fake_graph(graph, stream):
    FakeGraph.capturing = graph
    yield
    FakeGraph.capturing = None


@contextlib.contextmanager
def fake_gpu(graph=fake_graph):
    """Puts fakes in place of what torch_peer uses of torch.cuda."""

    def tell(work):
        def told(network, *inputs):
            output = work(network, *inputs)
            if FakeGraph.capturing:
                g = FakeGraph.capturing
                g.work, g.inputs, g.output = lambda *x: work(network, *x), inputs, output.clone()
                return g.output
            return output

        return told

    with contextlib.ExitStack() as stack:
        for name, fake in {
            "Stream": mock.Mock, "current_stream": mock.Mock, "stream": contextlib.nullcontext, "synchronize": mock.Mock(),
            "CUDAGraph": FakeGraph, "graph": graph,
        }.items():  # fmt: skip
            stack.enter_context(mock.patch.object(torch.cuda, name, fake))
        for name in "step", "infer":
            stack.enter_context(mock.patch.object(torch_peer.Network, name, tell(getattr(torch_peer.Network, name))))
        yield


class TorchPeerLayers(PeerLayers, unittest.TestCase):
    peer = torch_peer.Torch

    def weights(self, peer):
        return {k: v.detach().numpy().copy() for k, v in peer.network.w.items()}

    def laid(self, network, weights):
        return weights


class TorchPeer(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def job(self, mode, **changes):
        """A job whose weights are small enough for losses that mean something."""
        job = protocol.read_job(job_file(self.folder, mode=mode)[0])
        return dataclasses.replace(job, weights={k: v / 100 for k, v in job.weights.items()}, **changes)

    def losses(self, job, network, run):
        """The losses of two rounds of the job's batches, and of the first weights afterwards."""
        out = []
        for i in (0, 1, 0, 1):
            lo = i * job.batch
            out.append(run(*network.batch(job.images[lo : lo + job.batch], job.labels[lo : lo + job.batch])).clone().numpy())
        return np.array(out)

    def eager(self, job):
        network = torch_peer.Network(torch, job, torch.device("cpu"), torch.contiguous_format)
        return self.losses(job, network, network.work)

    def test_a_graph_starts_at_the_first_weights(self):
        # Both layouts sum in orders of their own, in float32.
        for mode in "train", "infer":
            job = self.job(mode)
            with fake_gpu(), self.subTest(mode):
                network, run, how = torch_peer.fastest(torch, job, torch.device("cpu"))
                self.assertIn("in one CUDA graph, channels", how)
                np.testing.assert_allclose(self.losses(job, network, run), self.eager(job), rtol=1e-5, atol=1e-6)

    def test_a_graph_starts_at_the_first_statistics_and_moments(self):
        network = Network({"name": "tiny", "input": {"channels": 2, "height": 3, "width": 2}, "layers": [
            {"type": "conv", "filters": 3, "kernel": 2}, {"type": "batchnorm"}, {"type": "flatten"}, {"type": "dense", "units": 3}]})  # fmt: skip
        at = network_test.with_weights(network, 10)
        for o in OPTIMIZERS:
            job = network_test.job("train", *at, optimizer=o)
            with fake_gpu(), self.subTest(o):
                network, run, _ = torch_peer.fastest(torch, job, torch.device("cpu"))
                for name, value in job.weights.items():
                    np.testing.assert_array_equal(network.w[name].detach(), value, name)
                # Both layouts sum in orders of their own, in float32.
                np.testing.assert_allclose(self.losses(job, network, run), self.eager(job), rtol=1e-5, atol=1e-5)

    def test_eager_where_a_graph_fails(self):
        @contextlib.contextmanager
        def failing(graph, stream):
            yield
            raise RuntimeError("no graph today\nand more")

        job = self.job("train")
        with fake_gpu(graph=failing):
            network, run, how = torch_peer.fastest(torch, job, torch.device("cpu"))
            self.assertIn("eager, since a CUDA graph failed (no graph today)", how)
            np.testing.assert_allclose(self.losses(job, network, run), self.eager(job), rtol=1e-5, atol=1e-6)

    def test_layouts(self):
        job = self.job("train")
        for layout, strides in (torch.channels_last, (784, 1, 28, 1)), (torch.contiguous_format, (784, 784, 28, 1)):
            network = torch_peer.Network(torch, job, torch.device("cpu"), layout)
            self.assertEqual(network.batch(job.images, job.labels)[0].stride(), strides)
            self.assertEqual(network.w["conv2.weight"].is_contiguous(memory_format=layout), True)

    def test_weights_have_the_strides_of_their_gradients(self):
        job = self.job("train")
        for layout in torch.channels_last, torch.contiguous_format:
            network = torch_peer.Network(torch, job, torch.device("cpu"), layout)
            w = network.w["conv1.weight"]  # of one channel, whose stride means nothing
            values, own, other = w.detach().clone(), w.stride(), (25, 7, *w.stride()[2:])
            w.data = w.data.as_strided(w.shape, other)
            batch = network.batch(job.images, job.labels)
            network.settle(*batch)
            self.assertEqual(w.stride(), own)
            self.assertTrue(torch.equal(w, values))
            self.assertIsNone(w.grad)
            network.layers.logits(batch[0]).sum().backward()
            for name, w in network.w.items():
                self.assertEqual(w.stride(), w.grad.stride(), name)

    def test_one_layout_suffices(self):
        real, layouts = torch_peer.Network.__init__, []

        def only_first(network, torch, job, device, layout):
            layouts.append(layout)
            if layout is torch.channels_last:
                raise RuntimeError("not today")
            real(network, torch, job, device, layout)

        with fake_gpu(), mock.patch.object(torch_peer.Network, "__init__", only_first):
            how = torch_peer.fastest(torch, self.job("infer"), torch.device("cpu"))[2]
            self.assertIn("channels first (another layout failed: not today)", how)
        self.assertEqual(set(layouts), {torch.channels_last, torch.contiguous_format})
        with mock.patch.object(torch_peer.Network, "__init__", mock.Mock(side_effect=RuntimeError("never"))):
            with self.assertRaisesRegex(RuntimeError, "never"):
                torch_peer.fastest(torch, self.job("infer"), torch.device("cpu"))

    def test_bfloat16_is_near(self):
        # bfloat16 has 8 bits, so a rounding errs by 1 in 256 at most, and sums average that out.
        for mode in "train", "infer":
            with self.subTest(mode):
                rounded, exact = self.eager(self.job(mode, precision="bf16")), self.eager(self.job(mode))
                np.testing.assert_allclose(rounded, exact, rtol=3e-2, atol=3e-2)
                self.assertFalse(np.array_equal(rounded, exact))

    def test_no_gpu(self):
        if torch.cuda.device_count() > 63:
            self.skipTest("there is a GPU 63")
        with self.assertRaises(protocol.Unavailable):
            torch_peer.Torch(self.job("train", device="cuda:63", precision="tf32"))


if __name__ == "__main__":
    unittest.main()
