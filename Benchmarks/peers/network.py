"""The paper's MNIST network on any library, and what it reads: images, labels, weights.

A library gives its operators (`operators.py`); what is computed with them, and in which order, stands here once
for all. Names and shapes are those of `rso`'s models (docs/files.md).
"""

import gzip
import json
import struct

import numpy

BLOCKS = 6
FILTERS = 16
POOLS = (1, 3)
EPSILON = 1e-3
# Samples whose statistics become batch norm's running statistics.
STATISTICS = 2000


def parameters():
    """Names and shapes of all tensors in the order of a cycle: output to input."""
    found = {"fc.weight": (10, FILTERS)}
    for b in reversed(range(BLOCKS)):
        found[f"conv{b}.weight"] = (FILTERS, FILTERS if b else 1, 3, 3)
        found[f"bn{b}.bias"] = (FILTERS,)
        found[f"bn{b}.weight"] = (FILTERS,)
    return found


def start(parameter):
    """The block that a proposal's passes start from; BLOCKS: the fully connected layer."""
    layer = parameter.split(".")[0]
    return BLOCKS if layer == "fc" else int(layer.lstrip("convbn"))


def block(ops, w, b, x, statistics=None):
    """One block: x is the output of the block below before its ReLU, or the images.

    Batch norm is on the samples' own statistics unless `statistics` has running ones, and then returns its output.
    """
    if b > 0:
        x = ops.relu(x)
    z = ops.convolution(x, w[f"conv{b}.weight"])
    if b in POOLS:
        z = ops.average_pool(z)
    running = None
    if statistics is not None:
        running = (statistics[f"bn{b}.running_mean"], statistics[f"bn{b}.running_var"])
    return ops.batch_norm(z, w[f"bn{b}.weight"], w[f"bn{b}.bias"], running)


def loss(ops, w, first, x, labels):
    """Summed cross entropy from block `first` on; batch norm on the samples' own statistics."""
    for b in range(first, BLOCKS):
        x = block(ops, w, b, x)
    return ops.cross_entropy(ops.linear(ops.global_max(x), w["fc.weight"]), labels)


def proposal(ops, w, parameter, index, candidates, x, labels):
    """Losses of every candidate for one element: a whole pass each, from the swept block upward."""
    tensor = w[parameter]
    found = []
    # A library may compile what it computes.
    compute = getattr(ops, "compiled", loss)
    for candidate in candidates:
        changed = dict(w)
        changed[parameter] = ops.replaced(tensor, index, candidate)
        found.append(compute(ops, changed, start(parameter), x, labels))
    # Read at the end: a library may queue the work.
    return [ops.number(value) for value in found]


def initial(seed):
    """Random weights of the right sizes, and statistics, for timing."""
    generator = numpy.random.default_rng(seed)
    weights = {}
    for name, shape in parameters().items():
        inputs = numpy.prod(shape[1:]) if len(shape) > 1 else 1
        values = generator.normal(0, numpy.sqrt(2 / inputs), shape)
        if name.startswith("bn"):
            values = numpy.full(shape, 1.0 if name.endswith("weight") else 0.0)
        weights[name] = values.astype(numpy.float32)
    for b in range(BLOCKS):
        weights[f"bn{b}.running_mean"] = numpy.zeros(FILTERS, numpy.float32)
        weights[f"bn{b}.running_var"] = numpy.full(FILTERS, 2, numpy.float32)
    return weights


def read_idx(path):
    """An IDX file of bytes, gzip or not."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    dimensions = data[3]
    if data[:3] != b"\0\0\x08" or not 1 <= dimensions <= 4:
        raise SystemExit(f"peers: {path}: expected an IDX file of bytes, found {data[:4].hex()} at its start")
    shape = struct.unpack(f">{dimensions}I", data[4 : 4 + 4 * dimensions])
    return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * dimensions).reshape(shape)


def pixels(images, mean):
    """Images `[N, rows, columns]` as the network reads them, `[N, 1, rows, columns]`."""
    return images[:, None].astype(numpy.float32) / numpy.float32(255) - numpy.float32(mean)


def read_safetensors(path):
    """Tensors by name, and the metadata."""
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        first, end = (8 + size + offset for offset in entry["data_offsets"])
        tensors[name] = numpy.frombuffer(data[first:end], "<f4").reshape(entry["shape"])
    return tensors, metadata
