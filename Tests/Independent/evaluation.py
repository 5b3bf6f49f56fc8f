"""Compares what `rso evaluate` says of each class with scikit-learn.

evaluation.py RSO MNIST

RSO: the program. MNIST: the folder of MNIST's files. The predictions that scikit-learn judges are those of `rso predict`.
"""

import csv
import gzip
import io
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

NETWORK = {
    "layers": [
        {"name": "conv0", "type": "conv2d", "channels": 4, "kernel": 3, "stride": 4},
        {"name": "relu0", "type": "relu"},
        {"name": "flat", "type": "flatten"},
        {"name": "fc", "type": "linear"},
    ]
}


def check(holds, problem):
    if not holds:
        sys.exit(f"evaluation check: {problem}")


def run(*command):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


def read(mnist, name, header):
    return np.frombuffer(gzip.open(mnist / f"{name}.gz").read(), np.uint8, offset=header)


def write_data(mnist, folder, digits):
    """The first images of some digits, which become the classes from 0 on."""
    for split, count in [("train", 1500), ("test", 600)]:
        source = {"train": "train", "test": "t10k"}[split]
        images = read(mnist, f"{source}-images-idx3-ubyte", 16).reshape(-1, 28, 28)
        labels = read(mnist, f"{source}-labels-idx1-ubyte", 8)
        chosen = np.flatnonzero(np.isin(labels, digits))[:count]
        np.save(folder / f"{split}_images.npy", images[chosen])
        np.save(folder / f"{split}_labels.npy", np.array([digits.index(n) for n in labels[chosen]], np.uint8))


def close(found, expected, what):
    check(abs(found - expected) < 1e-12, f"{what}: expected {expected}, found {found}")


def compare(rso, mnist, digits, cycles):
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        write_data(mnist, folder, digits)
        network = NETWORK | {"input": {"channels": 1, "height": 28, "width": 28}}
        network["layers"][-1]["features"] = len(digits)
        (folder / "net.json").write_text(json.dumps(network))
        run(rso, "train", "--data-dir", folder, "--network", folder / "net.json", "--batch", "500", "--cycles", cycles,
            "--quiet", "--run", folder / "run")
        model = folder / "run" / "checkpoint.safetensors"
        answer = json.loads(run(rso, "evaluate", model, "--json"))
        rows = list(csv.DictReader(io.StringIO(run(rso, "evaluate", model, "--csv"))))
        logits = np.array([
            json.loads(line)["logits"]
            for line in run(rso, "predict", model, folder / "test_images.npy", "--json").splitlines()])
        labels = np.load(folder / "test_labels.npy")
    seen = logits.argmax(axis=1)
    check(answer["confusion"] == confusion_matrix(labels, seen, labels=range(len(digits))).tolist(), "other confusion")
    names = ["precision", "recall", "f1"]
    scores = precision_recall_fscore_support(labels, seen, labels=range(len(digits)), zero_division=0)
    for place, (row, found) in enumerate(zip(rows, answer["classes"], strict=True)):
        for name, values in zip(names, scores):
            # What is not defined is absent; scikit-learn says 0.
            close(found.get(name, 0), values[place], f"{name} of class {place}")
            close(float(row[name] or 0), values[place], f"{name} of class {place} as CSV")
    averages = precision_recall_fscore_support(labels, seen, average="macro", zero_division=0)
    for name, expected in zip(["macroPrecision", "macroRecall", "macroF1"], averages):
        close(answer[name], expected, name)
    if len(digits) == 2:
        close(answer["auc"], roc_auc_score(labels, logits[:, 1] - logits[:, 0]), "AUC")
    else:
        check("auc" not in answer, "an AUC of more than two classes")
    area = f", AUC {answer['auc']:.4f}" if "auc" in answer else ""
    print(f"{len(digits)} classes: F1 {answer['macroF1']:.4f}{area}, as scikit-learn has them", flush=True)


def main(rso, mnist):
    # With hardly any training, classes that nothing is taken for remain.
    compare(rso, mnist, list(range(10)), 1)
    compare(rso, mnist, [3, 5], 2)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
