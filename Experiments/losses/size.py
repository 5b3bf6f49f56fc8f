"""The loss of the study `size`: what zlib makes of the errors of predicted pixels, in bits per pixel.

It codes bytes by their frequency alone (Z_HUFFMAN_ONLY): in a mini-batch of random pixels there is nothing to repeat.

Where MEASURE is squared or absolute, training is judged by that mean error, and evaluations by the size all the same, so
that runs differ in what they are trained by alone.
"""
import os
import pathlib
import sys
import zlib

import numpy

here = pathlib.Path(__file__).resolve().parent
sys.path.append(str(here.parents[1] / "Examples"))
import loss

measure = os.environ.get("MEASURE", "size")
photos = here / "data/photos"
# [samples, 2]: each pixel and the one on its left, whose difference is predicted in units of `scale`.
pixels = {split: numpy.load(photos / f"{split}_pixels.npy").astype(int) for split in ("train", "test")}
scale = float(numpy.load(photos / "scale.npy"))


def bits(outputs, pixels):
    """outputs: [samples], in the order of a picture's pixels."""
    own, left = pixels.T
    predicted = numpy.clip(left + numpy.rint(outputs * scale), 0, 255)
    error = (own - predicted).astype(int).astype("u1")
    coder = zlib.compressobj(9, strategy=zlib.Z_HUFFMAN_ONLY)
    return 8 * len(coder.compress(error.tobytes()) + coder.flush()) / len(own)


def judge(outputs, batch):
    outputs = outputs[:, :, 0].astype(float)
    if measure != "size" and batch.split == "train":
        error = outputs - batch.targets[:, 0]
        return (abs(error) if measure == "absolute" else error**2).mean(-1)
    order = batch.samples.argsort()
    own = pixels[batch.split][batch.samples[order]]
    return [bits(candidate[order], own) for candidate in outputs]


if __name__ == "__main__":
    loss.serve(judge)
