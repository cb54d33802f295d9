"""Writes models of torchvision, timm and PyTorch with random weights as safetensors, and what they answer.

usage: models.py FOLDER
FOLDER/cases.json is a list of objects: "name", "from" ("torchvision", "timm" or "sequential"), "model", "classes",
"input" (channels, rows, columns), "type" (of the weights in the file), "prefix" in front of all names, and "mean" and
"std", of which the model wants its images normalised (a number for each channel, or null). Of each case,
NAME.safetensors has the state dict, NAME.images some images from 0 to 1 as float32 in NCHW order, and NAME.logits the
model's logits of these as float32.
"""
import json
import pathlib
import sys

import safetensors.torch
import torch
from torch import nn

SPREAD = 3  # standard deviation of the logits of each image
IMAGES = 3


def sequential(classes):
    """A chain in which two convolutions have the same dimensions."""
    def conv(inputs, outputs):
        return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(
        *conv(3, 8), nn.MaxPool2d(2), *conv(8, 8), *conv(8, 8), nn.Flatten(),
        nn.Linear(8 * 8 * 8, 32), nn.Dropout(), nn.ReLU(), nn.Linear(32, classes))


def build(case):
    if case["from"] == "torchvision":
        import torchvision
        return torchvision.models.get_model(case["model"], weights=None, num_classes=case["classes"])
    if case["from"] == "timm":
        import timm
        return timm.create_model(case["model"], pretrained=False, num_classes=case["classes"])
    return sequential(case["classes"])


def randomise(model):
    """Draws all that batch normalisation has, and biases: at first they are 0 or 1, which hides mistakes."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            module.num_batches_tracked.fill_(7)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.1)


def last(model):
    return [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))][-1]


def main(folder):
    torch.manual_seed(1)
    for case in json.loads((folder / "cases.json").read_text()):
        model = build(case).eval()
        images = torch.rand(IMAGES, *case["input"])
        seen = images
        if case["mean"]:
            seen = (images - torch.tensor(case["mean"]).view(-1, 1, 1)) / torch.tensor(case["std"]).view(-1, 1, 1)
        with torch.no_grad():
            randomise(model)
            scale = SPREAD / model(seen).std(dim=1).mean()
            last(model).weight *= scale
            last(model).bias *= scale
            dtype = getattr(torch, case["type"])
            # The model computes in float32 with weights that the file has exactly.
            state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in model.state_dict().items()}
            model.load_state_dict({k: v.to(torch.float32) if v.is_floating_point() else v for k, v in state.items()})
            logits = model(seen)
        safetensors.torch.save_file({case["prefix"] + k: v for k, v in state.items()}, folder / (case["name"] + ".safetensors"))
        images.numpy().tofile(folder / (case["name"] + ".images"))
        logits.numpy().tofile(folder / (case["name"] + ".logits"))


main(pathlib.Path(sys.argv[1]))
