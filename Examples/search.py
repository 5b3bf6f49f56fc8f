"""Judges the tensors of `rso search` in Python.

Write a file such as mine.py beside this one:

    import search, sys
    start = {"x": search.numpy.zeros(3)}
    if sys.argv[1:]:
        search.write(sys.argv[1], start)
    else:
        search.serve(start, lambda tensors, seed: ((tensors["x"] - [1, 2, 3]) ** 2).sum(-1))

let it write the file to start from, and search: python3 mine.py start.safetensors, then
rso search --start start.safetensors --command 'python3 mine.py' --sigma 1. Print to standard error only.
"""

import json
import os
import struct
import sys

import numpy


def write(path, tensors):
    """Writes named arrays as 32-bit floats in a safetensors file."""
    arrays = {name: numpy.asarray(values, "<f4") for name, values in tensors.items()}
    header, place = {}, 0
    for name, values in arrays.items():
        header[name] = {"dtype": "F32", "shape": values.shape, "data_offsets": [place, place + values.nbytes]}
        place += values.nbytes
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head + b"".join(values.tobytes() for values in arrays.values()))


def read(path):
    """Reads the arrays of a safetensors file of 32-bit floats, such as a run's best.safetensors."""
    with open(path, "rb") as file:
        data = file.read()
    end = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:end])
    header.pop("__metadata__", None)
    places = sorted(header.items(), key=lambda item: item[1]["data_offsets"])
    return {
        name: numpy.frombuffer(data[end + entry["data_offsets"][0] : end + entry["data_offsets"][1]], "<f4").reshape(
            entry["shape"]
        )
        for name, entry in places
    }


def serve(start, loss):
    """Answers questions until there are no more.

    start has the names and shapes of the tensors, in the order of their file. loss takes the candidates, name by name
    [candidates, *shape], and the seed: 0 in an evaluation, and only there. It returns one number per candidate; the
    smallest wins. All candidates of a proposal should meet the same noise, which the seed decides.
    """
    shapes = {name: numpy.shape(values) for name, values in start.items()}
    sizes = [int(numpy.prod(shape)) for shape in shapes.values()]
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # A stray print must not be taken for an answer.
    while head := questions.read(32):
        magic, version, candidates, length, seed, _, _, _ = numpy.frombuffer(head, "<u4").tolist()
        if (magic, version) != (0x564F5352, 1):
            sys.exit(f"expected a question of version 1, found {magic:#x}, version {version}")
        if length != sum(sizes):
            sys.exit(f"expected tensors of {sum(sizes)} values, found {length}: was --start written by another program?")
        vectors = numpy.frombuffer(questions.read(4 * candidates * length), "<f4").reshape(candidates, length)
        parts = numpy.split(vectors, numpy.cumsum(sizes)[:-1], axis=1)
        tensors = {name: part.reshape(candidates, *shape) for (name, shape), part in zip(shapes.items(), parts)}
        losses = numpy.asarray(loss(tensors, seed), "<f8")
        if losses.shape != (candidates,):
            sys.exit(f"expected a loss for each of {candidates} candidates, found an array of shape {losses.shape}")
        answers.write(losses.tobytes())
        answers.flush()
