"""Checks runs of `rso` with a second forward pass, in NumPy and double precision.

    python check.py RSO MNIST_FOLDER        needs: pip install numpy safetensors

It trains the paper's two networks for a moment with one mini-batch of 300 images, reads `--save-initial` and
`--trace`, and recomputes initial statistics, the losses of a sample of proposals, and what the rule makes of the losses
of every proposal. Nothing is shared with the
Swift code: the networks are written down here once more, from the paper and its authors' script.

CIFAR-10's images are noise in its binary format: what they show does not matter here. Its sweeps are stopped after
their first proposals: the whole cycle would take half an hour.
"""
import gzip
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import zlib

import numpy as np
from safetensors import safe_open

SAMPLES = 300
EPSILON = 1e-3
WEIGHT_DECAY = 1e-4
# Single precision rounds by 6e-8; a loss is what a hundred or so such roundings in a row leave, and batch norm on
# few samples enlarges them.
LOSS_BOUND = 1e-5


class Paper:
    """One of the paper's networks; blocks are counted from 0, and block −1 is the images."""

    def __init__(self, filters, pools, shortcuts, starts):
        self.filters = filters
        self.pools = pools
        self.shortcuts = shortcuts  # block: the earlier block that is added to it
        self.starts = starts  # block: the block whose output is kept while it is swept
        self.last = len(filters) - 1

    def start(self, tensor):
        layer = tensor.split(".")[0]
        if layer == "fc":
            return self.last
        return self.starts[int(layer.lstrip("abcdefghijklmnopqrstuvwxyz_"))]


MNIST = Paper([16] * 6, {1, 3}, {}, [-1, 0, 1, 2, 3, 4])
CIFAR10 = Paper(
    [16] * 3 + [32] * 6, {2, 4}, {2: 0, 4: 2, 6: 4, 8: 6}, [-1, 0, 0, 2, 2, 4, 4, 6, 6])


# What becomes of the losses of w, w + Δ, w − Δ.


class Rule:
    """A rule in a run of some cycles; `round` proposals are judged from the same weights."""

    def __init__(self, name="best", cycles=1, round=1):
        self.name, self.cycles, self.round = name, cycles, round
        # tensor: running means of its squared slopes and of its curvatures, each with the sum of the weights in it
        self.learnt = {}

    @property
    def options(self):
        return ["--rule", self.name, "--cycles", str(self.cycles), "--round", str(self.round)]

    def value(self, line, width):
        """The new value, in double precision; `width` is the tensor's σ."""
        left = (self.cycles - line["cycle"]) / self.cycles
        w, delta, losses = line["candidates"][0], line["delta"], line["losses"]
        is_known = losses[0] is not None
        best = line["candidates"][smallest(losses)] if is_known else w
        if self.name == "best" or delta == 0 or None in losses[1:]:
            return best
        slope = (losses[1] - losses[2]) / (2 * delta)
        curvature = ((losses[1] - losses[0]) + (losses[2] - losses[0])) / delta**2 if is_known else None
        if self.name == "parabola":
            step = np.clip(-slope / curvature, -2 * abs(delta), 2 * abs(delta)) if curvature > 0 else best - w
            return w + (0.2 + 0.8 * left) * step
        squares, weight, curvatures, measured = self.learnt.get(line["parameter"], (0, 0, 0, 0))
        squares, weight = 0.99 * squares + 0.01 * slope**2, 0.99 * weight + 0.01
        if is_known:
            curvatures, measured = 0.99 * curvatures + 0.01 * curvature, 0.99 * measured + 0.01
        self.learnt[line["parameter"]] = squares, weight, curvatures, measured
        typical = 0.5 * width * (0.1 + 0.9 * left)  # c · σ
        if slope == 0:
            return w
        step = -slope / (max(0, curvatures / measured) + np.sqrt(squares / weight) / typical)
        return w + np.clip(step, -3 * typical, 3 * typical)


def smallest(losses):
    """The index of the smallest loss. `null` is what is infinite or was not computed."""
    return int(np.argmin([np.inf if loss is None else loss for loss in losses]))


def width(key, shape):
    """The σ of a tensor."""
    if "bn" in key:
        return 0.167
    if key == "fc.weight":
        return np.sqrt(2 / shape[1])
    return np.sqrt(2 / (9 * shape[1]))


# The forward pass. Images are [N, C, H, W].


def convolution(x, w):
    """Stride 1, and as much padding as keeps the size."""
    (n, c, height, width), k = x.shape, w.shape[2]
    x = np.pad(x, [(0, 0), (0, 0), (k // 2, k // 2), (k // 2, k // 2)])
    y = 0
    for row in range(k):
        for column in range(k):
            part = x[:, :, row:row + height, column:column + width].reshape(n, c, -1)
            y = y + w[:, :, row, column] @ part
    return y.reshape(n, len(w), height, width)


def batch_norm(x, name, weights, running, found):
    mean, variance = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
    found[name] = mean, variance
    if running:
        mean, variance = running[name]
    scale = weights[name + ".weight"] / np.sqrt(variance + EPSILON)
    return (x - mean[:, None, None]) * scale[:, None, None] + weights[name + ".bias"][:, None, None]


def forward(paper, weights, outputs, first, stop=None, running=None):
    """Goes on from the blocks' outputs so far: `outputs[first - 1]` and those that shortcuts take."""
    outputs, found = dict(outputs), {}
    for block in range(first, paper.last + 1 if stop is None else stop):
        x = outputs[block - 1]
        z = convolution(np.maximum(x, 0) if block > 0 else x, weights[f"conv{block}.weight"])
        if block in paper.shortcuts:
            source = paper.shortcuts[block]
            short = outputs[source]
            if paper.filters[source] != paper.filters[block]:
                short = convolution(short, weights[f"shortcut{block}.weight"])
                short = batch_norm(short, f"shortcut_bn{block}", weights, running, found)
            z = z + short
        if block in paper.pools:
            n, c, height, width = z.shape
            z = z.reshape(n, c, height // 2, 2, width // 2, 2).mean(axis=(3, 5))
        outputs[block] = batch_norm(z, f"bn{block}", weights, running, found)
    return outputs, found


def loss(paper, weights, outputs, labels):
    """Softmax cross entropy, summed."""
    features = outputs[paper.last].max(axis=(2, 3))
    logits = features @ weights["fc.weight"].T
    logits -= logits.max(axis=1, keepdims=True)
    picked = logits[np.arange(len(labels)), labels]
    return float(np.sum(np.log(np.exp(logits).sum(axis=1)) - picked))


# What rso wrote.


def read_model(path):
    with safe_open(path, "np") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
    check_digest(path, tensors, metadata)
    return tensors, metadata


def check(holds, what):
    if not holds:
        sys.exit(f"independent check: FAILED: {what}")


def check_digest(path, tensors, metadata):
    """CRC-32 of the content, as docs/files.md says."""
    metadata = dict(metadata)
    digest = metadata.pop("content_crc32")
    quoted = lambda text: json.dumps(text, ensure_ascii=False)
    content = "".join(f"{quoted(key)}:{quoted(metadata[key])}\n" for key in sorted(metadata)).encode()
    for name in sorted(tensors):
        content += f"{quoted(name)}:F32{list(tensors[name].shape)}\n".encode() + tensors[name].tobytes()
    check(digest == f"crc32:{zlib.crc32(content):08x}", f"{path}: the digest of its content")


def check_initial(name, paper, tensors, metadata, images):
    """Draws, shapes, batch norm's statistics, and the images' mean."""
    pixels = images / 255
    mean = pixels.mean(axis=(0, 2, 3))
    check(np.allclose(json.loads(metadata["mean"]), mean, rtol=1e-6), f"{name}: the images' mean")
    shapes, widths, channels = {}, {}, images.shape[1]
    for block, filters in enumerate(paper.filters):
        shapes[f"conv{block}.weight"] = (filters, channels, 3, 3)
        widths[f"conv{block}.weight"] = np.sqrt(2 / (9 * channels))
        source = paper.shortcuts.get(block)
        if source is not None and paper.filters[source] != filters:
            shapes[f"shortcut{block}.weight"] = (filters, paper.filters[source], 1, 1)
            # The script's fan-in here is that of the block's convolution without its 3×3.
            widths[f"shortcut{block}.weight"] = np.sqrt(2 / channels)
        channels = filters
    shapes["fc.weight"], widths["fc.weight"] = (10, channels), np.sqrt(2 / channels)
    drawn = {key for key in tensors if "bn" not in key}
    check(drawn == set(shapes), f"{name}: expected the tensors {set(shapes)}, found {drawn}")
    for key, shape in shapes.items():
        values = tensors[key].astype(np.float64)
        check(values.shape == shape, f"{name}: {key} has the shape {values.shape}")
        deviation = values.std() / widths[key]
        # Five standard errors of a deviation and of a mean.
        check(abs(deviation - 1) < 5 / np.sqrt(2 * values.size), f"{name}: {key}: {deviation} σ")
        check(
            abs(values.mean()) < 5 * widths[key] / np.sqrt(values.size), f"{name}: mean of {key}")
    for key in tensors:
        if "bn" in key and "running" not in key:
            check(np.all(tensors[key] == (1 if key.endswith("weight") else 0)), f"{name}: {key}")

    weights = {key: value.astype(np.float64) for key, value in tensors.items()}
    x = pixels - mean[:, None, None]
    _, found = forward(paper, weights, {-1: x}, 0)
    for norm, (mean, variance) in found.items():
        deviation = np.sqrt(variance)
        difference = np.abs(weights[norm + ".running_mean"] - mean) / deviation
        check(difference.max() < LOSS_BOUND, f"{name}: the mean of {norm} differs by {difference.max()} σ")
        difference = np.abs(weights[norm + ".running_var"] / variance - 1)
        check(difference.max() < LOSS_BOUND, f"{name}: the variance of {norm} differs by {difference.max()}")
    return len(found)


def check_trace(name, paper, tensors, trace, images, labels, per_tensor, rule):
    """Recomputes every decision, and the losses of some proposals of every tensor; returns the losses' number and the
    largest difference."""
    weights = {key: value.astype(np.float64) for key, value in tensors.items()}
    singles = {key: value.copy() for key, value in tensors.items()}
    x = images / 255
    x -= x.mean(axis=(0, 2, 3))[:, None, None]
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    check(lines, f"{name}: the trace is empty")
    counts, compared, largest, kept = {}, 0, 0.0, None
    totals, pending = {}, []
    for line in lines:
        totals[line["parameter"]] = totals.get(line["parameter"], 0) + 1
    for line in lines:
        key, index = line["parameter"], line["index"]
        turn = counts[key] = counts.get(key, -1) + 1
        place = f"{name}: {key}[{index}]"
        w = singles[key].flat[index]
        decayed = w * np.float32(1 - WEIGHT_DECAY)
        delta, candidates = np.float32(line["delta"]), [np.float32(c) for c in line["candidates"]]
        expected = [decayed, decayed + delta, decayed - delta]
        check(candidates == expected, f"{place}: the candidates of {w}")
        check(line["batch"] == 0, f"{place}: mini-batch {line['batch']} of one")
        check(line["choice"] == smallest(line["losses"]), f"{place}: the choice {line['choice']}")
        # The rule `slope` wants the loss of w itself from every 16th proposal of a sweep only.
        wanted = rule.name != "slope" or turn % tensors[key].size % 16 == 0
        check((line["losses"][0] is not None) == wanted, f"{place}: the losses {line['losses']}")
        value, own = np.float32(line["value"]), rule.value(line, width(key, tensors[key].shape))
        if rule.name == "best":
            check(value == candidates[line["choice"]], f"{place}: kept {value} of {candidates}")
        else:
            bound = 1e-6 * max(abs(float(decayed)), abs(own))
            check(abs(value - own) <= bound, f"{place}: expected the value {own}, found {value}")

        step = max(totals[key] // per_tensor, 1)
        if turn % step == step // 2:
            first = paper.start(key) + 1
            # One mini-batch is the whole set: its order does not matter to a sum. What is kept lies below the swept
            # block, where no weight changes until the next block's turn.
            if kept is None or kept[0] != (first, key, line["cycle"]):
                _, statistics = forward(paper, weights, {-1: x}, 0, stop=first)
                below, _ = forward(paper, weights, {-1: x}, 0, stop=first, running=statistics)
                kept = (first, key, line["cycle"]), below
            for candidate, found in zip(candidates, line["losses"]):
                if found is None:
                    continue
                weights[key].flat[index] = candidate
                outputs, _ = forward(paper, weights, kept[1], first)
                own = loss(paper, weights, outputs, labels)
                difference = abs(own - found) / own
                check(difference < LOSS_BOUND, f"{place}: expected a loss of {own}, found {found}")
                largest, compared = max(largest, difference), compared + 1
            weights[key].flat[index] = w
        pending.append((key, index, value))
        # A round ends with the sweep, too.
        done = turn % tensors[key].size + 1
        if done % rule.round == 0 or done == tensors[key].size:
            for key, index, value in pending:
                singles[key].flat[index] = weights[key].flat[index] = value
            pending = []
    return compared, largest, singles, totals


# Runs.


def train(rso, scratch, options, stop_early=False):
    """Runs `rso train`; stopped early, it ends after its first proposals."""
    folder = scratch / "run"
    initial, trace = scratch / "initial.safetensors", scratch / "trace.jsonl"
    command = [
        rso, "train", "--train-limit", str(SAMPLES), "--test-limit", "10", "--batch", str(SAMPLES),
        "--run", str(folder), "--save-initial", str(initial), "--trace", str(trace)]
    process = subprocess.Popen(
        command + options, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if stop_early and line.startswith("cycle"):
            # A stop is obeyed at once, so there would be no proposal to check.
            while process.poll() is None and not (trace.exists() and trace.stat().st_size):
                time.sleep(0.005)
            process.send_signal(signal.SIGINT)
            break
    _, errors = process.communicate()
    expected = (130, 0) if stop_early else (0,)
    check(
        process.returncode in expected,
        f"{' '.join(command + options)} ended with {process.returncode}: {errors}")
    return folder, initial, trace


def read_mnist(folder):
    def content(name, header):
        return np.frombuffer(gzip.open(folder / name).read(), np.uint8, offset=header)

    images = content("train-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    return images[:SAMPLES].astype(np.float64), content("train-labels-idx1-ubyte.gz", 8)[:SAMPLES]


def write_cifar10(folder):
    """Noise of another brightness for every class and channel; the first of the images and labels."""
    generator = np.random.default_rng(10)
    for name in [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]:
        records = generator.integers(0, 256, (10000, 3073), np.uint8)
        records[:, 0] %= 10
        records[:, 1:1025] //= 2 + records[:, :1] % 3
        records.tofile(folder / name)
        if name == "data_batch_1.bin":
            first = records[:SAMPLES].copy()
    return first[:, 1:].reshape(-1, 3, 32, 32).astype(np.float64), first[:, 0]


def check_run(name, paper, rso, options, images, labels, per_tensor, stop_early=False, rule=Rule()):
    with tempfile.TemporaryDirectory() as scratch:
        folder, initial, trace = train(
            rso, pathlib.Path(scratch), options + rule.options, stop_early)
        tensors, metadata = read_model(initial)
        norms = check_initial(name, paper, tensors, metadata, images)
        compared, largest, final, totals = check_trace(
            name, paper, tensors, trace, images, labels, per_tensor, rule)
        if not stop_early:
            model, _ = read_model(folder / "checkpoint.safetensors")
            for key in totals:
                check(np.array_equal(model[key], final[key]), f"{name}: {key} is not what the trace says")
    print(
        f"{name}: statistics of {norms} batch norms, {sum(totals.values())} proposals of "
        f"{len(totals)} tensors, {compared} losses recomputed, to {largest:.1e}", flush=True)


def main(rso, mnist):
    images, labels = read_mnist(pathlib.Path(mnist))
    check_run("MNIST", MNIST, rso, ["--layers", "6"], images, labels, 3)
    upper = ["--layers", "6", "--sweeps", "conv0=0,conv1=0,conv2=0,conv3=0"]
    for rule in [Rule("slope", 2), Rule("parabola", 2), Rule("best", 1, 144), Rule("slope", 2, 5)]:
        check_run(
            f"MNIST, {rule.name}, rounds of {rule.round}", MNIST, rso, upper, images, labels, 3, rule=rule)
    with tempfile.TemporaryDirectory() as folder:
        images, labels = write_cifar10(pathlib.Path(folder))
        data = ["--data-dir", folder, "--layers", "9"]
        layers = [f"conv{block}" for block in range(9)] + ["shortcut4", "fc"]

        def sweep(*swept):
            counts = ",".join(f"{layer}={int(layer in swept)}" for layer in layers)
            return data + ["--sweeps", counts]

        check_run(
            "CIFAR-10, fc, conv8, conv7", CIFAR10, rso, sweep("fc", "conv8", "conv7"), images, labels, 2)
        for layer in ["conv6", "conv5", "conv4", "shortcut4", "conv3", "conv2", "conv1", "conv0"]:
            check_run(
                f"CIFAR-10, {layer}", CIFAR10, rso, sweep(layer) + ["--element-order", "shuffled"],
                images, labels, 2, stop_early=True)
    print("independent check: passed")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
