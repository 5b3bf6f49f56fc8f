"""One library in a process of its own: libraries bring their own threads and would disturb one another.

Reads one JSON request a line and answers each with one line.
    {"do": "load", "file": FILE.npz}               weights, running statistics, images, labels
    {"do": "losses", "parameter": ..., "index": ..., "candidates": [...]}
    {"do": "time", "first": block, "seconds": s}   milliseconds of each proposal
    {"do": "blocks"}                               seconds of every block on running statistics
    {"do": "peak", "size": n}                      operations per second of n×n matrices' products, PyTorch alone
"""

import json
import os
import sys
import time

import numpy

import network
import operators

# Answers go where standard output was; what a library prints does not.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

# A library and how it computes: cuda-fp16-compiled.
library, *modes = sys.argv[1].split("-")
libraries = {"mxnet": operators.MXNet, "pytorch": operators.PyTorch, "cuda": operators.CUDA}
ops = libraries[library](
    int(sys.argv[2]), **{{"fp16": "half", "compiled": "compiles"}[mode]: True for mode in modes})
weights = images = labels = None
caches = {}


def load(path):
    global weights, images, labels
    arrays = numpy.load(path)
    weights = {k: ops.array(arrays[k]) for k in arrays.files if k not in ("images", "labels")}
    images = ops.array(arrays["images"])
    labels = ops.array(arrays["labels"])
    caches.clear()


def cache(first):
    """What the passes from a block on start from: the output of the one below, before its ReLU."""
    if first == 0:
        return images
    if first not in caches:
        caches[first] = network.block(ops, weights, first - 1, cache(first - 1), weights)
    return caches[first]


def measure(first, seconds):
    parameter = "fc.weight" if first == network.BLOCKS else f"conv{first}.weight"
    value = ops.number(weights[parameter].reshape((-1,))[0])
    times = []
    x = cache(first)
    ops.wait(x)
    while not times or sum(times) < 1000 * seconds:
        begin = time.perf_counter()
        network.proposal(
            ops, weights, parameter, 0, [value, value + 0.1, value - 0.1], x, labels
        )
        times.append(1000 * (time.perf_counter() - begin))
    return times


def blocks():
    times = []
    x = images
    for b in range(network.BLOCKS):
        begin = time.perf_counter()
        x = network.block(ops, weights, b, x, weights)
        ops.wait(x)
        times.append(time.perf_counter() - begin)
    begin = time.perf_counter()
    ops.number(ops.cross_entropy(ops.linear(ops.global_max(x), weights["fc.weight"]), labels))
    return times + [time.perf_counter() - begin]


def peak(size):
    a = ops.array(numpy.ones((size, size), numpy.float32))
    best = 0
    for _ in range(10):
        ops.wait(a)
        begin = time.perf_counter()
        ops.wait(a @ a)
        best = max(best, 2 * size**3 / (time.perf_counter() - begin))
    return best


for line in sys.stdin:
    request = json.loads(line)
    with ops.inference():
        if request["do"] == "load":
            load(request["file"])
            answer = ops.version
        elif request["do"] == "losses":
            p = request["parameter"]
            answer = network.proposal(
                ops, weights, p, request["index"], request["candidates"],
                cache(network.start(p)), labels,
            )
        elif request["do"] == "time":
            answer = measure(request["first"], request["seconds"])
        elif request["do"] == "blocks":
            answer = blocks()
        elif request["do"] == "peak":
            answer = peak(request["size"])
    print(json.dumps(answer), file=answers, flush=True)
