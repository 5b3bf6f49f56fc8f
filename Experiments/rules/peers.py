"""Trains Examples/small.json by other methods, as many loss evaluations as the study `peers` of settings.json uses.

    Experiments/rules/peers                     every method and seed that is missing
    Experiments/rules/peers spsa --seed 0       one method, one seed
    Experiments/rules/peers spsa --rate 0.03    one method with another learning rate; prints, keeps nothing

Same network, images, mini-batch size, initial widths and validation split as the runs of rso; draws differ. A loss
evaluation is the loss of one weight vector on one mini-batch. Methods:

- back-propagation: Adam; a step counts as two evaluations, since a backward pass costs about one forward pass.
- coordinates-sgd, coordinates-adam: the whole gradient by central differences in every coordinate, two evaluations a
  weight, all on one mini-batch, and then one step. The differences are replaced by the derivative, which they
  approach; only the evaluations that they would take are counted.
- spsa: one random direction of signs, two evaluations, one step with Adam.
- openai-es: evosax's Open_ES, 32 antithetic members, ranks, Adam.
"""
import argparse
import functools
import gzip
import json
import pathlib
import time

import jax
import numpy as np
import optax
import torch
from evosax.algorithms import Open_ES
from torch.nn import functional

here = pathlib.Path(__file__).resolve().parent
root = here.parent.parent
# Threads that wait for each other take longer than such a small network does.
torch.set_num_threads(1)
BATCH, VALIDATION, STATISTICS, EPSILON = 128, 5000, 2000, 1e-3
# Cycles and evaluations of a cycle in rso: 4,546 weights, three candidates each.
CYCLES, CYCLE = 10, 3 * 4546
RATES = {"coordinates-sgd": 0.1, "coordinates-adam": 0.01, "back-propagation": 0.01, "openai-es": 0.03, "spsa": 0.003}


# The network

@functools.cache
def nodes():
    return json.loads((root / "Examples/small.json").read_text())["layers"]


def initial(seed):
    """He-initialised convolutions and linear layers, γ = 1, β and biases 0; linear: [out, in], conv: [out, in, k, k]."""
    draw, parameters = np.random.default_rng(seed), {}
    shape = (1, 28, 28)
    for node in nodes():
        name, kind = node["name"], node["type"]
        if kind == "conv2d":
            k, s, p = node["kernel"], node.get("stride", 1), node.get("padding", 0)
            fan = shape[0] * k * k
            parameters[name + ".weight"] = draw.normal(0, (2 / fan) ** 0.5, (node["channels"], shape[0], k, k))
            shape = (node["channels"], (shape[1] + 2 * p - k) // s + 1, (shape[2] + 2 * p - k) // s + 1)
        elif kind == "maxPool":
            shape = (shape[0], shape[1] // node["kernel"], shape[2] // node["kernel"])
        elif kind == "flatten":
            shape = (int(np.prod(shape)),)
        elif kind == "linear":
            parameters[name + ".weight"] = draw.normal(0, (2 / shape[0]) ** 0.5, (node["features"], shape[0]))
            shape = (node["features"],)
        elif kind == "batchNorm":
            parameters[name + ".weight"], parameters[name + ".bias"] = np.ones(shape[0]), np.zeros(shape[0])
        if node.get("bias"):
            parameters[name + ".bias"] = np.zeros(shape[0])
    return {name: torch.from_numpy(value).float() for name, value in parameters.items()}


class Vector:
    """Parameters as one vector, and back."""

    def __init__(self, parameters):
        self.shapes = {name: value.shape for name, value in parameters.items()}
        self.start = torch.cat([value.flatten() for value in parameters.values()])

    def parameters(self, vector):
        parts = vector.split([shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts)}

    def loss(self, vector, x, y):
        return functional.cross_entropy(forward(self.parameters(vector), x)[0], y)


def forward(parameters, x, statistics=None):
    """Logits, and the moments that batch norm used. x: [N, 1, 28, 28]; statistics: running moments by layer, or None."""
    values, used = {}, {}
    for node in nodes():
        name, kind = node["name"], node["type"]
        if kind == "conv2d":
            x = functional.conv2d(
                x, parameters[name + ".weight"], parameters.get(name + ".bias"), node.get("stride", 1),
                node.get("padding", 0))
        elif kind == "batchNorm":
            moments = statistics[name] if statistics else (x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0))
            used[name] = moments
            mean, variance = (m[:, None, None] for m in moments)
            scale = parameters[name + ".weight"][:, None, None]
            x = (x - mean) * scale / torch.sqrt(variance + EPSILON) + parameters[name + ".bias"][:, None, None]
        elif kind == "relu":
            x = functional.relu(x)
        elif kind == "add":
            x = x + values[node["of"]]
        elif kind == "maxPool":
            x = functional.max_pool2d(x, node["kernel"])
        elif kind == "flatten":
            x = x.flatten(1)
        elif kind == "linear":
            x = functional.linear(x, parameters[name + ".weight"], parameters[name + ".bias"])
        else:
            raise ValueError(f"Examples/small.json: unknown layer {kind}")
        values[name] = x
    return x, used


# Data

def read(name, offset):
    """Images or labels of the bundled MNIST."""
    file = next((root / "Sources/RSO/Resources/mnist").glob(name + "*"))
    return np.frombuffer(gzip.open(file).read() if file.suffix == ".gz" else file.read_bytes(), np.uint8, offset=offset)


def data():
    def split(prefix):
        images = read(f"{prefix}-images", 16).reshape(-1, 1, 28, 28).astype(np.float32) / 255
        return torch.from_numpy(images), torch.from_numpy(read(f"{prefix}-labels", 8).astype(np.int64))

    (x, y), test = split("train"), split("t10k")
    mean = x[:-VALIDATION].mean()
    return (x[:-VALIDATION] - mean, y[:-VALIDATION]), (x[-VALIDATION:] - mean, y[-VALIDATION:]), (test[0] - mean, test[1])


# Methods: each yields, after every step, the vector, the evaluations so far, and whether it was the last step.

def train(method, rate, seed, network, train_set):
    images, labels = train_set
    draw, budget = np.random.default_rng((seed, 1)), CYCLES * CYCLE

    def batch():
        chosen = torch.from_numpy(draw.integers(0, len(labels), BATCH))
        return images[chosen], labels[chosen]

    if method == "openai-es":
        yield from evolve(network, batch, rate, seed, budget)
        return
    each = {"back-propagation": 2, "spsa": 2}.get(method, 2 * network.start.numel())
    steps = budget // each
    vector = network.start.clone().requires_grad_()
    sgd = method == "coordinates-sgd"
    optimiser = torch.optim.SGD([vector], rate, momentum=0.9) if sgd else torch.optim.Adam([vector], rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - 0.9 * step / steps)
    for number in range(steps):
        x, y = batch()
        if method == "spsa":
            with torch.no_grad():
                c, signs = 0.01, torch.from_numpy(draw.choice(np.float32([-1, 1]), vector.numel()))
                rise = network.loss(vector + c * signs, x, y) - network.loss(vector - c * signs, x, y)
                vector.grad = rise / (2 * c) * signs
        else:
            optimiser.zero_grad()
            network.loss(vector, x, y).backward()
        optimiser.step()
        schedule.step()
        yield vector.detach(), (number + 1) * each, number + 1 == steps


def evolve(network, batch, rate, seed, budget):
    members = 32
    start = jax.numpy.asarray(network.start.numpy())
    optimiser = optax.adam(optax.linear_schedule(rate, 0.1 * rate, budget // members))
    strategy = Open_ES(members, start, optimizer=optimiser, std_schedule=optax.constant_schedule(0.02))
    key, given = jax.random.key(seed), strategy.default_params
    state = strategy.init(key, start, given)
    ask = jax.jit(lambda key, state: strategy.ask(key, state, given))
    tell = jax.jit(lambda key, population, fitness, state: strategy.tell(key, population, fitness, state, given)[0])
    steps = budget // members
    for number in range(steps):
        key, first, second = jax.random.split(key, 3)
        population, state = ask(first, state)
        x, y = batch()
        with torch.no_grad():
            fitness = [float(network.loss(vector, x, y)) for vector in torch.from_numpy(np.array(population))]
        state = tell(second, population, jax.numpy.asarray(fitness), state)
        yield torch.from_numpy(np.array(state.mean)), (number + 1) * members, number + 1 == steps


def run(method, rate, seed, sets):
    """Yields rows as in metrics.jsonl, one whenever another cycle's evaluations are used."""
    network = Vector(initial(seed))
    began, due, best = time.time(), CYCLE, None

    @torch.no_grad()
    def score(parameters, part):
        moments = forward(parameters, sets[0][0][:STATISTICS])[1]
        logits, _ = forward(parameters, part[0], moments)
        return float(functional.cross_entropy(logits, part[1])), float((logits.argmax(1) == part[1]).float().mean())

    for vector, evaluations, isLast in train(method, rate, seed, network, sets[0]):
        if evaluations < due and not isLast:
            continue
        parameters = {name: value.clone() for name, value in network.parameters(vector).items()}
        loss, accuracy = score(parameters, sets[1])
        if best is None or accuracy > best[0]:
            best = (accuracy, parameters)
        row = {
            "cycle": (evaluations - 1) // CYCLE, "parameter": "all", "validationLoss": loss,
            "validationAccuracy": accuracy, "evaluations": evaluations, "totalSeconds": round(time.time() - began, 3)}
        due = (evaluations // CYCLE + 1) * CYCLE
        if isLast:
            row["testLoss"], row["testAccuracy"] = score(best[1], sets[2])
        yield row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", nargs="?", choices=RATES)
    parser.add_argument("--rate", type=float, help="the learning rate at the start; it falls to a tenth")
    parser.add_argument("--seed", type=int, help="only that seed")
    given = parser.parse_args()
    sets = data()
    if given.rate:
        for row in run(given.method, given.rate, given.seed or 0, sets):
            print(json.dumps(row), flush=True)
        return
    seeds = json.loads((here / "settings.json").read_text())["seeds"]
    for seed in seeds if given.seed is None else [given.seed]:
        for method, rate in RATES.items():
            file = here / "results/peers" / method / f"seed-{seed}.jsonl"
            if file.exists() or given.method not in (None, method):
                continue
            rows = list(run(method, rate, seed, sets))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
            print(f"peers/{method}/seed-{seed}: {100 * rows[-1]['testAccuracy']:.2f} %", flush=True)


main()
