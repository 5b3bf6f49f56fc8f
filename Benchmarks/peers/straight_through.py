"""Trains the networks of Experiments/quantized by back-propagation through straight-through estimators.

    python Benchmarks/peers/straight_through.py --rso .build/release/rso          all that is missing; about an hour
    python Benchmarks/peers/straight_through.py --rso rso --only 'ternary, 4 bits' --seeds 0
    python Benchmarks/peers/straight_through.py --tune 'ternary, 4 bits'          validation accuracy by learning rate

needs: pip install numpy safetensors torch

Forward, the weights are levels k · a with the scales a that rso gives drawn weights, and the activations are those of
`quantize`: exactly what rso computes, but for rounding. Backward, the steps are passed as if they were not there,
within the range of their levels. Batch norm uses the statistics of the mini-batch. Adam's learning rate falls to zero
along a cosine. The epoch with the best accuracy on the last 5,000 training images is kept: rso imports its levels and
evaluates the test images once. Results go to Experiments/quantized/results/peers, as metrics.jsonl has them; a step
counts as two loss evaluations. The weights of the float network go to Experiments/quantized/data for the study
`repair`.
"""
import argparse
import fnmatch
import json
import math
import pathlib
import subprocess
import time

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

import network as peers

here = pathlib.Path(__file__).resolve().parent
root = here.parent.parent
experiment = root / "Experiments/quantized"
VALIDATION, BATCH, EPOCHS = 5000, 100, 5
RATES = (0.003, 0.01, 0.03)
# Of a domain: its highest level, and the distance of levels in initial deviations (docs/quantized.md).
DOMAINS = {"float": None, "binary": (1, 0.798), "ternary": (1, 1.224), "int4": (7, 0.353)}
ACTIVATIONS = {"ReLU": "relu", "2 bits": "bits2", "4 bits": "bits4"}
# The best of RATES by `--tune` with `--epochs 1`, of ReLU for floats and of 4 bits for the others.
RATE = {"float": 0.01, "binary": 0.01, "ternary": 0.03, "int4": 0.03}


class Weight(nn.Module):
    """A weight tensor, forward as its levels times a power of two."""

    def __init__(self, shape, domain):
        super().__init__()
        deviation = math.sqrt(2 / math.prod(shape[1:]))
        self.weight = nn.Parameter(torch.randn(shape) * deviation)
        self.domain = domain
        if DOMAINS[domain]:
            self.top, step = DOMAINS[domain]
            self.scale = 2.0 ** round(math.log2(step * deviation))

    def hard(self):
        w = self.weight
        if not DOMAINS[self.domain]:
            return w
        if self.domain == "binary":
            levels = torch.where(w < 0, -1.0, 1.0)
        else:
            levels = (w / self.scale).round().clamp(-self.top, self.top)
        # The second term is zero, and has the gradient.
        return levels * self.scale + (w - w.detach())

    @torch.no_grad()
    def clip(self):
        """Half a level beyond the last one, so that a weight comes back as soon as its gradient turns."""
        if DOMAINS[self.domain]:
            limit = (self.top + 0.5) * self.scale
            self.weight.clamp_(-limit, limit)


class Quantize(torch.autograd.Function):
    """The levels i / 2^bits of [0, 1); the gradient passes within [0, 1]."""

    @staticmethod
    def forward(context, x, bits):
        context.save_for_backward(x)
        context.factor = (2**bits - 1) / 2**bits
        return x.clamp(0, 1).mul_(2**bits - 1).round_().div_(2**bits)

    @staticmethod
    def backward(context, gradient):
        (x,) = context.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradient, x, 0, 1).mul_(context.factor), None


class Network(nn.Module):
    """A chain of layers as rso's JSON describes it."""

    def __init__(self, file, domain):
        super().__init__()
        description = json.loads(file.read_text())
        self.nodes, self.layers = description["layers"], nn.ModuleDict()
        channels = description["input"]["channels"]
        for place, node in enumerate(self.nodes):
            name, kind = node["name"], node["type"]
            if kind == "conv2d":
                shape = (node["channels"], channels, node["kernel"], node["kernel"])
                self.layers[name], channels = Weight(shape, domain), node["channels"]
            elif kind == "linear":
                self.layers[name] = Weight((node["features"], channels), domain)
            elif kind == "batchNorm":
                self.layers[name] = nn.BatchNorm2d(channels, eps=peers.EPSILON)
                behind = next(later["type"] for later in self.nodes[place + 1 :] if "Pool" not in later["type"])
                if behind == "quantize":
                    # As rso begins: the levels 0 to 1 reach from -1/2 to 3/2 deviations.
                    nn.init.constant_(self.layers[name].weight, 0.5)
                    nn.init.constant_(self.layers[name].bias, 0.25)

    def forward(self, x):
        for node in self.nodes:
            name, kind = node["name"], node["type"]
            if kind == "conv2d":
                x = functional.conv2d(x, self.layers[name].hard(), padding=node["padding"])
            elif kind == "linear":
                x = functional.linear(x.flatten(1), self.layers[name].hard())
            elif kind == "batchNorm":
                x = self.layers[name](x)
            elif kind == "relu":
                x = functional.relu(x)
            elif kind == "quantize":
                x = Quantize.apply(x, node["bits"])
            elif kind == "averagePool":
                x = functional.avg_pool2d(x, node["kernel"])
            elif kind == "globalMaxPool":
                x = x.amax((2, 3), keepdim=True)
            else:
                raise SystemExit(f"straight_through: expected layers of the paper's network, found {kind}")
        return x

    def clip(self):
        for layer in self.layers.values():
            if isinstance(layer, Weight):
                layer.clip()

    def tensors(self):
        """A state_dict under rso's names, with the weights as they are exported."""
        found = {}
        for name, layer in self.layers.items():
            if isinstance(layer, Weight):
                found[f"{name}.weight"] = layer.hard().detach().clone()
            else:
                for key in ("weight", "bias", "running_mean", "running_var"):
                    found[f"{name}.{key}"] = getattr(layer, key).detach().clone()
        return found


def data():
    """Training and validation images / 256 with labels, from the MNIST that rso contains."""
    folder = root / "Sources/RSO/Resources/mnist"
    images, labels = (
        torch.from_numpy(peers.read_idx(next(folder.glob(f"train-{part}*"))).copy()) for part in ("images", "labels"))
    images = images[:, None].float() / 256
    return (images[:-VALIDATION], labels[:-VALIDATION].long()), (images[-VALIDATION:], labels[-VALIDATION:].long())


@torch.no_grad()
def score(network, images, labels):
    network.eval()
    logits = torch.cat([network(part.to(memory_format=torch.channels_last)) for part in images.split(1000)])
    loss = functional.cross_entropy(logits.double(), labels).item()
    return loss, (logits.argmax(1) == labels).double().mean().item()


def train(name, rate, epochs, seed, sets):
    """Yields, after every epoch, a row as in metrics.jsonl and the tensors."""
    torch.manual_seed(seed)
    domain, activation = name.split(", ")
    network = Network(experiment / f"{ACTIVATIONS[activation]}.json", domain)
    images, labels = sets[0]
    steps, done, began = epochs * (len(labels) // BATCH), 0, time.time()
    adam = torch.optim.Adam(network.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for epoch in range(epochs):
        network.train()
        for chosen in torch.randperm(len(labels))[: len(labels) // BATCH * BATCH].split(BATCH):
            adam.zero_grad()
            functional.cross_entropy(network(images[chosen].to(memory_format=torch.channels_last)), labels[chosen]).backward()
            adam.step()
            schedule.step()
            network.clip()
            done += 1
        loss, accuracy = score(network, *sets[1])
        yield {
            "cycle": epoch, "parameter": "all", "validationLoss": loss, "validationAccuracy": accuracy,
            "evaluations": 2 * done, "totalSeconds": round(time.time() - began, 3), "rate": rate}, network.tensors()


def evaluated(rso, name, tensors, folder):
    """Loss and accuracy on the test images, as rso evaluates the network that it imported."""
    domain, activation = name.split(", ")
    folder.mkdir(parents=True, exist_ok=True)
    # Where JSON names no domain, weights are floats.
    description = json.loads((experiment / f"{ACTIVATIONS[activation]}.json").read_text())
    for node in description["layers"]:
        if node["type"] in ("conv2d", "linear"):
            node["weights"] = domain
    (folder / "network.json").write_text(json.dumps(description))
    save_file(tensors, folder / "weights.safetensors", {"divisor": "256", "mean": "[0]"})
    model = folder / "model.safetensors"
    subprocess.run(
        [rso, "import", folder / "weights.safetensors", "--network", folder / "network.json", "-o", model, "--quiet"],
        check=True, stderr=subprocess.DEVNULL)
    found = subprocess.run([rso, "evaluate", model, "--json"], check=True, capture_output=True, text=True)
    return json.loads(found.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rso", metavar="FILE", help="the program that imports and evaluates")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="networks whose names match; repeatable")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tune", metavar="NAME", help="only compare learning rates for this network, with seed 0")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    sets = data()
    if given.tune:
        for rate in RATES:
            for row, _ in train(given.tune, rate, given.epochs, 0, sets):
                print(given.tune, json.dumps(row), flush=True)
        return
    if not given.rso:
        parser.error("expected --rso FILE, found none")
    names = ["float, ReLU"] + [f"{domain}, {name}" for domain in DOMAINS if DOMAINS[domain] for name in ACTIVATIONS]
    for seed in given.seeds:
        for name in names:
            file = experiment / "results/peers" / name / f"seed-{seed}.jsonl"
            if file.exists() or given.only and not any(fnmatch.fnmatch(name, pattern) for pattern in given.only):
                continue
            rows, best = [], None
            for row, tensors in train(name, RATE[name.split(", ")[0]], given.epochs, seed, sets):
                rows.append(row)
                if best is None or row["validationAccuracy"] > best[0]:
                    best = (row["validationAccuracy"], tensors)
            test = evaluated(given.rso, name, best[1], experiment / "data" / name / f"seed-{seed}")
            rows[-1] |= {"testLoss": test["loss"], "testAccuracy": test["accuracy"]}
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
            print(f"{name}, seed {seed}: {100 * best[0]:.2f} % validation, {100 * test['accuracy']:.2f} % test", flush=True)


main()
