"""ONNX Runtime against `rso predict`: the same class for every image, the same logits to 1e-4.

onnx_check.py RSO IMAGES MODEL... [--random N]

MODEL: trained models. N: random networks, of all kinds of layers between them. IMAGES: MNIST's, as an IDX file in gzip.
"""

import argparse
import gzip
import json
import pathlib
import random
import subprocess
import tempfile

import numpy as np
import onnx
import onnxruntime


def random_network(rng):
    """Layers of a network on 1x28x28 images, every kind with some probability."""
    layers, shape, flat = [], (1, 28, 28), False

    def add(**layer):
        layer["name"] = f"{layer['type']}{len(layers)}"
        if layers and rng.random() < 0.2:  # The name of a tensor of the layer before, if that has one.
            layer["name"] = layers[-1]["name"] + rng.choice([".weight", ".bias", ".running_mean"])
        layers.append(layer)
        return layer["name"]

    def activation(*types):
        kind = rng.choice(types)
        slope = dict(slope=0.25) if kind == "leakyReLU" and rng.random() < 0.5 else {}
        return add(type=kind, **slope)

    def window(low=1, high=3):
        kernel = rng.randint(low, min(high, shape[1], shape[2]))
        stride = rng.randint(1, 2)
        padding = rng.randint(0, kernel // 2)
        size = lambda n: (n + 2 * padding - kernel) // stride + 1
        return dict(kernel=kernel, stride=stride, padding=padding), size(shape[1]), size(shape[2])

    # Their results jump, where rounding would decide; pixels less their mean keep away from these places.
    if rng.random() < 0.4:
        if rng.random() < 0.5:
            options, h, w = window(2)
            add(type="maxPool", **options)
            shape = (1, h, w)
        if rng.random() < 0.5:
            add(type="quantize", bits=rng.randint(1, 8), signed=rng.random() < 0.5)
        else:
            add(type=rng.choice(["sign", "hardStep"]))
    for _ in range(rng.randint(1, 4)):
        if rng.random() < 0.9 or min(shape[1:]) < 4:
            options, h, w = window(1, 5)
            channels = rng.randint(2, 20)
            add(type="conv2d", channels=channels, bias=rng.random() < 0.5, **options)
            shape = (channels, h, w)
        if rng.random() < 0.4:
            options, h, w = window(1, 5)
            add(type="depthwiseConv2d", bias=rng.random() < 0.5, **options)
            shape = (shape[0], h, w)
        if layers and rng.random() < 0.4:
            source = layers[-1]["name"]
            branch = add(type="conv2d", channels=shape[0], kernel=1)
            activation("tanh", "sigmoid", "leakyReLU", "gelu", "silu", "hardSigmoid", "hardSwish")
            add(type="add", of=rng.choice([source, branch]))
        if rng.random() < 0.7:
            add(type="batchNorm", epsilon=rng.choice([1e-2, 1e-3]))
        if rng.random() < 0.8:
            activation("relu", "leakyReLU", "tanh", "sigmoid", "gelu", "silu", "hardSigmoid", "hardSwish")
        if rng.random() < 0.5 and min(shape[1:]) >= 4:
            options, h, w = window(2)
            add(type=rng.choice(["averagePool", "maxPool"]), **options)
            shape = (shape[0], h, w)
    end = rng.choice(["globalMaxPool", "globalAveragePool", "flatten"])
    add(type=end)
    if rng.random() < 0.6:
        add(type="linear", features=rng.randint(4, 24), bias=rng.random() < 0.5)
        add(type="batchNorm", epsilon=1e-2)
        if rng.random() < 0.5:  # A linear layer's output where a convolution reads.
            before = layers[-1]["name"]
            channels = rng.randint(3, 9)
            add(type="conv2d", channels=channels, kernel=1)
            other = add(type="linear", features=channels, input=before)
            add(type="add", of=layers[-2]["name"])
    add(type="linear", features=10, bias=rng.random() < 0.5)
    return {"input": {"channels": 1, "height": 28, "width": 28}, "layers": layers}


def exact_networks():
    """Networks of discrete weights, of every step, with a shortcut, a depthwise convolution and a flat batch norm.

    `folded` has other layers between batch norms and steps, which pass roundings on.
    """
    for name, weights, step, between in [
            ("ternary", "ternary", dict(type="quantize", bits=4), []), ("binary", "binary", dict(type="sign"), []),
            ("int4", "int4", dict(type="hardStep"), []),
            ("int8", "int8", dict(type="quantize", bits=3, signed=True), []),
            ("folded", "int8", dict(type="quantize", bits=8), [dict(type="relu"), dict(type="maxPool", kernel=2)])]:
        layers = [
            dict(type="conv2d", channels=8, kernel=5, stride=2, padding=2), dict(type="batchNorm"), *between, step,
            dict(type="conv2d", channels=8, kernel=3, padding=1), dict(type="batchNorm"), step,
            dict(type="add", of=str(2 + len(between))), dict(type="averagePool", kernel=2),
            dict(type="depthwiseConv2d", kernel=3, padding=1), dict(type="batchNorm"), step, dict(type="flatten"),
            dict(type="linear", features=16), dict(type="batchNorm"), step, dict(type="linear", features=10)]
        layers = [dict(layer, name=str(index)) for index, layer in enumerate(layers)]
        for layer in layers:
            if layer["type"] in ("conv2d", "depthwiseConv2d", "linear"):
                layer["weights"] = weights
        yield name, {"input": {"channels": 1, "height": 28, "width": 28}, "layers": layers}


def check(rso, model, images_file, images, folder, is_random=False, is_exact=False):
    path = folder / "model.onnx"
    subprocess.run([rso, "export", model, "--onnx", path, "--quiet"], check=True)
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.opset_import[0].version >= 17, proto.opset_import
    classes = json.loads({p.key: p.value for p in proto.metadata_props}["classes"])
    assert classes == [str(c) for c in range(10)], classes
    out = subprocess.run([rso, "predict", model, images_file, "--json"], check=True, capture_output=True)
    ours = np.array([json.loads(line)["logits"] for line in out.stdout.splitlines()])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    kind = "tensor(uint8)" if images.dtype == np.uint8 else "tensor(float)"
    assert given.type == kind and given.shape == ["N", *images.shape[1:]], (given.type, given.shape)
    assert made.shape == ["N", 10], made.shape
    theirs = np.concatenate(
        [session.run(None, {given.name: part})[0] for part in np.array_split(images, 7)])
    assert ours.shape == theirs.shape == (len(images), 10), (ours.shape, theirs.shape)
    scale = np.abs(ours).max(axis=1)
    if is_random or is_exact:
        # An untrained network can give an image logits that all but vanish, as differences of large numbers.
        scale = np.maximum(scale, np.median(scale))
    difference = (np.abs(ours - theirs).max(axis=1) / scale).max()
    assert difference < 1e-4, f"logits differ by {difference}"
    # JSON has the shortest digits that give the same float.
    other = (ours.astype("float32") != theirs).sum()
    assert not is_exact or other == 0, f"{other} logits differ, by at most {difference}"
    # Two classes that are equal to rounding are not a difference.
    ordered = np.sort(ours, axis=1)
    tied = (ordered[:, -1] - ordered[:, -2]) < 1e-5 * scale
    other = (ours.argmax(axis=1) != theirs.argmax(axis=1)) & ~tied
    assert not other.any(), f"{other.sum()} images of another class"
    kinds = {node.op_type for node in proto.graph.node}
    if any(a.name == "group" and a.i > 1 for node in proto.graph.node for a in node.attribute):
        kinds.add("groups")
    kinds = sorted(kinds)
    print(f"{pathlib.Path(model).name}: {len(images)} images, the same classes ({tied.sum()} ties), "
          f"logits to {difference:.1e}; {' '.join(kinds)}")
    return set(kinds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rso")
    parser.add_argument("images")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--random", type=int, default=20)
    options = parser.parse_args()
    raw = gzip.open(options.images).read()
    images = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 1, 28, 28)
    seen = set()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for model in options.models:
            check(options.rso, model, options.images, images, folder)
        # A model of standardised floats takes them, and not bytes.
        floats = ((images[:1000] / 255 - 0.1307) / 0.3081).astype("float32")
        labels = np.arange(1000) % 10
        for split in ("train", "test"):
            np.save(folder / f"{split}_images.npy", floats)
            np.save(folder / f"{split}_labels.npy", labels)
        subprocess.run(
            [options.rso, "train", "--data-dir", folder, "--layers", "6", "--cycles", "1", "--batch", "500", "--quiet",
             "--only", "fc.weight", "--run", folder / "floats"], check=True, stdout=subprocess.DEVNULL)
        check(options.rso, folder / "floats" / "best.safetensors", folder / "test_images.npy", floats, folder)
        # A standardised table is [N, F], and so is an image's deviation in the graph.
        (folder / "table").mkdir()
        table = floats[:, 0, 10:12, ::2].reshape(1000, 28) * np.arange(1, 29, dtype="float32") + 7
        for split in ("train", "test"):
            np.save(folder / "table" / f"{split}_images.npy", table)
            np.save(folder / "table" / f"{split}_labels.npy", labels)
        for name, data, given, file in [("table", "table", table, "table/test_images.npy"),
                                        ("standard", ".", floats, "test_images.npy")]:
            subprocess.run(
                [options.rso, "train", "--data-dir", folder / data, "--normalize", "standard", "--cycles", "1",
                 "--batch", "500", "--quiet", "--only", "fc*.bias" if name == "table" else "fc.weight", "--run",
                 folder / f"{name}-run"], check=True, stdout=subprocess.DEVNULL)
            check(options.rso, folder / f"{name}-run" / "best.safetensors", folder / file, given, folder)
        # Discrete weights and steps: sums are exact, and so are all logits.
        for name, network in exact_networks():
            (folder / "net.json").write_text(json.dumps(network))
            subprocess.run(
                [options.rso, "train", "--network", folder / "net.json", "--train-limit", "2000", "--test-limit", "50",
                 "--batch", "500", "--cycles", "1", "--quiet", "--run", folder / name], check=True,
                stdout=subprocess.DEVNULL)
            found = check(
                options.rso, folder / name / "checkpoint.safetensors", options.images, images, folder, is_exact=True)
            assert {"DequantizeLinear", "Cast", "Mul", "Add"} <= found and "BatchNormalization" not in found, found
        for seed in range(options.random):
            # Networks whose batch norms magnify roundings by less than a quarter of what is allowed.
            network = random_network(random.Random(100 + seed))
            (folder / "net.json").write_text(json.dumps(network))
            subprocess.run(
                [options.rso, "train", "--network", folder / "net.json", "--train-limit", "200", "--test-limit", "50",
                 "--batch", "100", "--cycles", "1", "--only", network["layers"][-1]["name"] + ".weight", "--quiet",
                 "--seed", str(seed), "--run", folder / f"random{seed}"], check=True, stdout=subprocess.DEVNULL)
            model = folder / f"random{seed}" / "checkpoint.safetensors"
            seen |= check(options.rso, model, options.images, images, folder, is_random=True)
    if options.random >= 20:
        missing = {"Conv", "Gemm", "BatchNormalization", "Relu", "LeakyRelu", "Sigmoid", "Tanh", "Where", "Erf",
                   "HardSigmoid", "HardSwish", "Round",
                   "AveragePool", "MaxPool", "GlobalMaxPool", "GlobalAveragePool", "Flatten", "Add",
                   "Unsqueeze", "groups"} - seen
        assert not missing, f"no random network had {missing}"


main()
