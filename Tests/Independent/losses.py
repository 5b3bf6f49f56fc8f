"""Checks losses and metrics against scikit-learn, and losses of a program of one's own against built-in ones.

    python losses.py RSO MNIST_FOLDER       needs: pip install numpy scikit-learn

It trains the last layer for a moment with each loss, and computes what the run reports about its last weights once
more from the logits that `rso predict` gives.
"""
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from sklearn import metrics

rso, folder = sys.argv[1], pathlib.Path(sys.argv[2])
TEST = 1000
labels = np.frombuffer(gzip.open(folder / "t10k-labels-idx1-ubyte.gz").read()[8 : 8 + TEST], "u1")
train_labels = np.frombuffer(gzip.open(folder / "train-labels-idx1-ubyte.gz").read()[8 : 8 + 2000], "u1")
classes = np.arange(10)


def train(run, *options):
    subprocess.run(
        [rso, "train", "--train-limit", "2000", "--test-limit", str(TEST), "--batch", "500", "--cycles", "1",
         "--only", "fc.weight", "--quiet", "--run", run, *options],
        check=True, stdout=subprocess.DEVNULL)
    lines = [json.loads(line) for line in (pathlib.Path(run) / "metrics.jsonl").read_text().splitlines()]
    return lines[-1]


def logits(run):
    found = subprocess.run(
        [rso, "predict", f"{run}/checkpoint.safetensors", str(folder / "t10k-images-idx3-ubyte.gz"), "--json"],
        check=True, stdout=subprocess.PIPE).stdout
    return np.array([json.loads(line)["logits"] for line in found.splitlines()[:TEST]], "float64")


def softmax(x):
    p = np.exp(x - x.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def smoothed(x, weights, smoothing):
    share = np.full((len(labels), 10), smoothing / 10) + (1 - smoothing) * np.eye(10)[labels]
    return -(share * weights * np.log(softmax(x))).sum(1).mean()


counts = np.bincount(train_labels, minlength=10)
balanced = len(train_labels) / 10 / counts
EXPECTED = {
    "cross-entropy": lambda x: metrics.log_loss(labels, softmax(x), labels=classes),
    "cross-entropy:smoothing=0.1,weights=balanced": lambda x: smoothed(x, balanced, 0.1),
    "hinge": lambda x: metrics.hinge_loss(labels, x, labels=classes),
    "errors": lambda x: metrics.zero_one_loss(labels, x.argmax(1)),
    "accuracy": lambda x: metrics.accuracy_score(labels, x.argmax(1)),
    "macro-f1": lambda x: metrics.f1_score(labels, x.argmax(1), average="macro"),
    "balanced-accuracy": lambda x: metrics.balanced_accuracy_score(labels, x.argmax(1)),
    "kappa": lambda x: metrics.cohen_kappa_score(labels, x.argmax(1), weights="quadratic"),
    "auc": lambda x: metrics.roc_auc_score(labels, softmax(x), multi_class="ovr"),
    "top-k=3": lambda x: metrics.top_k_accuracy_score(labels, x, k=3),
}
METRICS = {"accuracy", "macro-f1", "balanced-accuracy", "kappa", "auc", "top-k=3"}
failures = 0


def check(what, found, expected, bound=1e-5):
    global failures
    if not abs(found - expected) <= bound:
        failures += 1
        print(f"{what}: expected {expected}, found {found}")


with tempfile.TemporaryDirectory() as scratch:
    for number, (name, expected) in enumerate(EXPECTED.items()):
        run = f"{scratch}/{number}"
        line = train(run, "--loss", name, *[word for other in EXPECTED if ":" not in other for word in ("--metric", other)])
        x = logits(run)
        check(f"--loss {name}", line["testLoss"], 1 - expected(x) if name in METRICS else expected(x))
        for other, value in line["metrics"].items():
            check(f"--loss {name} --metric {other}", value, EXPECTED[other](x))
    line = train(f"{scratch}/sum", "--loss", "macro-f1 + 0.5 hinge")
    x = logits(f"{scratch}/sum")
    check("a sum", line["testLoss"], 1 - EXPECTED["macro-f1"](x) + 0.5 * EXPECTED["hinge"](x))

    # The same losses from a program: the same candidates win, and the losses agree to rounding.
    program = pathlib.Path(scratch) / "my_loss.py"
    helper = pathlib.Path(__file__).parents[2] / "Examples"
    program.write_text(f"""
import sys
sys.path.insert(0, {str(helper)!r})
import loss
import numpy

def cross_entropy(x, batch):
    x = x.astype("float64")
    assert x.shape[1] == len(batch.samples) and batch.split in ("train", "test")
    largest = x.max(-1)
    own = numpy.take_along_axis(x, numpy.broadcast_to(batch.labels[None, :, None], x.shape[:2] + (1,)), -1)[..., 0]
    print("a word to standard output harms nothing")
    return (largest + numpy.log(numpy.exp(x - largest[..., None]).sum(-1)) - own).mean(-1)

loss.serve(cross_entropy)
""")
    built_in = train(f"{scratch}/a", "--trace", f"{scratch}/a.jsonl")
    own = train(f"{scratch}/b", "--trace", f"{scratch}/b.jsonl", "--loss-command", f"{sys.executable} {program}")
    check("--loss-command", own["testLoss"], built_in["testLoss"], 1e-4)
    traces = [[json.loads(line) for line in open(f"{scratch}/{run}.jsonl")] for run in "ab"]
    for number, (one, other) in enumerate(zip(*traces)):
        for a, b in zip(one["losses"], other["losses"]):
            check(f"proposal {number}", b, a / 500, 1e-5)
        if one["choice"] != other["choice"]:
            break
    else:
        number += 1
    if number < 20:
        failures += 1
        print(f"expected the same decisions for 20 proposals or more, found {number}")

print("losses:", f"{failures} failures" if failures else f"{len(EXPECTED)} losses and metrics as scikit-learn has them")
sys.exit(failures > 0)
