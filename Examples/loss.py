"""Computes the loss of `rso train --loss-command` in Python.

Write a file such as my_loss.py beside this one:

    import loss
    loss.serve(lambda logits, batch: ((logits.argmax(-1) != batch.labels) * cost[batch.labels]).mean(-1))

and train with it: rso train --loss-command 'python3 my_loss.py'. Print to standard error only.
"""

import os
import sys
from types import SimpleNamespace

import numpy


def serve(loss):
    """Answers questions until there are no more.

    loss takes the outputs [candidates, samples, width], float32, and a batch: its split ("train", "validation" or
    "test"), the numbers of its samples in that split [samples], and their labels [samples] or targets [samples, width]
    (None if the data have none). It returns one number per candidate; the smallest wins.
    """
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # A stray print must not be taken for an answer.
    while head := questions.read(32):
        magic, version, candidates, samples, width, split, labelled, targets = numpy.frombuffer(head, "<u4").tolist()
        if (magic, version) != (0x4C4F5352, 1):
            sys.exit(f"expected a question of version 1, found {magic:#x}, version {version}")

        def take(kind, *shape):
            count = int(numpy.prod(shape))
            return numpy.frombuffer(questions.read(4 * count), kind).reshape(shape) if count else None

        batch = SimpleNamespace(
            split=("train", "validation", "test")[split],
            samples=take("<i4", samples),
            labels=take("<i4", samples) if labelled else None,
            targets=take("<f4", samples, targets),
        )
        values = loss(take("<f4", candidates, samples, width), batch)
        answers.write(numpy.broadcast_to(numpy.asarray(values, "<f8"), candidates).tobytes())
        answers.flush()
