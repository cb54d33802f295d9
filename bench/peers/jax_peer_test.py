"""Tests of jax_peer.py on the CPU; make bench-peers runs them in JAX's environment."""

import dataclasses
import subprocess
import sys
import tempfile
import unittest

import numpy as np

import protocol
from jax_peer import Jax
from network_test import PeerLayers
from protocol_test import job_file


class JaxPeerLayers(PeerLayers, unittest.TestCase):
    peer = Jax

    def weights(self, peer):
        return {k: np.array(v) for part in peer.state[:2] for k, v in part.items()}


class JaxPeer(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def results(self, mode, **changes):
        """The losses of two rounds of a job's batches, or their probabilities."""
        job = protocol.read_job(job_file(self.folder, mode=mode)[0])
        peer = Jax(dataclasses.replace(job, weights={k: v / 100 for k, v in job.weights.items()}, **changes))
        batches = [peer.put(job.images[lo : lo + 3], job.labels[lo : lo + 3]) for lo in (0, 3)]
        if mode == "train":
            return np.array([peer.wait(peer.step(batch)) for batch in batches * 2])
        return np.array([peer.infer(batch) for batch in batches])

    def test_bfloat16_is_near(self):
        # bfloat16 has 8 bits, so a rounding errs by 1 in 256 at most, and sums average that out.
        for mode in "train", "infer":
            with self.subTest(mode):
                rounded, exact = self.results(mode, precision="bf16"), self.results(mode)
                np.testing.assert_allclose(rounded, exact, rtol=3e-2, atol=3e-2)
                self.assertFalse(np.array_equal(rounded, exact))

    def test_trains(self):
        losses = self.results("train")
        self.assertTrue(np.all(losses[2:] < losses[:2]), losses)

    def test_no_gpu(self):
        path, _ = job_file(self.folder, device="cuda:63", precision="tf32")
        done = subprocess.run([sys.executable, "jax_peer.py", path], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, protocol.UNAVAILABLE, done.stderr)
        self.assertIn("finds no GPU", done.stdout)


if __name__ == "__main__":
    unittest.main()
