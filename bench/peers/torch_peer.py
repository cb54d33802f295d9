"""The tutorial's network in PyTorch."""

import os

from protocol import serve


class Torch:
    def __init__(self, job):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # or PyTorch warns of drivers
        import torch
        import torch.nn.functional as F

        torch.set_num_threads(job.threads)
        torch.set_num_interop_threads(1)
        self.torch = torch
        self.version = torch.__version__
        # The fastest step at batch 50 on two threads took 30 ms so, and 39 ms with torch.compile and channels first.
        # torch.compile with channels last has not been measured on an idle machine yet.
        self.settings = "eager, oneDNN, channels last, fused Adam; threads by set_num_threads"
        train = job.mode == "train"
        self.w = w = {}
        for name, value in job.weights.items():
            t = torch.tensor(value)
            if t.dim() == 4:
                t = t.contiguous(memory_format=torch.channels_last)
            w[name] = t.requires_grad_(train)

        def logits(x):
            for conv in "conv1", "conv2":
                x = F.conv2d(x, w[conv + ".weight"], w[conv + ".bias"], padding=2)
                x = F.max_pool2d(F.relu(x), 2)
            x = F.relu(F.linear(x.flatten(1), w["dense1.weight"], w["dense1.bias"]))
            return F.linear(x, w["dense2.weight"], w["dense2.bias"])

        def mean_loss(images, labels):
            return F.cross_entropy(logits(images), labels)

        def probabilities(images):
            return F.softmax(logits(images), dim=1)

        self.mean_loss, self.probabilities = mean_loss, probabilities
        if train:
            o = job.optimizer
            self.epsilon, self.beta2 = o["epsilon"], o["beta2"]
            self.adam = torch.optim.Adam(w.values(), lr=o["learning_rate"], betas=(o["beta1"], o["beta2"]), fused=True)
            self.steps = 0

    def put(self, images, labels):
        images = self.torch.tensor(images).contiguous(memory_format=self.torch.channels_last)
        return images, self.torch.tensor(labels).long()

    def step(self, batch):
        self.steps += 1
        # PyTorch adds epsilon to the corrected second moment's root, sqrt(v)/sqrt(1-beta2^t).
        self.adam.param_groups[0]["eps"] = self.epsilon / (1 - self.beta2**self.steps) ** 0.5
        self.adam.zero_grad(set_to_none=True)
        loss = self.mean_loss(*batch)
        loss.backward()
        self.adam.step()
        return loss

    def wait(self, loss):
        return loss.item()

    def infer(self, batch):
        with self.torch.inference_mode():
            return self.probabilities(batch[0]).numpy()


if __name__ == "__main__":
    serve("torch", Torch)
