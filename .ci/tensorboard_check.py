"""Reads a run's events with TensorBoard's own reader, and compares them with metrics.jsonl.

tensorboard_check.py RUN
"""

import json
import pathlib
import sys

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

run = pathlib.Path(sys.argv[1])
lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
# The first is the untrained network.
untrained = lines.pop(0)
assert untrained["parameter"] is None
events = EventAccumulator(str(run), size_guidance={"tensors": 0, "scalars": 0, "histograms": 0, "images": 0})
events.Reload()
tags = events.Tags()


def series(tag):
    return [(e.step, float(tensor_util.make_ndarray(e.tensor_proto))) for e in events.Tensors(tag)] \
        if tag in tags["tensors"] else [(e.step, e.value) for e in events.Scalars(tag)]


def close(found, expected):
    assert len(found) == len(expected), (len(found), len(expected))
    for (step, value), (n, other) in zip(found, expected):
        assert step == n and abs(value - other) <= 1e-6 * abs(other) + 1e-9, (step, value, n, other)


steps = list(enumerate(lines, 1))
judged = [(0, untrained)] + steps
close(series("test/accuracy"), [(n, line["testAccuracy"]) for n, line in judged])
close(series("test/loss"), [(n, line["testLoss"]) for n, line in judged])
close(series("cycle/test_accuracy")[:1], [(0, untrained["testAccuracy"])])
parameters = sorted({line["parameter"] for line in lines})
for name in parameters:
    own = [(n, line) for n, line in steps if line["parameter"] == name]
    close(series(f"loss/{name}"), [(n, line["meanLoss"]) for n, line in own])
    close(series(f"kept_share/{name}"), [(n, line["keptShare"]) for n, line in own])
    sigma = [value for _, value in series(f"sigma/{name}")]
    assert all(a >= b > 0 for a, b in zip(sigma, sigma[1:])), sigma
    assert all(value > 0 for _, value in series(f"seconds/{name}"))
last = {line["cycle"]: (n, line) for n, line in steps}
close(series("cycle/test_accuracy")[1:], [(n, line["testAccuracy"]) for n, line in last.values()])
cycles = len(last)
everything = tags["tensors"] + tags["histograms"] + tags["images"]
histograms = [tag for tag in everything if tag.startswith("weights/")]
images = [tag for tag in everything if tag.startswith("filters/")]
assert len(histograms) >= len(parameters) and len(images) == 1, (histograms, images)


def count(tag):
    return len(events.Tensors(tag) if tag in tags["tensors"]
               else events.Histograms(tag) if tag in tags["histograms"] else events.Images(tag))


for tag in histograms + images:
    assert count(tag) == cycles + 1, (tag, count(tag))
if images[0] in tags["images"]:
    from PIL import Image
    import io
    for event in events.Images(images[0]):
        picture = Image.open(io.BytesIO(event.encoded_image_string))
        assert picture.size == (event.width, event.height) and len(np.unique(np.array(picture))) > 4
print(f"TensorBoard: {len(lines)} tensors, {cycles} cycles, {len(histograms)} histograms each, {images[0]}")
