"""Trains a network by a recipe of gputrain in PyTorch, from the first step to the last evaluation.

usage: torch_recipe.py JOB        (README.md describes the job and what is written)

The recipe means what docs/training.md and the comments in package net say. Shuffles, augmentation and dropout are drawn by
PyTorch, so no two runs of the two programs see the same numbers. All else is the same arithmetic. What this program doesn't
know it refuses by name.
"""

import fnmatch
import json
import math
import os
import sys
import time
from dataclasses import dataclass

from safetensors.numpy import load_file

from network import Network
from protocol import Unavailable, check_place, gpu_number, output, telling
from torch_peer import Layers

# The settings that this program knows. Another one is refused unless it is 0, empty or false.
RECIPE = (
    "name", "epochs", "batch", "accumulate", "optimizer", "warmup_epochs", "step_epochs", "seed", "evaluate_every", "watch", "loss",
    "drop_last", "average", "lookahead", "augment", "views",
)  # fmt: skip
RULE = ("method", "learning_rate", "momentum", "nesterov", "beta1", "beta2", "epsilon", "iterations", "rescale", "weight_decay")
OPTIMIZER = (*RULE, "clip_norm", "schedule", "groups")
GROUP = (*RULE, "params", "factor", "epochs")
SCHEDULE = ("method", "factor", "final", "start", "peak")
LOSS = ("label_smoothing", "class_weights")
LOOKAHEAD = ("every", "start", "final", "power")
AUGMENT = (
    "name", "crop", "resized_crop", "rotate", "scale", "shear", "translate", "flip", "border", "brightness", "contrast", "saturation",
    "erase",
)  # fmt: skip
METHODS = ("sgd", "adam", "adamw", "lion", "muon")
SCHEDULES = ("", "constant", "step", "cosine", "one_cycle", "linear", "exponential")

NEWTON_SCHULZ = 3.4445, -4.7750, 2.0315
MUON_LEAST = 1e-7  # is added to the norms that Muon divides by
LUMA = 0.299, 0.587, 0.114

EVALUATED = 1000  # images at a time


def refuse(what, fields, known):
    """Raises Unavailable for a setting that isn't known."""
    for name, value in fields.items():
        if value and name not in known:
            raise Unavailable(f"the recipe in PyTorch knows no {name} of {what}")


def choose(what, value, known):
    """Raises Unavailable for a value that isn't known."""
    if value not in known:
        raise Unavailable(f"the recipe in PyTorch knows no {what} {value!r}")


def check(recipe):
    """Raises Unavailable for a recipe with what isn't known here."""
    optimizer = recipe["optimizer"]
    refuse("a recipe", recipe, RECIPE)
    refuse("an optimizer", optimizer, OPTIMIZER)
    choose("optimizer", optimizer["method"], METHODS)
    schedule = optimizer.get("schedule", {})
    refuse("a schedule", schedule, SCHEDULE)
    choose("schedule", schedule.get("method", ""), SCHEDULES)
    for group in optimizer.get("groups", ()):
        refuse("a group of parameters", group, GROUP)
        choose("optimizer", group.get("method", "sgd"), METHODS)
    augment = recipe.get("augment", {})
    refuse("a loss", recipe.get("loss", {}), LOSS)
    refuse("lookahead", recipe.get("lookahead", {}), LOOKAHEAD)
    refuse("augmentation", augment, AUGMENT)
    choose("flip", augment.get("flip", ""), ("", "random", "alternate"))
    choose("border", augment.get("border", ""), ("", "zeros", "reflect"))
    choose("views", recipe.get("views", ""), VIEWS)


@dataclass(frozen=True)
class Job:
    """What to do: the job file, with the arrays that it names."""

    network: Network
    recipe: dict
    device: str
    precision: str
    threads: int
    tier: str
    weights: dict  # name to float32 array
    train: tuple  # images uint8 (samples, channels, rows, columns) and labels int32
    test: tuple
    scale: float  # a byte b stands for b * scale


def read_job(path):
    """Reads a job file. Raises ValueError for one that is wrong, and Unavailable for one that can't be done here."""
    with open(path, encoding="utf-8") as f:
        j = json.load(f)
    check_place(j)
    check(j["recipe"])
    network, folder = Network(j["network"]), os.path.dirname(os.path.abspath(path))
    weights = {k: v for k, v in load_file(os.path.join(folder, j["weights"])).items() if not k.startswith("optimizer.")}
    if weights.keys() != set(network.parameters()):
        raise ValueError(f"parameters that the network lacks, or the file: {sorted(weights.keys() ^ set(network.parameters()))}")
    parts = {}
    for part in "train", "test":
        data = load_file(os.path.join(folder, j[part]))
        parts[part] = data["images"], data["labels"]
        if data["images"].shape != (len(data["labels"]), *network.input) or len(data["labels"]) < 1:
            raise ValueError(f"{part}: images of {data['images'].shape} with {len(data['labels'])} labels, want {network.input} each")
    return Job(network, j["recipe"], j["device"], j["precision"], j["threads"], j.get("tier", ""), weights, **parts, scale=j["scale"])


# Lengths and rates.


def steps_per_epoch(recipe, samples):
    """The updates of an epoch."""
    update = recipe["batch"] * max(1, recipe.get("accumulate", 0))
    whole = samples // update
    return whole if recipe.get("drop_last") and whole else math.ceil(samples / update)


def rounded(x):
    """The nearest whole number; halves go up."""
    return math.floor(x + 0.5)


class Schedule:
    """The factor of all learning rates, by the step from 0."""

    def __init__(self, recipe, per_epoch):
        s = recipe["optimizer"].get("schedule", {})
        self.method = s.get("method", "")
        self.factor, self.start, self.peak, self.final = (s.get(k, 0) for k in ("factor", "start", "peak", "final"))
        self.warmup = rounded(recipe.get("warmup_epochs", 0) * per_epoch)
        self.every = max(1, rounded(recipe.get("step_epochs", 0) * per_epoch))
        self.length = recipe["epochs"] * per_epoch - self.warmup  # after the warm-up

    def __call__(self, step):
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1) * self(self.warmup)
        at = step - self.warmup
        if self.method == "step":
            return self.factor ** (at // self.every)
        share = min(at / self.length, 1)
        if self.method == "cosine":
            return self.final + (1 - self.final) * (1 + math.cos(math.pi * share)) / 2
        if self.method == "exponential":
            return self.start * (self.final / self.start) ** share
        if self.method in ("one_cycle", "linear"):
            bend = (lambda x: x) if self.method == "linear" else (lambda x: (1 - math.cos(math.pi * x)) / 2)
            if share < self.peak:
                return self.start + (1 - self.start) * bend(share / self.peak)
            if self.peak >= 1:
                return 1
            return 1 + (self.final - 1) * bend((share - self.peak) / (1 - self.peak))
        return 1


# Optimizers.


def matches(pattern, network, name):
    """Whether a group's pattern matches a parameter."""
    layer = {f"{layer.name}.{role}": (layer, role) for layer in network.layers for role in layer.roles}
    of, role = layer[name]
    if pattern == "@hidden":  # weights of convolutions and dense layers, except the last such layer's
        matrices = [n for n, (layer, role) in layer.items() if layer.kind in ("conv", "dense") and role == "weight"]
        return name in matrices and layer[matrices[-1]][0].name != of.name
    pattern = pattern.replace("[^", "[!")
    return any(fnmatch.fnmatchcase(text, pattern) for text in (name, f"{of.kind}.{role}"))


class Rule:
    """How one parameter is updated."""

    def __init__(self, torch, job, name, w, per_epoch):
        self.torch, self.w = torch, w
        optimizer = job.recipe["optimizer"]
        group = next((g for g in optimizer.get("groups", ()) if matches(g["params"], job.network, name)), None)
        fields, rate, own = optimizer, optimizer.get("learning_rate", 0), False
        if group is not None and group.get("method"):
            fields, rate, own = group, group.get("learning_rate", 0), True
        elif group is not None:
            rate *= group.get("factor", 0)
        self.method, self.rate = fields["method"], rate
        self.momentum, self.beta1, self.beta2, self.epsilon = (fields.get(k, 0) for k in ("momentum", "beta1", "beta2", "epsilon"))
        self.nesterov, self.iterations, self.rescale = fields.get("nesterov"), fields.get("iterations"), fields.get("rescale")
        self.decay = fields.get("weight_decay", 0) if own or name in job.network.decayed() else 0
        self.steps = math.inf  # from which on nothing is learned
        if group is not None and group.get("epochs"):
            self.steps = max(1, rounded(group["epochs"] * per_epoch))
        self.moments = [torch.zeros_like(w, requires_grad=False) for _ in range(self.count())]

    def count(self):
        """How many moments the parameter has."""
        if self.method in ("sgd", "muon"):
            return 1 if self.momentum else 0
        return 1 if self.method == "lion" else 2

    def rates(self, step, factor):
        """What an update is multiplied by, and by how much the weight decays first."""
        rate = self.rate * factor if step < self.steps else 0
        decay = 0 if self.method in ("sgd", "adam") else rate * self.decay
        if self.method in ("adam", "adamw"):
            rate *= math.sqrt(1 - self.beta2 ** (step + 1)) / (1 - self.beta1 ** (step + 1))
        return rate, decay

    def update(self, g, rate, decay):
        """Updates the parameter in place; g is its gradient, rate and decay are those of rates."""
        w = self.w
        if self.method in ("sgd", "adam") and self.decay:
            g = g + self.decay * w
        if self.method == "muon":
            rows = w.shape[0]
            change = orthogonal(self.follow(g).reshape(rows, -1), self.iterations).reshape(w.shape)
            if self.rescale:
                w.mul_(math.sqrt(rows) / (w.norm() + MUON_LEAST))
            else:
                change = change * math.sqrt(max(1, rows * rows / w.numel()))
        elif self.method == "sgd":
            change = self.follow(g)
        elif self.method == "lion":
            (m,) = self.moments
            change = (self.beta1 * m + (1 - self.beta1) * g).sign()
            m.lerp_(g, 1 - self.beta2)
        else:
            m, v = self.moments
            m.lerp_(g, 1 - self.beta1)
            v.mul_(self.beta2).addcmul_(g, g, value=1 - self.beta2)
            change = m / (v.sqrt() + self.epsilon)
        if self.method not in ("sgd", "adam") and self.decay:
            w.mul_(1 - decay)
        w.sub_(rate * change)

    def follow(self, g):
        """The gradient with momentum."""
        if not self.momentum:
            return g
        (v,) = self.moments
        v.mul_(self.momentum).add_(g)
        return g + self.momentum * v if self.nesterov else v


def orthogonal(u, iterations):
    """Newton and Schulz's iteration of Muon on a matrix, in its own type."""
    turned = u.shape[0] > u.shape[1]  # which changes nothing but the size of products
    u = u.T if turned else u
    u = u / (u.norm() + MUON_LEAST)
    a, b, c = NEWTON_SCHULZ
    for _ in range(iterations):
        p = u @ u.T
        u = a * u + (b * p + c * p @ p) @ u
    return u.T if turned else u


# Pictures.


class Pictures:
    """A part of the data set on a device."""

    def __init__(self, torch, images, labels, scale, device):
        self.torch, self.scale, self.device = torch, scale, device
        self.images, self.labels = torch.tensor(images, device=device), torch.tensor(labels, device=device).long()
        self.shape = images.shape[1:]

    def values(self, samples):
        """Samples with their values as float32."""
        return self.images[samples].float().mul_(self.scale)

    def plain(self, samples):
        """Samples as they are."""
        return self.values(samples).contiguous(memory_format=self.torch.channels_last)

    def placed(self, samples, matrices, reflect):
        """Samples whose pixels come from other places, by bilinear interpolation. A matrix (3 x 3, one for each sample) maps the place
        of a pixel, (column, row, 1), to where its value comes from, both from the middle of the picture. Around the picture are
        zeros, or its reflection about its outer pixels: 2 1 0 1 2."""
        torch, F, (channels, height, width) = self.torch, self.torch.nn.functional, self.shape
        # grid_sample's places go from -1 to 1. With align_corners these are the middles of the outer pixels, about which it then
        # reflects, and otherwise their outer edges.
        ends = torch.tensor([max(width - reflect, 1), max(height - reflect, 1), 2.0], device=self.device, dtype=matrices.dtype) / 2
        theta = (matrices / ends[:, None] * ends)[:, :2].float()
        grid = F.affine_grid(theta, (len(samples), channels, height, width), align_corners=reflect)
        out = F.grid_sample(self.values(samples), grid, padding_mode="reflection" if reflect else "zeros", align_corners=reflect)
        return out.contiguous(memory_format=torch.channels_last)


class Augment:
    """What training does to pictures, anew in each epoch."""

    def __init__(self, torch, fields, pictures, generator):
        self.torch, self.pictures, self.generator = torch, pictures, generator
        self.f = {**dict.fromkeys(AUGMENT), **fields}
        plain = [k for k, v in self.f.items() if v and k not in ("name", "border")] == []
        self.see = self.unchanged if plain else self.changed
        self.reflect = self.f["border"] == "reflect"
        if self.f["flip"] == "alternate":
            self.first = self.draw(len(pictures.labels)) < 0.5  # whether a picture is mirrored in the first epoch

    def draw(self, *shape):
        """Uniform numbers from 0 to 1."""
        return self.torch.rand(shape, generator=self.generator, device=self.pictures.device)

    def around(self, n, x):
        """Uniform numbers from -x to x."""
        return (2 * self.draw(n).double() - 1) * x

    def whole(self, n, x):
        """Uniform whole numbers from -x to x, rounded to 0."""
        x = math.floor(x + 1e-9)
        return self.torch.randint(-x, x + 1, (n,), generator=self.generator, device=self.pictures.device).double()

    def unchanged(self, samples, epoch):
        return self.pictures.plain(samples)

    def changed(self, samples, epoch):
        """Samples as training sees them in an epoch, counted from 0."""
        f = self.f
        out = self.pictures.placed(samples, self.matrices(samples, epoch), self.reflect)
        if f["brightness"] or f["contrast"] or f["saturation"]:
            out = self.coloured(out)
        if f["erase"]:
            out = self.erased(out)
        return out

    def matrices(self, samples, epoch):
        """Of each sample the matrix for Pictures.placed."""
        torch, (_, height, width) = self.torch, self.pictures.shape
        n, f = len(samples), self.f
        one, none = torch.ones(n, device=self.pictures.device, dtype=torch.float64), torch.zeros(n, device=self.pictures.device, dtype=torch.float64)
        out = torch.eye(3, device=self.pictures.device, dtype=torch.float64).expand(n, 3, 3)

        def then(a, b, c, d, e, f):
            nonlocal out
            rows = [torch.stack(row, -1) for row in ((a, b, c), (d, e, f), (none, none, one))]
            out = torch.stack(rows, 1) @ out

        if f["flip"]:
            mirrored = self.first[samples] ^ (epoch % 2 == 1) if f["flip"] == "alternate" else self.draw(n) < 0.5
            then(1 - 2 * mirrored.double(), none, none, none, one, none)
        if t := f["translate"]:
            then(one, none, self.whole(n, t * width), none, one, self.whole(n, t * height))
        if f["shear"]:
            then(one, torch.tan(self.around(n, math.radians(f["shear"]))), none, none, one, none)
        if f["scale"]:
            k = 1 / (1 + self.around(n, f["scale"]))
            then(k, none, none, none, k, none)
        if f["rotate"]:
            angle = self.around(n, math.radians(f["rotate"]))
            then(angle.cos(), -angle.sin(), none, angle.sin(), angle.cos(), none)
        if part := f["resized_crop"]:
            (least, most), ratios = part["area"], [math.log(r) for r in part["ratio"]]
            area = least + (most - least) * self.draw(n).double()
            ratio = torch.exp(ratios[0] + (ratios[1] - ratios[0]) * self.draw(n).double())
            w, h = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
            then(w, none, self.around(n, 1) * (1 - w) * (width - 1) / 2, none, h, self.around(n, 1) * (1 - h) * (height - 1) / 2)
        if f["crop"]:
            then(one, none, self.whole(n, f["crop"]), none, one, self.whole(n, f["crop"]))
        return out

    def coloured(self, x):
        """Pictures with other brightness, contrast and saturation."""
        factor = lambda by: (1 + self.around(len(x), by or 0)).clamp(min=0).float()[:, None, None, None]
        contrast = factor(self.f["contrast"])
        x = x * (factor(self.f["brightness"]) * contrast)
        if x.shape[1] == 3:
            grey = sum(weight * x[:, c : c + 1] for c, weight in enumerate(LUMA))
            x = grey + factor(self.f["saturation"]) * (x - grey)
        return (x + (1 - contrast) / 2).clamp(0, 1)

    def erased(self, x):
        """Pictures of which a square is 0."""
        torch, (n, _, height, width), erase = self.torch, x.shape, self.f["erase"]
        side = rounded(erase["size"] * min(height, width))
        corner = lambda size: torch.randint(0, size, (n, 1, 1, 1), generator=self.generator, device=x.device) - side // 2
        top, left = corner(height), corner(width)
        y, x_ = torch.arange(height, device=x.device)[:, None], torch.arange(width, device=x.device)
        erased = (y >= top) & (y < top + side) & (x_ >= left) & (x_ < left + side)
        if erase.get("probability"):
            erased &= self.draw(n, 1, 1, 1) < erase["probability"]
        return x * ~erased


# The views of an evaluation: whether a picture is mirrored, by how many pixels it moves, and its weight.
VIEWS = {
    "": [(False, 0, 1)],
    "mirror": [(False, 0, 0.5), (True, 0, 0.5)],
    "six": [(False, 0, 0.25), (True, 0, 0.25), *((mirrored, by, 0.125) for mirrored in (False, True) for by in (-1, 1))],
}


def view(pictures, samples, mirrored, by):
    """Samples mirrored and moved, with what is outside reflected."""
    if not mirrored and not by:
        return pictures.plain(samples)
    matrix = pictures.torch.tensor([[-1.0 if mirrored else 1.0, 0, by], [0, 1, by], [0, 0, 1]], device=pictures.device)
    return pictures.placed(samples, matrix.expand(len(samples), 3, 3), True)


# Training.


class Trained(Layers):
    """The layers in training, where values drop out."""

    def dropout(self, layer, x):
        return self.F.dropout(x, layer.fields.get("rate", 0))


class Trainer:
    """A run in progress."""

    def __init__(self, torch, job, device):
        self.torch, self.job, self.device, recipe = torch, job, device, job.recipe
        self.train, self.test = (Pictures(torch, *part, job.scale, device) for part in (job.train, job.test))
        self.generator = torch.Generator(device).manual_seed(recipe["seed"] & (1 << 63) - 1)
        torch.manual_seed(recipe["seed"] & (1 << 63) - 1)  # of dropout
        self.augment = Augment(torch, recipe.get("augment", {}), self.train, self.generator)
        trained = set(job.network.trained())
        self.w = {name: self.put(value).requires_grad_(name in trained) for name, value in job.weights.items()}
        self.per_epoch = steps_per_epoch(recipe, len(job.train[1]))
        self.schedule = Schedule(recipe, self.per_epoch)
        self.rules = [Rule(torch, job, name, self.w[name], self.per_epoch) for name in self.w if name in trained]
        self.rates = torch.zeros(len(self.rules), 2, device=device)
        self.lookahead = recipe.get("lookahead") or {}
        self.averages = None
        if recipe.get("average") or self.lookahead:
            self.averages = {name: w.detach().clone(memory_format=torch.preserve_format) for name, w in self.w.items()}
        self.layers = Trained(torch, job.network, self.w, True)
        self.evaluated = Layers(torch, job.network, self.averages or self.w, False)
        smoothing, weights = (recipe.get("loss", {}).get(k) for k in ("label_smoothing", "class_weights"))
        self.targets = torch.eye(job.network.classes, device=device) * (1 - (smoothing or 0)) + (smoothing or 0) / job.network.classes
        if weights:
            self.targets[:, : len(weights)] *= torch.tensor(weights, device=device)
        self.loss, self.seen, self.step = torch.zeros((), device=device), 0, 0
        self.update_by, self.how = self.update, "eager"

    def put(self, array):
        """An array as a tensor of its own, images and filters with channels last."""
        torch = self.torch
        t = torch.tensor(array, device=self.device)
        return t if t.dim() < 4 else torch.empty_like(t, memory_format=torch.channels_last).copy_(t)

    def arithmetic(self):
        """The context that computes in the job's precision; weights and updates are float32."""
        return self.torch.autocast(self.device.type, self.torch.bfloat16, enabled=self.job.precision == "bf16", cache_enabled=False)

    def mean_loss(self, images, labels):
        """The loss of a mini-batch, a mean over its samples."""
        with self.arithmetic():
            logits = self.layers.logits(images)
        return -(self.targets[labels] * logits.float().log_softmax(1)).sum(1).mean()

    def update(self, images, labels, mean_loss=None):
        """Makes an update from one mini-batch, or from several in turn, with the rates that self.rates holds. mean_loss is a
        compiled form of the method."""
        torch, size = self.torch, self.job.recipe["batch"]
        params, n, grads = [rule.w for rule in self.rules], len(images), None
        for x, y in zip(images.split(size), labels.split(size)):
            loss = (mean_loss or self.mean_loss)(x, y) * (len(x) / n)
            part = torch.autograd.grad(loss, params)
            grads = part if grads is None else [a + b for a, b in zip(grads, part)]
            self.loss += loss.detach() * n
        with torch.no_grad():
            if clip := self.job.recipe["optimizer"].get("clip_norm"):
                norm = torch.stack([g.norm() for g in grads]).norm()
                grads = [g * (clip / norm).clamp(max=1) for g in grads]
            for rule, g, (rate, decay) in zip(self.rules, grads, self.rates.unbind()):
                rule.update(g, rate, decay)

    def train_step(self, samples, epoch):
        """The whole of a step: pictures, update, averages."""
        factor = self.schedule(self.step)
        rates = self.torch.tensor([rule.rates(self.step, factor) for rule in self.rules])
        self.rates.copy_(rates)
        self.update_by(self.augment.see(samples, epoch), self.train.labels[samples])
        self.seen += len(samples)
        self.average()
        self.step += 1

    def average(self):
        """Moves averages towards the weights and running statistics; lookahead also sets these to them."""
        if self.averages is None:
            return
        if every := self.lookahead.get("every"):
            if (self.step + 1) % every:
                return
            start, final = self.lookahead.get("start", 0), self.lookahead.get("final", 0)
            rate = start + (final - start) * ((self.step + 1) / (self.job.recipe["epochs"] * self.per_epoch)) ** (self.lookahead.get("power") or 1)
        else:
            rate = 1 - min(self.job.recipe["average"], (1 + self.step) / (10 + self.step))
        with self.torch.no_grad():
            averages, weights = list(self.averages.values()), list(self.w.values())
            self.torch._foreach_lerp_(averages, weights, rate)
            if every:
                self.torch._foreach_copy_(weights, averages)

    def epoch(self, epoch):
        """Trains an epoch, counted from 0. Returns the mean loss of its samples."""
        torch, samples = self.torch, len(self.train.labels)
        size = self.job.recipe["batch"] * max(1, self.job.recipe.get("accumulate", 0))
        order = torch.randperm(samples, generator=self.generator, device=self.device)
        self.loss.zero_()
        self.seen = 0
        for at in range(0, self.per_epoch * size, size):
            self.train_step(order[at : at + size], epoch)
        return self.loss.item() / self.seen

    def evaluate(self):
        """The mean cross-entropy and the accuracy on the test set."""
        torch, F, hits, loss = self.torch, self.torch.nn.functional, 0, 0
        with torch.inference_mode():
            for samples in torch.arange(len(self.test.labels), device=self.device).split(EVALUATED):
                logits = 0
                for mirrored, by, weight in VIEWS[self.job.recipe.get("views", "")]:
                    with self.arithmetic():
                        y = self.evaluated.logits(view(self.test, samples, mirrored, by))
                    logits = logits + weight * y.float()
                labels = self.test.labels[samples]
                hits = hits + (logits.argmax(1) == labels).sum()
                loss = loss + F.cross_entropy(logits, labels, reduction="sum")
        return loss.item() / len(self.test.labels), hits.item() / len(self.test.labels)

    def sync(self):
        if self.device.type == "cuda":
            self.torch.cuda.synchronize()

    def state(self):
        """All tensors that training changes."""
        tensors = [*self.w.values(), *(m for rule in self.rules for m in rule.moments), *(self.averages or {}).values(), self.loss]
        return [t.detach() for t in tensors]

    def prepare(self):
        """Chooses how an update is computed on a GPU, and computes all shapes once. Then all is as it was at first."""
        before = [t.clone() for t in self.state()]
        recipe, all_samples = self.job.recipe, self.torch.arange(len(self.train.labels), device=self.device)
        size, whole = recipe["batch"], recipe["batch"] * max(1, recipe.get("accumulate", 0))
        failed = ""
        for compiled in (True, False) if size == whole <= len(all_samples) else ():
            try:
                graph = Graph(self, size, self.torch.compile(self.mean_loss, dynamic=False) if compiled else None)
                self.update_by = lambda x, y: graph(x, y) if len(x) == size else self.update(x, y)
                self.how = ("torch.compile" if compiled else "eager kernels") + " in one CUDA graph"
                break
            except Exception as e:  # a compiler that is missing, work that can't be captured: of any kind
                self.torch.cuda.synchronize()
                failed += f"; {'torch.compile' if compiled else 'a CUDA graph'} failed ({str(e).strip().partition(chr(10))[0][:120]})"
        self.how += failed
        for n in {min(whole, len(all_samples)), (len(all_samples) - 1) % whole + 1}:
            for _ in range(2):
                self.train_step(all_samples[:n], 0)
        self.evaluate()
        self.torch._foreach_copy_(self.state(), before)
        self.step = 0
        self.sync()


class Graph:
    """An update of a mini-batch of one size, as a CUDA graph. Capturing makes some updates."""

    def __init__(self, trainer, size, mean_loss):
        torch = trainer.torch
        samples = torch.arange(size, device=trainer.device)
        self.images, self.labels = trainer.train.plain(samples), trainer.train.labels[samples].clone()
        # All on one stream: autograd and cuBLAS remember on which they began, and capturing fails where that is another one.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):  # cuDNN measures its algorithms
                trainer.update(self.images, self.labels, mean_loss)
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=stream):
            trainer.update(self.images, self.labels, mean_loss)

    def __call__(self, images, labels):
        self.images.copy_(images)
        self.labels.copy_(labels)
        self.graph.replay()


def set_up(job):
    """Imports PyTorch for a job. Returns it, the device, and words on how it is set up."""
    gpu = gpu_number(job.device)
    if gpu is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # or PyTorch warns of drivers
        if job.tier == "avx2":
            os.environ.update({"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"})
    import torch

    if gpu is None:
        torch.set_num_threads(job.threads)
        torch.set_num_interop_threads(1)
        return torch, torch.device("cpu"), "oneDNN, channels last; threads by set_num_threads"
    if gpu >= (count := torch.cuda.device_count()):
        raise Unavailable(f"PyTorch {torch.__version__} finds {count or 'no'} GPU here, none of number {gpu}")
    torch.cuda.set_device(gpu)
    # In bf16 this is for what autocast leaves in float32.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = job.precision != "fp32"
    torch.backends.cudnn.benchmark = True
    arithmetic = {"fp32": "float32", "tf32": "TF32", "bf16": "bfloat16 by autocast"}[job.precision]
    words = f"{arithmetic}, channels last, cudnn.benchmark; CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    return torch, torch.device("cuda", gpu), words


def run(job, torch, device, words, write):
    """Trains, and writes a line for each epoch."""
    trainer = Trainer(torch, job, device)
    if device.type == "cuda":
        trainer.prepare()
    hello = {"peer": "torch", "version": torch.__version__, "settings": f"{trainer.how}, {words}"}
    write({**hello, "tier": job.tier} if job.tier else hello)
    epochs, every = job.recipe["epochs"], max(1, job.recipe.get("evaluate_every", 0))
    training, start = 0.0, time.perf_counter()
    for epoch in range(epochs):
        began = time.perf_counter()
        loss = trainer.epoch(epoch)
        trainer.sync()
        took = time.perf_counter() - began
        if not math.isfinite(loss):
            raise ValueError(f"the loss became NaN or infinite in epoch {epoch + 1}")
        training += took
        line = {"epoch": epoch + 1, "loss": loss, "images_per_second": trainer.seen / took}
        if (epoch + 1) % every == 0 or epoch + 1 == epochs:
            test_loss, accuracy = trainer.evaluate()
            if not math.isfinite(test_loss):
                raise ValueError(f"the loss on the test set became NaN or infinite in epoch {epoch + 1}")
            line["test"] = {"loss": test_loss, "accuracy": accuracy}
        write({"trained": {**line, "seconds": time.perf_counter() - start, "training_seconds": training}})
    return trainer


if __name__ == "__main__":
    tell = output()
    with telling("torch", tell):
        todo = read_job(sys.argv[1])
        run(todo, *set_up(todo), tell)
