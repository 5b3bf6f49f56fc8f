"""Trains the networks of the studies by back-propagation, for the tables in docs/losses.md; writes peers.md.

    python Experiments/losses/peers.py        needs: pip install numpy scikit-learn torch, and data.py to have run

Adam with learning rates of 0.001, 0.003 and 0.01; for every seed, the rate and the epoch are those that are best on a tenth
of the training samples, kept out of training. Three seeds; test samples, mean ± deviation.
"""
import pathlib
import statistics

import numpy as np
import torch
from sklearn import metrics
from torch import nn

import size

torch.set_num_threads(1)
here = pathlib.Path(__file__).resolve().parent


def load(name, split):
    folder = here / "data" / name
    x = np.load(folder / f"{split}_images.npy").astype("f4")
    if x.ndim == 3:
        x = x[:, None] / 255
    labels = folder / f"{split}_labels.npy"
    y = np.load(labels).astype("i8") if labels.exists() else np.load(folder / f"{split}_targets.npy")
    return torch.from_numpy(x), torch.from_numpy(y)


class Small(nn.Module):
    """Examples/small.json"""

    def __init__(self):
        super().__init__()
        self.conv0, self.bn0 = nn.Conv2d(1, 8, 5, 2, 2, bias=False), nn.BatchNorm2d(8)
        self.conv1, self.bn1 = nn.Conv2d(8, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.fc = nn.Conv2d(8, 16, 3, 2, 1), nn.Linear(256, 10)

    def forward(self, x):
        a = self.bn0(self.conv0(x))
        x = torch.relu(self.bn1(self.conv1(torch.relu(a))) + a)
        return self.fc(torch.relu(self.conv2(nn.functional.max_pool2d(x, 2))).flatten(1))


def layers(*widths):
    made = [nn.Flatten()]
    for a, b in zip(widths, widths[1:]):
        made += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*made[:-1])


def outputs(network, x):
    network.eval()
    with torch.no_grad():
        return torch.cat([network(part) for part in x.split(5000)])


def train(make, name, loss, value, epochs, batch, seed):
    """The test outputs of the network that is best by `value`, the larger the better, on the validation samples."""
    x, y = load(name, "train")
    mean, deviation = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)
    if name == "imbalanced":
        deviation = torch.ones_like(deviation)
    x = (x - mean) / deviation
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(x)))
    held, own = order[: len(x) // 10], order[len(x) // 10:]
    best, test = -np.inf, None
    for rate in (0.001, 0.003, 0.01):
        torch.manual_seed(seed)
        network = make()
        adam = torch.optim.Adam(network.parameters(), rate)
        for _ in range(epochs):
            network.train()
            for part in own[torch.randperm(len(own))].split(batch):
                adam.zero_grad()
                loss(network(x[part]), y[part]).backward()
                adam.step()
            found = value(outputs(network, x[held]), y[held])
            if found > best:
                best, test = found, outputs(network, (load(name, "test")[0] - mean) / deviation)
    return test


def f1(x, y):
    return metrics.f1_score(y, x.argmax(1), average="macro")


def auc(x, y):
    return metrics.roc_auc_score(y, x[:, 1] - x[:, 0])


def less(loss):
    return lambda x, y: -loss(x, y).item()


counts = np.bincount(load("imbalanced", "train")[1])
weights = torch.tensor(counts.sum() / (len(counts) * counts), dtype=torch.float32)
cross_entropy, balanced = nn.CrossEntropyLoss(), nn.CrossEntropyLoss(weight=weights)
squared, absolute = nn.MSELoss(), nn.L1Loss()
bits = lambda x, y: size.bits(x[:, 0].double().numpy(), size.pixels["test"])
studies = [
    ("cancer", "linear layer, cross entropy", lambda: layers(30, 2), cross_entropy, less(cross_entropy), 100, 32, "AUC", auc),
    ("cancer", "16 hidden units, cross entropy", lambda: layers(30, 16, 2), cross_entropy, less(cross_entropy), 100, 32, "AUC", auc),
    ("diabetes", "linear layer, squared error", lambda: layers(10, 1), squared, less(squared), 100, 32, "squared error",
     lambda x, y: squared(x, y).item()),
    ("diabetes", "16 hidden units, squared error", lambda: layers(10, 16, 1), squared, less(squared), 100, 32, "squared error",
     lambda x, y: squared(x, y).item()),
    ("photos", "8 hidden units, squared error", lambda: layers(6, 8, 1), squared, less(squared), 30, 256, "bits per pixel", bits),
    ("photos", "8 hidden units, absolute error", lambda: layers(6, 8, 1), absolute, less(absolute), 30, 256, "bits per pixel", bits),
    ("imbalanced", "Examples/small.json, cross entropy", Small, cross_entropy, f1, 6, 128, "macro-F1", f1),
    ("imbalanced", "Examples/small.json, weights=balanced", Small, balanced, f1, 6, 128, "macro-F1", f1),
]
lines = ["<!-- Written by Experiments/losses/peers.py. -->", "", "| data | network and loss, by back-propagation | measure | test |", "|---|---|---|---:|"]
for name, words, make, loss, value, epochs, batch, measure, judge in studies:
    y = load(name, "test")[1]
    found = [float(judge(train(make, name, loss, value, epochs, batch, seed), y)) for seed in range(3)]
    lines.append(f"| {name} | {words} | {measure} | {statistics.mean(found):.4f} ± {statistics.stdev(found):.4f} |")
    print(lines[-1], flush=True)
(here / "peers.md").write_text("\n".join(lines) + "\n")
