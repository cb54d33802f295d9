"""The tutorial's network in PyTorch."""

import os

from protocol import adam_rate, serve


class Torch:
    def __init__(self, job):
        variant = os.environ.get("PEER_VARIANT", "")
        import numpy as np
        import torch
        import torch.nn.functional as F

        torch.set_num_threads(job.threads)
        torch.set_num_interop_threads(1)
        self.torch = torch
        self.version = torch.__version__
        self.settings = "torch.compile"
        self.layout = torch.contiguous_format if "nchw" in variant else torch.channels_last
        self.w = w = {}
        for name, value in job.weights.items():
            t = torch.from_numpy(np.array(value))
            if t.dim() == 4:
                t = t.contiguous(memory_format=self.layout)
            w[name.replace(".", "_")] = t.requires_grad_(job.mode == "train")

        def logits(w, x):
            for conv in "conv1", "conv2":
                x = F.conv2d(x, w[conv + "_weight"], w[conv + "_bias"], padding=2)
                x = F.max_pool2d(F.relu(x), 2)
            x = F.relu(F.linear(x.flatten(1), w["dense1_weight"], w["dense1_bias"]))
            return F.linear(x, w["dense2_weight"], w["dense2_bias"])

        def gradients(images, labels):
            loss = F.cross_entropy(logits(w, images), labels)
            loss.backward()
            return loss

        def probabilities(images):
            return F.softmax(logits(w, images), dim=1)

        self.adam = Adam(list(w.values()), job.optimizer) if job.mode == "train" else None
        self.gradients, self.probabilities = gradients, probabilities

    def put(self, images, labels):
        images = self.torch.from_numpy(images).contiguous(memory_format=self.layout)
        return images, self.torch.from_numpy(labels).long()
