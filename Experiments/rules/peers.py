"""Trains Examples/small.json by other methods, as many loss evaluations as the study `peers` of settings.json uses.

    Experiments/rules/peers                     every method and seed that is missing
    Experiments/rules/peers adam --rate 0.03    one method with another learning rate; prints, keeps nothing

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
import jax.numpy as jnp
import numpy as np
import optax
from evosax.algorithms import Open_ES
from jax.flatten_util import ravel_pytree

here = pathlib.Path(__file__).resolve().parent
root = here.parent.parent
BATCH, VALIDATION, STATISTICS, EPSILON = 128, 5000, 2000, 1e-3
# Cycles and evaluations of a cycle in rso: 4,546 weights, three candidates each.
CYCLES, CYCLE = 10, 3 * 4546
RATES = {"coordinates-sgd": 0.1, "coordinates-adam": 0.01, "back-propagation": 0.01, "openai-es": 0.03, "spsa": 0.003}


# The network

def nodes():
    return json.loads((root / "Examples/small.json").read_text())["layers"]


def initial(seed):
    """He-initialised convolutions and linear layers, γ = 1, β and biases 0; linear: [out, in], conv: [out, in, k, k]."""
    draw, parameters, channels = np.random.default_rng(seed), {}, {}
    previous, shape = "input", (1, 28, 28)
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
    return {name: jnp.asarray(value, jnp.float32) for name, value in parameters.items()}


def forward(parameters, x, statistics=None):
    """Logits, and the moments that batch norm used. x: [N, 1, 28, 28]; statistics: running moments by layer, or None."""
    values, used = {}, {}
    for node in nodes():
        name, kind = node["name"], node["type"]
        if kind == "conv2d":
            s, p = node.get("stride", 1), node.get("padding", 0)
            x = jax.lax.conv_general_dilated(x, parameters[name + ".weight"], (s, s), [(p, p), (p, p)])
            if node.get("bias"):
                x = x + parameters[name + ".bias"][:, None, None]
        elif kind == "batchNorm":
            moments = statistics[name] if statistics else (x.mean((0, 2, 3)), x.var((0, 2, 3)))
            used[name] = moments
            mean, variance = (m[:, None, None] for m in moments)
            scale = parameters[name + ".weight"][:, None, None]
            x = (x - mean) * scale / jnp.sqrt(variance + EPSILON) + parameters[name + ".bias"][:, None, None]
        elif kind == "relu":
            x = jax.nn.relu(x)
        elif kind == "add":
            x = x + values[node["of"]]
        elif kind == "maxPool":
            k = node["kernel"]
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, k, k), (1, 1, k, k), "VALID")
        elif kind == "flatten":
            x = x.reshape(x.shape[0], -1)
        elif kind == "linear":
            x = x @ parameters[name + ".weight"].T + parameters[name + ".bias"]
        else:
            raise ValueError(f"Examples/small.json: unknown layer {kind}")
        values[name] = x
    return x, used


def cross_entropy(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


# Data

def read(name, offset):
    """Images or labels of the bundled MNIST."""
    file = next((root / "Sources/RSO/Resources/mnist").glob(name + "*"))
    return np.frombuffer(gzip.open(file).read() if file.suffix == ".gz" else file.read_bytes(), np.uint8, offset=offset)


def data():
    def split(prefix):
        images = read(f"{prefix}-images", 16).reshape(-1, 1, 28, 28).astype(np.float32) / 255
        return images, read(f"{prefix}-labels", 8).astype(np.int32)

    (x, y), test = split("train"), split("t10k")
    mean = x[:-VALIDATION].mean()
    return (x[:-VALIDATION] - mean, y[:-VALIDATION]), (x[-VALIDATION:] - mean, y[-VALIDATION:]), (test[0] - mean, test[1])


# Methods: each yields, after every step, (how to read the vector, the vector, evaluations so far).

def train(method, rate, seed, train_set):
    start, unravel = ravel_pytree(initial(seed))
    images, labels = train_set
    draw = np.random.default_rng((seed, 1))

    def batch():
        chosen = draw.integers(0, len(labels), BATCH)
        return images[chosen], labels[chosen]

    def loss(vector, x, y):
        return cross_entropy(forward(unravel(vector), x)[0], y)

    budget = CYCLES * CYCLE
    if method == "openai-es":
        yield from evolve(loss, start, batch, rate, seed, budget)
        return
    steps = {"back-propagation": 2, "spsa": 2}.get(method, 2 * start.size)
    schedule = optax.linear_schedule(rate, 0.1 * rate, budget // steps)
    optimiser = optax.sgd(schedule, momentum=0.9) if method == "coordinates-sgd" else optax.adam(schedule)

    @jax.jit
    def step(vector, state, x, y, key):
        if method == "spsa":
            c = 0.01
            signs = jax.random.rademacher(key, vector.shape, vector.dtype)
            gradient = (loss(vector + c * signs, x, y) - loss(vector - c * signs, x, y)) / (2 * c) * signs
        else:
            gradient = jax.grad(loss)(vector, x, y)
        updates, state = optimiser.update(gradient, state)
        return optax.apply_updates(vector, updates), state

    vector, state, evaluations = start, optimiser.init(start), 0
    for number in range(budget // steps):
        vector, state = step(vector, state, *batch(), jax.random.key(seed * 1_000_003 + number))
        evaluations += steps
        yield unravel, vector, evaluations


def evolve(loss, start, batch, rate, seed, budget):
    members = 32
    _, unravel = ravel_pytree(initial(seed))
    schedule = optax.linear_schedule(rate, 0.1 * rate, budget // members)
    strategy = Open_ES(members, start, optimizer=optax.adam(schedule), std_schedule=optax.constant_schedule(0.02))
    key, parameters = jax.random.key(seed), strategy.default_params
    state = strategy.init(key, start, parameters)
    # One after another: convolutions with a kernel for each member are a hundred times as slow on a CPU.
    losses = jax.jit(lambda population, x, y: jax.lax.map(lambda vector: loss(vector, x, y), population))

    @jax.jit
    def ask(key, state):
        return strategy.ask(key, state, parameters)

    @jax.jit
    def tell(key, population, fitness, state):
        return strategy.tell(key, population, fitness, state, parameters)[0]

    for number in range(budget // members):
        key, first, second = jax.random.split(key, 3)
        population, state = ask(first, state)
        state = tell(second, population, losses(population, *batch()), state)
        yield unravel, state.mean, (number + 1) * members


def run(method, rate, seed, sets):
    """Yields rows as in metrics.jsonl, one whenever another cycle's evaluations are used."""
    evaluate = jax.jit(functools.partial(forward))
    began, due = time.time(), CYCLE

    def moments(parameters):
        return evaluate(parameters, sets[0][0][:STATISTICS])[1]

    def score(parameters, part):
        logits, _ = evaluate(parameters, part[0], moments(parameters))
        return float(cross_entropy(logits, part[1])), float((logits.argmax(1) == part[1]).mean())

    best = None
    for unravel, vector, evaluations in train(method, rate, seed, sets[0]):
        if evaluations < due:
            continue
        parameters = unravel(vector)
        loss, accuracy = score(parameters, sets[1])
        if best is None or accuracy > best[0]:
            best = (accuracy, parameters)
        row = {
            "cycle": (evaluations - 1) // CYCLE, "parameter": "all", "validationLoss": loss,
            "validationAccuracy": accuracy, "evaluations": evaluations, "totalSeconds": round(time.time() - began, 3)}
        due = (evaluations // CYCLE + 1) * CYCLE
        if due > CYCLES * CYCLE:
            row["testLoss"], row["testAccuracy"] = score(best[1], sets[2])
        yield row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", nargs="?", choices=RATES)
    parser.add_argument("--rate", type=float, help="the learning rate at the start; it falls to a tenth")
    given = parser.parse_args()
    sets = data()
    if given.method:
        for row in run(given.method, given.rate or RATES[given.method], 0, sets):
            print(json.dumps(row), flush=True)
        return
    seeds = json.loads((here / "settings.json").read_text())["seeds"]
    for seed in seeds:
        for method, rate in RATES.items():
            file = here / "results/peers" / method / f"seed-{seed}.jsonl"
            if file.exists():
                continue
            rows = list(run(method, rate, seed, sets))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
            print(f"peers/{method}/seed-{seed}: {100 * rows[-1]['testAccuracy']:.2f} %", flush=True)


main()
