"""Compares rso with PyTorch, in both directions.

    pytorch_check.py RSO MODEL IMAGES DOCUMENT

From rso: runs the lines of docs/pytorch.md on MODEL's weights, and compares their logits with those of `rso predict`.
To rso: trains two small networks in PyTorch, imports them, and compares `rso evaluate` with PyTorch over all images.
IMAGES are MNIST's test images, in a folder with its other files.
"""

import collections
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

rso, model_file, images_file, document = (os.path.abspath(p) for p in sys.argv[1:5])


def idx(name, offset):
    raw = gzip.open(os.path.join(os.path.dirname(images_file), name)).read()
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=offset).copy())


def run(*arguments):
    return subprocess.run([rso, *map(str, arguments)], check=True, capture_output=True, text=True)


images = idx(os.path.basename(images_file), 16).reshape(-1, 1, 28, 28)


def from_rso():
    text = pathlib.Path(document).read_text()
    code = text.split("<!-- pytorch -->\n```python\n")[1].split("```")[0]
    run("export", model_file, "--safetensors", "weights.safetensors")
    names = {}
    exec(compile(code, "docs/pytorch.md", "exec"), names)
    theirs = torch.cat([names["logits"](part) for part in images.split(1000)]).numpy()
    out = run("predict", model_file, images_file, "--json")
    ours = np.array([json.loads(line)["logits"] for line in out.stdout.splitlines()])
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    difference = (np.abs(ours - theirs).max(axis=1) / np.abs(ours).max(axis=1)).max()
    assert difference < 1e-4, difference
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).all()

    # And back, with the counters of batches that only PyTorch has.
    save_file(names["model"].state_dict(), "torch.safetensors")
    run("train", "--from", "torch.safetensors", "--layers", 6, "--only", "fc.weight", "--cycles", 1,
        "--train-limit", 500, "--test-limit", 100, "--batch", 500, "--run", "back", "--save-initial",
        "initial.safetensors", "--quiet")
    before, after, back = (
        load_file(f) for f in ["weights.safetensors", "initial.safetensors", "back/checkpoint.safetensors"])
    for name, tensor in before.items():
        if "running" not in name:
            assert torch.equal(tensor, after[name]), name
            assert torch.equal(tensor, back[name]) == (name != "fc.weight"), name
    print(f"PyTorch {torch.__version__}: {len(images)} images, the same classes, logits to {difference:.1e}; and back")


# ---- networks that PyTorch trains, and the same for rso


def small():
    """Batch norm with PyTorch's ε, a bias, average pooling, and a batch norm of numbers."""
    model = nn.Sequential(collections.OrderedDict([
        ("conv0", nn.Conv2d(1, 8, 5, stride=2, padding=2)), ("bn0", nn.BatchNorm2d(8)), ("relu0", nn.ReLU()),
        ("conv1", nn.Conv2d(8, 16, 3, padding=1, bias=False)), ("bn1", nn.BatchNorm2d(16, eps=1e-3)),
        ("relu1", nn.LeakyReLU()), ("pool", nn.AvgPool2d(2)), ("flat", nn.Flatten()),
        ("fc0", nn.Linear(16 * 7 * 7, 24)), ("bn2", nn.BatchNorm1d(24)), ("tanh", nn.Tanh()),
        ("fc1", nn.Linear(24, 10))]))
    layers = [
        {"name": "conv0", "type": "conv2d", "channels": 8, "kernel": 5, "stride": 2, "padding": 2, "bias": True},
        {"name": "bn0", "type": "batchNorm", "epsilon": 1e-5}, {"name": "relu0", "type": "relu"},
        {"name": "conv1", "type": "conv2d", "channels": 16, "kernel": 3, "padding": 1},
        {"name": "bn1", "type": "batchNorm", "epsilon": 1e-3}, {"name": "relu1", "type": "leakyReLU"},
        {"name": "pool", "type": "averagePool", "kernel": 2}, {"name": "flat", "type": "flatten"},
        {"name": "fc0", "type": "linear", "features": 24, "bias": True},
        {"name": "bn2", "type": "batchNorm", "epsilon": 1e-5}, {"name": "tanh", "type": "tanh"},
        {"name": "fc1", "type": "linear", "features": 10, "bias": True}]
    return model, layers


class Block(nn.Module):
    """torchvision's BasicBlock."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    blocks = [(8, 8, 1), (8, 16, 2), (16, 16, 1), (16, 32, 2)]

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.layers = nn.ModuleList(Block(*block) for block in self.blocks)
        self.fc = nn.Linear(32, 10)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        for block in self.layers:
            x = block(x)
        return self.fc(x.mean(dim=(2, 3)))


def resnet():
    def conv(name, channels, kernel, stride, **more):
        return {"name": name, "type": "conv2d", "channels": channels, "kernel": kernel, "stride": stride,
                "padding": kernel // 2, **more}

    def norm(name):
        return {"name": name, "type": "batchNorm", "epsilon": 1e-5}

    layers = [conv("conv1", 8, 3, 2), norm("bn1"), {"name": "relu", "type": "relu"}]
    for index, (_, outputs, stride) in enumerate(ResNet.blocks):
        start, name = layers[-1]["name"], f"layers.{index}."
        short = start
        if stride != 1:
            short = name + "downsample.1"
            layers += [conv(name + "downsample.0", outputs, 1, stride), norm(short)]
        layers += [
            conv(name + "conv1", outputs, 3, stride, input=start), norm(name + "bn1"),
            {"name": name + "relu1", "type": "relu"}, conv(name + "conv2", outputs, 3, 1), norm(name + "bn2"),
            {"name": name + "add", "type": "add", "of": short}, {"name": name + "relu2", "type": "relu"}]
    layers += [{"name": "pool", "type": "globalAveragePool"},
               {"name": "fc", "type": "linear", "features": 10, "bias": True}]
    return ResNet(), layers


def to_rso(name, model, layers, mean, std, wrapper=""):
    """Trains and imports the model. rso must find as many images right as PyTorch, and the same loss."""
    train, labels = idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28), idx("train-labels-idx1-ubyte.gz", 8)
    targets = idx("t10k-labels-idx1-ubyte.gz", 8).long()

    def normalized(pixels):  # torchvision's ToTensor and Normalize
        return (pixels / 255 - mean) / std

    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for batch in torch.randperm(12000).split(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(normalized(train[batch])), labels[batch].long()).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(normalized(part)) for part in images.split(1000)]).double()
    loss = nn.functional.cross_entropy(logits, targets).item()
    correct = (logits.argmax(dim=1) == targets).sum().item()
    top = logits.topk(2, dim=1).values
    # Where two classes are as good as equal, rounding decides.
    ties = (top[:, 0] - top[:, 1] < 1e-5).sum().item()

    save_file({wrapper + key: value for key, value in model.state_dict().items()}, f"{name}.safetensors")
    network = {"input": {"channels": 1, "height": 28, "width": 28}, "layers": layers}
    pathlib.Path(f"{name}.json").write_text(json.dumps(network))
    options = [] if (mean, std) == (0, 1) else ["--mean", mean, "--std", std]
    said = run("import", f"{name}.safetensors", "--network", f"{name}.json", *options, "-o", f"{name}-model.safetensors")
    assert ("names of tensors without" in said.stderr) == bool(wrapper), said.stderr
    found = json.loads(run("evaluate", f"{name}-model.safetensors", "--json").stdout)
    assert found["samples"] == len(images)
    assert abs(found["correct"] - correct) <= ties, (found["correct"], correct, ties)
    assert abs(found["loss"] - loss) < 1e-6, (found["loss"], loss)
    assert correct > 0.9 * len(images), "PyTorch's training has failed"

    # The statistics are PyTorch's: a run that keeps them begins with the same evaluation.
    run("train", "--from", f"{name}-model.safetensors", "--only", "fc*", "--freeze", "*.weight", "--statistics",
        "keep", "--cycles", 1, "--train-limit", 200, "--batch", 200, "--run", name, "--quiet")
    untrained = json.loads(pathlib.Path(f"{name}/metrics.jsonl").read_text().splitlines()[0])
    assert untrained["testLoss"] == found["loss"], (untrained, found["loss"])
    print(f"{name}: {found['correct']} of {len(images)} images right as in PyTorch ({ties} ties), "
          f"loss {found['loss']:.9f}, PyTorch's {loss:.9f}")


torch.manual_seed(0)
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    from_rso()
    to_rso("small", *small(), 0.1307, 0.3081, wrapper="module._orig_mod.")
    to_rso("resnet", *resnet(), 0, 1)
