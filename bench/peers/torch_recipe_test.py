"""Tests of torch_recipe.py on the CPU; make bench-peers runs them in PyTorch's environment.

testdata/recipes.json has small recipes with what gputrain's float64 reference makes of them. A Go test writes it.
"""

import contextlib
import json
import os
import tempfile
import unittest
from unittest import mock

import numpy as np
import torch
from safetensors.numpy import save_file

import torch_recipe
from network import Network
from protocol import Unavailable
from torch_peer_test import FakeGraph

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "testdata", "recipes.json"), encoding="utf-8") as f:
    FILE = json.load(f)

CPU = torch.device("cpu")


def part(name):
    """The images and labels of a part of the data."""
    p = FILE[name]
    return np.array(p["images"], np.uint8).reshape(-1, *p["shape"]), np.array(p["labels"], np.int32)


def shaped(network, weights):
    """Weights by name as arrays in their shapes."""
    shapes = {}
    for layer in network.layers:
        for role in layer.roles:
            shapes[f"{layer.name}.{role}"] = (layer.shape[0],)
            if role == "weight" and layer.kind == "conv":
                shapes[f"{layer.name}.{role}"] = (layer.shape[0], layer.inputs[0][0] // layer.groups, *layer.window.kernel)
            if role == "weight" and layer.kind == "dense":
                shapes[f"{layer.name}.{role}"] = (layer.shape[0], layer.inputs[0][0])
    return {name: np.array(values, np.float32).reshape(shapes[name]) for name, values in weights.items()}


def job(recipe, on="normalised", **more):
    network = Network(FILE["networks"][on]["network"])
    weights = shaped(network, FILE["networks"][on]["weights"])
    of = {"device": "cpu", "precision": "fp32", "threads": 1, "tier": "", "train": part("train"), "test": part("test"), "scale": FILE["scale"]}
    return torch_recipe.Job(network, recipe, weights=weights, **{**of, **more})


def plain(**more):
    """A recipe of plain SGD."""
    return {"epochs": 2, "batch": 24, "seed": 1, "optimizer": {"method": "sgd", "learning_rate": 0.1}, **more}


class Recipes(unittest.TestCase):
    def train(self, case):
        lines = []
        trainer = torch_recipe.run(job(case["recipe"], case["on"]), torch, CPU, "words", lines.append)
        return trainer, lines

    def test_trains_as_the_reference(self):
        for case in FILE["recipes"]:
            o = case["recipe"]["optimizer"]
            with self.subTest(case["recipe"]["name"], method=o["method"]):
                trainer, lines = self.train(case)
                self.assertEqual(lines[0], {"peer": "torch", "version": torch.__version__, "settings": "eager, words"})
                self.assertEqual(len(lines) - 1, len(case["epochs"]))
                # float32 against float64, over 8 updates. A rate or a decay that is wrong by 1 % moves losses by 1e-3.
                for line, want in zip(lines[1:], case["epochs"]):
                    got = line["trained"]
                    self.assertEqual(got["epoch"], want["epoch"])
                    self.assertAlmostEqual(got["loss"], want["cost"], delta=2e-5)
                    self.assertEqual("test" in got, "test" in want)
                    if "test" in want:
                        self.assertAlmostEqual(got["test"]["loss"], want["test"]["loss"], delta=2e-5)
                        self.assertAlmostEqual(got["test"]["accuracy"], want["test"]["accuracy"], delta=1e-6)
                    self.assertGreaterEqual(got["seconds"], got["training_seconds"])
                for state, want in (trainer.w, case["weights"]), (trainer.averages or {}, case.get("averages", {})):
                    self.assertEqual(state.keys(), want.keys())
                    for name, values in want.items():
                        np.testing.assert_allclose(state[name].detach().numpy().ravel(), values, rtol=2e-4, atol=2e-5, err_msg=name)

    def test_every_method_and_schedule_is_there(self):
        rules = [o for c in FILE["recipes"] for o in (c["recipe"]["optimizer"], *c["recipe"]["optimizer"].get("groups", ()))]
        self.assertEqual({o["method"] for o in rules if "method" in o}, set(torch_recipe.METHODS))
        rates = {r["recipe"]["optimizer"].get("schedule", {}).get("method", "") for r in FILE["rates"].values()}
        self.assertEqual(rates | {"constant"}, set(torch_recipe.SCHEDULES))

    def test_schedules(self):
        for name, case in FILE["rates"].items():
            with self.subTest(name):
                schedule = torch_recipe.Schedule(case["recipe"], 4)
                np.testing.assert_allclose([schedule(step) for step in range(20)], case["factors"], rtol=1e-12)

    def test_lengths(self):
        for samples, drop, accumulate, want in (55, False, 0, 6), (55, True, 0, 5), (55, True, 2, 2), (55, False, 2, 3), (60, False, 0, 6), (8, True, 0, 1), (48, False, 0, 5):
            recipe = {"batch": 10, "drop_last": drop, "accumulate": accumulate}
            self.assertEqual(torch_recipe.steps_per_epoch(recipe, samples), want)

    def test_the_last_samples_are_dropped(self):
        for drop, seen in (False, 24), (True, 20):
            trainer = torch_recipe.Trainer(torch, job(plain(batch=10, drop_last=drop)), CPU)
            trainer.epoch(0)
            self.assertEqual(trainer.seen, seen)

    def test_every_epoch_has_another_order(self):
        trainer, orders = torch_recipe.Trainer(torch, job(plain(batch=4)), CPU), []
        trainer.train_step = lambda samples, epoch: orders[epoch].append(samples.tolist()) or setattr(trainer, "seen", 1)
        for epoch in 0, 1:
            orders.append([])
            trainer.epoch(epoch)
            self.assertEqual(sorted(sum(orders[epoch], [])), list(range(24)))
        self.assertNotEqual(*orders)

    def test_dropout(self):
        network = Network({"name": "dropping", "input": {"channels": 2, "height": 6, "width": 5}, "layers": [
            {"type": "flatten"}, {"type": "dropout", "rate": 0.25}, {"type": "dense", "units": 3}]})  # fmt: skip
        weights = {"dense1.weight": np.ones((3, 60), np.float32), "dense1.bias": np.zeros(3, np.float32)}
        trainer = torch_recipe.Trainer(torch, torch_recipe.Job(network, plain(), "cpu", "fp32", 1, "", weights, part("train"), part("test"), 1.0), CPU)
        ones = torch.ones(4000, 2, 6, 5)
        dropped, kept = trainer.layers.logits(ones)[:, 0], trainer.evaluated.logits(ones)[:, 0]
        self.assertTrue(torch.equal(kept, torch.full_like(kept, 60)))
        # The mean of 240,000 values, each 4/3 with probability 3/4: its deviation is 60 * 0.577 / 490.
        self.assertAlmostEqual(dropped.mean().item(), 60, delta=0.4)
        self.assertTrue(torch.allclose(dropped * 3 / 4, (dropped * 3 / 4).round(), atol=1e-3))
        self.assertGreater(dropped.std().item(), 1)

    def test_nan_ends_the_run(self):
        with self.assertRaisesRegex(ValueError, "in epoch 1|in epoch 2"):
            torch_recipe.run(job(plain(optimizer={"method": "sgd", "learning_rate": 1e30})), torch, CPU, "", lambda line: None)


class Refusals(unittest.TestCase):
    def test_what_is_not_known(self):
        rule = {"method": "sgd", "learning_rate": 0.1}
        for name, recipe in {
            "patience": plain(patience=3),
            "mixup": plain(augment={"mixup": 0.2}),
            "cutmix": plain(augment={"crop": 2, "cutmix": 1}),
            "sideways": plain(augment={"flip": "sideways"}),
            "wrap": plain(augment={"crop": 1, "border": "wrap"}),
            "ten": plain(views="ten"),
            "adagrad": plain(optimizer={**rule, "method": "adagrad"}),
            "amsgrad": plain(optimizer={**rule, "amsgrad": True}),
            "polynomial": plain(optimizer={**rule, "schedule": {"method": "polynomial"}}),
            "power": plain(optimizer={**rule, "schedule": {"method": "cosine", "power": 2}}),
            "sophia": plain(optimizer={**rule, "groups": [{"params": "*", "method": "sophia"}]}),
            "layer_decay": plain(optimizer={**rule, "groups": [{"params": "*", "layer_decay": 0.5}]}),
            "focal": plain(loss={"focal": 2}),
            "slow": plain(lookahead={"every": 2, "slow": 3}),
            "stochastic_depth": plain(stochastic_depth=0.1),
        }.items():
            with self.subTest(name), self.assertRaisesRegex(Unavailable, name):
                torch_recipe.check(recipe)
        torch_recipe.check(plain(patience=0, augment={"name": "mine", "mixup": 0, "crop": 2, "border": "reflect"}))

    def test_a_job_is_read(self):
        j = job(plain())
        with tempfile.TemporaryDirectory() as folder:
            at = lambda name: os.path.join(folder, name)
            save_file({**j.weights, "optimizer.head.bias.m": j.weights["head.bias"]}, at("w"))
            for name, (images, labels) in ("train", j.train), ("test", j.test):
                save_file({"images": images, "labels": labels}, at(name))
            fields = {
                "network": j.network.json, "recipe": j.recipe, "device": "cpu", "precision": "fp32", "threads": 2, "weights": "w", "train": "train",
                "test": "test", "scale": 0.5,
            }  # fmt: skip

            def read(**changes):
                with open(at("job.json"), "w", encoding="utf-8") as f:
                    json.dump({**fields, **changes}, f)
                return torch_recipe.read_job(at("job.json"))

            got = read()
            self.assertEqual((got.threads, got.scale, got.tier, got.device), (2, 0.5, "", "cpu"))
            np.testing.assert_array_equal(got.train[0], j.train[0])
            np.testing.assert_array_equal(got.test[1], j.test[1])
            self.assertEqual(got.weights.keys(), j.weights.keys())
            for want, changes in ("parameters", {"network": FILE["networks"]["plain"]["network"]}), ("device", {"device": "tpu"}), ("precision", {"precision": "bf16"}):
                with self.assertRaisesRegex(ValueError, want):
                    read(**changes)
            with self.assertRaisesRegex(Unavailable, "patience"):
                read(recipe=plain(patience=1))
            save_file({"images": j.train[0][:, :, 1:].copy(), "labels": j.train[1]}, at("train"))
            with self.assertRaisesRegex(ValueError, "train: images of"):
                read()

    def test_no_gpu(self):
        if torch.cuda.device_count() > 63:
            self.skipTest("there is a GPU 63")
        with self.assertRaises(Unavailable):
            torch_recipe.set_up(job(plain(), device="cuda:63", precision="bf16"))


class Pictures(unittest.TestCase):
    """The pictures are random bytes of 2 channels with 6 rows and 5 columns, in float32: 1e-5 leaves room for rounding."""

    def setUp(self):
        torch.manual_seed(3)

    def pictures(self, n=24, shape=(2, 6, 5)):
        images = np.random.default_rng(1).integers(0, 256, (n, *shape)).astype(np.uint8)
        return torch_recipe.Pictures(torch, images, np.zeros(n, np.int32), 1 / 255, CPU)

    def augment(self, pictures, **fields):
        return torch_recipe.Augment(torch, fields, pictures, torch.Generator().manual_seed(4))

    def test_places_between_pixels(self):
        train = torch_recipe.Pictures(torch, *part("train"), FILE["scale"], CPU)
        to_middle, from_middle = np.eye(3), np.eye(3)
        to_middle[:2, 2], from_middle[:2, 2] = (-2, -2.5), (2, 2.5)
        for case in FILE["seen"]:
            m, want = np.eye(3), np.reshape(case["out"], (2, 6, 5))
            m[:2] = np.reshape(case["matrix"], (2, 3))
            with self.subTest(case["matrix"], border=case["border"]):
                matrix = torch.tensor(to_middle @ m @ from_middle)[None]
                np.testing.assert_allclose(train.placed(torch.tensor([0]), matrix, case["border"] == "reflect")[0], want, atol=1e-5)

    def test_pictures_of_one_pixel(self):
        for shape in (1, 1, 4), (1, 4, 1), (1, 1, 1):
            pictures, matrix = self.pictures(1, shape), torch.eye(3)[None]
            for reflect in False, True:
                np.testing.assert_allclose(pictures.placed(torch.tensor([0]), matrix, reflect), pictures.images / 255, atol=1e-5)
        matrix[0, 0, 2] = 1
        self.assertEqual(pictures.placed(torch.tensor([0]), matrix, False).item(), 0)

    def test_nothing(self):
        pictures = self.pictures()
        got = self.augment(pictures, name="none", border="reflect", mixup=0).see(torch.tensor([3, 5]), 0)
        np.testing.assert_allclose(got, pictures.images[[3, 5]] / 255, atol=1e-6)

    def test_crop_and_translation_move_by_whole_pixels(self):
        pictures = self.pictures()
        for fields, most in ({"crop": 2}, (2, 2)), ({"translate": 0.4}, (2, 2)), ({"translate": 0.35}, (2, 1)), ({"crop": 1, "border": "reflect"}, (1, 1)):
            with self.subTest(fields):
                samples, mode = torch.arange(24).repeat(50), "reflect" if fields.get("border") else "constant"
                got, seen = self.augment(pictures, **fields).see(samples, 0).numpy(), set()
                for i, s in enumerate(samples):
                    padded = np.pad(pictures.images[s] / 255, ((0, 0), (most[0],) * 2, (most[1],) * 2), mode)
                    at = [(r, c) for r in range(2 * most[0] + 1) for c in range(2 * most[1] + 1) if np.allclose(padded[:, r : r + 6, c : c + 5], got[i], atol=1e-5)]
                    self.assertEqual(len(at), 1)
                    seen.update(at)
                self.assertEqual(len(seen), (2 * most[0] + 1) * (2 * most[1] + 1))  # of 1200 pictures, each of 25 places

    def test_flips(self):
        pictures = self.pictures(200)
        samples, mirrored = torch.arange(200), (pictures.images.flip(3) / 255).numpy()
        sides = {}
        for flip in "random", "alternate":
            augment = self.augment(pictures, flip=flip)
            for epoch in 0, 1, 2:
                got = augment.see(samples, epoch).numpy()
                sides[flip, epoch] = np.array([np.allclose(a, b, atol=1e-5) for a, b in zip(got, mirrored)])
                whole = np.where(sides[flip, epoch][:, None, None, None], mirrored, pictures.images / 255)
                np.testing.assert_allclose(got, whole, atol=1e-5)
                self.assertTrue(60 < sides[flip, epoch].sum() < 140)
        self.assertTrue((sides["alternate", 0] ^ sides["alternate", 1]).all())
        self.assertTrue((sides["alternate", 0] == sides["alternate", 2]).all())
        self.assertTrue(0 < (sides["random", 0] ^ sides["random", 1]).sum() < 200)

    def largest(self, augment):
        """Lets an augmentation draw the greatest values."""
        augment.around = lambda n, x: torch.full((n,), float(x), dtype=torch.float64)
        augment.draw = lambda *shape: torch.ones(*shape)
        return augment

    def test_rotation_is_about_the_middle(self):
        pictures = self.pictures(3, (1, 5, 5))
        got = self.largest(self.augment(pictures, rotate=90)).see(torch.arange(3), 0)
        # The value at column x comes from the row x: a quarter turn.
        np.testing.assert_allclose(got, np.rot90(pictures.images / 255, 1, (2, 3)), atol=1e-5)

    def test_scale_and_shear(self):
        pictures = self.pictures(3, (1, 5, 5))
        images = (pictures.images / 255).numpy()
        got = self.largest(self.augment(pictures, scale=1.0)).see(torch.arange(3), 0).numpy()  # twice as large
        np.testing.assert_allclose(got[:, :, ::2, ::2], images[:, :, 1:4, 1:4], atol=1e-5)
        np.testing.assert_allclose(got[:, :, 2, 1], images[:, :, 2, 1:3].mean(2), atol=1e-5)
        got = self.largest(self.augment(pictures, shear=45)).see(torch.arange(3), 0).numpy()  # each row moves by one more
        np.testing.assert_allclose(got[:, :, 2], images[:, :, 2], atol=1e-5)
        np.testing.assert_allclose(got[:, :, 3, :4], images[:, :, 3, 1:], atol=1e-5)
        np.testing.assert_allclose(got[:, :, 0, 2:], images[:, :, 0, :3], atol=1e-5)

    def test_the_order_of_places(self):
        """Mirrored first, then moved, sheared, scaled, rotated and cropped, as the product of these maps."""
        pictures = self.pictures(1)
        augment = self.largest(self.augment(pictures, flip="random", translate=0.5, shear=20, scale=0.25, rotate=30, crop=2))
        augment.draw = lambda *shape: torch.zeros(*shape)  # mirrored
        augment.whole = lambda n, x: torch.full((n,), float(int(x)), dtype=torch.float64)
        sheared = np.eye(3)
        sheared[0, 1] = np.tan(np.radians(20))
        c, s = np.cos(np.radians(30)), np.sin(np.radians(30))
        moved = lambda x, y: np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])
        want = moved(2, 2) @ [[c, -s, 0], [s, c, 0], [0, 0, 1]] @ np.diag([0.8, 0.8, 1]) @ sheared @ moved(2, 3) @ np.diag([-1, 1, 1])
        np.testing.assert_allclose(augment.matrices(torch.tensor([0]), 0)[0], want, atol=1e-12)

    def test_resized_crop_stays_inside(self):
        pictures = self.pictures()
        augment = self.augment(pictures, resized_crop={"area": [0.25, 0.5], "ratio": [0.5, 2]})
        m = augment.matrices(torch.arange(24).repeat(40), 0).numpy()
        w, h = m[:, 0, 0], m[:, 1, 1]
        self.assertTrue((w * h <= 0.5 + 1e-9).all() and (w * h > 0.2).all() and (w <= 1).all() and (h <= 1).all())
        self.assertTrue((w / h).min() < 0.7 and (w / h).max() > 1.4)
        self.assertTrue((abs(m[:, 0, 2]) + 2 * w <= 2 + 1e-9).all() and (abs(m[:, 1, 2]) + 2.5 * h <= 2.5 + 1e-9).all())
        self.assertGreater(abs(m[:, 0, 2]).max(), 0.5)

    def test_erasing(self):
        pictures = self.pictures(400)
        pictures.images[:] = 255
        for probability in None, 0.25:
            got = self.augment(pictures, erase={"size": 0.6, "probability": probability}).see(torch.arange(400), 0).numpy()
            squares, middles = 0, set()
            for x in got:
                rows, columns = np.nonzero(x[0] == 0)
                np.testing.assert_array_equal(x[0], x[1])
                if len(rows) == 0:
                    continue
                squares += 1
                top, left, bottom, right = rows.min(), columns.min(), rows.max(), columns.max()
                self.assertEqual(len(rows), (bottom - top + 1) * (right - left + 1))
                self.assertTrue(bottom - top < 3 and right - left < 3)
                if bottom - top == 2 and right - left == 2:
                    middles.add((top + 1, left + 1))
            self.assertTrue(squares == 400 if probability is None else 60 < squares < 140, squares)
            self.assertEqual(middles, {(r, c) for r in range(1, 5) for c in range(1, 4)})
            if probability is None:
                # The middle is in each of 6 rows and 5 columns alike, and a border's pixel is erased for two of them. Five deviations.
                for axis, share in (2, 2 / 5), (3, 2 / 6):
                    for border in 0, -1:
                        self.assertAlmostEqual((got.min(axis)[:, 0, border] == 0).mean(), share, delta=0.125)

    def test_colours(self):
        pictures = self.pictures(2, (3, 4, 4))
        x = (pictures.images / 255).numpy().astype(np.float64)
        augment = self.largest(self.augment(pictures, brightness=0.2, contrast=0.5, saturation=0.3))
        # Brightness, then contrast about 1/2, then saturation about the pixel's grey.
        want = x * 1.2 * 1.5 + (1 - 1.5) / 2
        grey = np.tensordot([0.299, 0.587, 0.114], want, (0, 1))[:, None]
        np.testing.assert_allclose(augment.see(torch.arange(2), 0), np.clip(grey + 1.3 * (want - grey), 0, 1), atol=1e-5)
        pictures = self.pictures(2)
        x = (pictures.images / 255).numpy().astype(np.float64)
        got = self.largest(self.augment(pictures, brightness=0.2)).see(torch.arange(2), 0)
        np.testing.assert_allclose(got, np.clip(1.2 * x, 0, 1), atol=1e-5)


@contextlib.contextmanager
def fake_gpu(compiles=True, captures=True):
    """Puts fakes in place of what a trainer uses of torch.cuda and of torch.compile. A graph that was captured makes an update
    at each replay."""

    @contextlib.contextmanager
    def graph(graph, stream):
        if not captures:
            raise RuntimeError("no graph today\nand more")
        FakeGraph.capturing = graph
        yield
        FakeGraph.capturing = None

    update = torch_recipe.Trainer.update

    def told(trainer, images, labels, mean_loss=None):
        if FakeGraph.capturing:
            graph = FakeGraph.capturing
            graph.inputs, graph.output = (images, labels), torch.zeros(())
            graph.work = lambda x, y: update(trainer, x, y, mean_loss) or torch.zeros(())
        else:
            update(trainer, images, labels, mean_loss)

    def compile(f, dynamic):
        def fails(*x):
            raise RuntimeError("no compiler")

        return f if compiles else fails

    fakes = {"Stream": mock.Mock, "current_stream": mock.Mock, "stream": contextlib.nullcontext, "synchronize": mock.Mock(), "CUDAGraph": FakeGraph, "graph": graph}
    with contextlib.ExitStack() as stack:
        for name, fake in fakes.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, fake))
        stack.enter_context(mock.patch.object(torch, "compile", compile))
        stack.enter_context(mock.patch.object(torch_recipe.Trainer, "update", told))
        yield


class OnAGPU(unittest.TestCase):
    def train(self, recipe, prepare=True, **fakes):
        torch.manual_seed(1)
        trainer = torch_recipe.Trainer(torch, job(recipe), CPU)
        with fake_gpu(**fakes):
            if prepare:
                state = trainer.generator.get_state()
                trainer.prepare()
                trainer.generator.set_state(state)
            losses = [trainer.epoch(epoch) for epoch in range(recipe["epochs"])]
        return trainer, losses

    def test_a_graph_trains_the_same(self):
        adam = {"method": "adam", "learning_rate": 0.01, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8}
        for recipe in plain(batch=7, epochs=3, optimizer=adam, average=0.9), plain(batch=12, lookahead={"every": 2, "start": 0.5, "final": 0.5}):
            eager, want = self.train(recipe, prepare=False)
            for fakes, how in (
                ({}, "torch.compile in one CUDA graph"),
                ({"compiles": False}, "eager kernels in one CUDA graph; torch.compile failed (no compiler)"),
                ({"captures": False}, "eager; torch.compile failed (no graph today); a CUDA graph failed (no graph today)"),
            ):
                with self.subTest(how):
                    trainer, got = self.train(recipe, **fakes)
                    self.assertEqual(trainer.how, how)
                    self.assertEqual(trainer.step, eager.step)
                    np.testing.assert_allclose(got, want, rtol=1e-6)
                    for name, w in eager.w.items():
                        np.testing.assert_allclose(trainer.w[name].detach(), w.detach(), rtol=1e-5, atol=1e-6, err_msg=name)
                    for name, w in (eager.averages or {}).items():
                        np.testing.assert_allclose(trainer.averages[name], w, rtol=1e-5, atol=1e-6, err_msg=name)

    def test_a_graph_is_replayed(self):
        replays = 0

        def replay(graph):
            nonlocal replays
            replays += 1
            graph.work(*graph.inputs)

        with mock.patch.object(FakeGraph, "replay", replay):
            self.train(plain(batch=10, epochs=2))  # 10, 10 and 4 images
        self.assertEqual(replays, 4 + 2)  # and twice in preparation

    def test_bfloat16_is_near(self):
        losses = []
        for precision in "fp32", "bf16":
            trainer = torch_recipe.Trainer(torch, job(plain(epochs=4), precision=precision), CPU)
            losses.append([trainer.epoch(epoch) for epoch in range(4)] + [trainer.evaluate()[0]])
        # bfloat16 has 8 bits, so a rounding errs by 1 in 256 at most, and sums average that out.
        np.testing.assert_allclose(losses[1], losses[0], rtol=2e-2)
        self.assertFalse(np.allclose(losses[1], losses[0], rtol=1e-6))


if __name__ == "__main__":
    unittest.main()
