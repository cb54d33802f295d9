"""Tests of tensorflow_peer.py; make bench-peers runs them in TensorFlow's environment."""

import unittest

from network_test import PeerLayers
from tensorflow_peer import TensorFlow


class TensorFlowPeer(PeerLayers, unittest.TestCase):
    peer = TensorFlow

    def weights(self, peer):
        return {k: v.numpy() for k, v in peer.w.items()}


if __name__ == "__main__":
    unittest.main()
