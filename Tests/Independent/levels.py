"""Checks a model of discrete weights with integer arithmetic, in NumPy.

    python levels.py RSO MNIST_FOLDER NETWORK...        needs: pip install numpy safetensors

Trains every network for a moment, reads levels and scales as any program would, and computes the logits of the 10,000 test
images: sums of integers, batch norm as one rounded map, and quantize. They must be those of `rso predict` to the bit.
Layers: conv2d, batchNorm, quantize, maxPool, flatten and linear, each reading the one before.
"""
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from safetensors.numpy import load_file

LEVELS = {"binary": 1, "ternary": 1, **{f"int{bits}": 2 ** (bits - 1) - 1 for bits in range(2, 9)}}


def check(holds, what):
    if not holds:
        sys.exit(f"check of levels: FAILED: {what}")


def windows(x, kernel, stride, padding, fill=0):
    """[N, C, H', W', kernel, kernel]"""
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)], constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), axis=(2, 3))[:, :, ::stride, ::stride]


def read_levels(tensors, layer):
    name = layer["name"] + ".weight"
    levels, scale = tensors[name], tensors[name + ".scale"]
    highest = LEVELS[layer["weights"]]
    check(levels.dtype == np.int8 and np.abs(levels).max() <= highest, f"{name}: levels up to {highest}")
    check(layer["weights"] != "binary" or np.all(levels != 0), f"{name}: −1 and 1")
    check(scale.dtype == np.float32 and np.all(np.frexp(scale)[0] == 0.5), f"{name}: powers of two, found {scale}")
    return levels.astype(np.int64), scale


def forward(network, tensors, images):
    # Values are integers times a power of two, or floats in single precision after a batch norm.
    x, unit = images.astype(np.int64), 2.0**-8
    for layer in network["layers"]:
        kind, name = layer["type"], layer["name"]
        if kind in ("conv2d", "linear"):
            levels, scale = read_levels(tensors, layer)
            if kind == "linear":
                x = x.reshape(len(x), -1) @ levels.T
            else:
                patches = windows(x, layer["kernel"], layer.get("stride", 1), layer.get("padding", 0))
                x = np.einsum("nchwij,ocij->nohw", patches, levels, optimize=True)
            check(np.abs(x).max() < 2**24, f"{name}: sums that single precision holds")
            unit = unit * scale.astype(np.float64)
        elif kind == "batchNorm":
            shape = (1, -1) + (1,) * (x.ndim - 2)
            part = {key: tensors[f"{name}.{key}"] for key in ("weight", "bias", "running_mean", "running_var")}
            mean, variance = part["running_mean"].astype(np.float64), part["running_var"].astype(np.float64)
            factor = part["weight"].astype(np.float64) / np.sqrt(variance + layer.get("epsilon", 1e-3))
            offset = (part["bias"].astype(np.float64) - mean * factor).astype(np.float32)
            factor = factor.astype(np.float32)
            unit = np.broadcast_to(unit, factor.shape).reshape(shape)
            # Products of two floats are exact in double precision.
            x = (x * unit) * factor.astype(np.float64).reshape(shape) + offset.astype(np.float64).reshape(shape)
            x = x.astype(np.float32)
        elif kind == "quantize":
            n = np.float32(2 ** layer["bits"] - 1)
            x, unit = np.round(np.clip(x, 0, 1) * n).astype(np.int64), 2.0 ** -layer["bits"]
        elif kind == "maxPool":
            x = windows(x, layer["kernel"], layer.get("stride", layer["kernel"]), 0).max(axis=(4, 5))
        elif kind == "flatten":
            x = x.reshape(len(x), -1)
        else:
            sys.exit(f"check of levels: no {kind} here")
    return (x * unit).astype(np.float32)


def main(rso, mnist, paths):
    file = pathlib.Path(mnist) / "t10k-images-idx3-ubyte.gz"
    images = np.frombuffer(gzip.open(file).read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    for path in paths:
        with tempfile.TemporaryDirectory() as scratch:
            run = pathlib.Path(scratch) / "run"
            subprocess.run(
                [rso, "train", "--network", path, "--train-limit", "2000", "--test-limit", "100", "--batch", "500",
                 "--cycles", "1", "--sweeps", "conv1=0", "--quiet", "--run", run], check=True, stdout=subprocess.DEVNULL)
            model = run / "checkpoint.safetensors"
            tensors = load_file(model)
            ours = np.concatenate([
                forward(json.loads(pathlib.Path(path).read_text()), tensors, part)
                for part in np.array_split(images, 20)])
            out = subprocess.run([rso, "predict", model, file, "--json"], check=True, capture_output=True)
            found = np.array([json.loads(line)["logits"] for line in out.stdout.splitlines()], np.float32)
            check(ours.shape == found.shape, f"{path}: {ours.shape} logits")
            other = (ours != found).any(axis=1).sum()
            check(other == 0, f"{path}: {other} images with other logits, by up to {np.abs(ours - found).max()}")
            check(len(np.unique(found.argmax(axis=1))) > 3, f"{path}: more than a few classes")
        print(f"{pathlib.Path(path).name}: {len(images)} images, all logits the same to the bit", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
