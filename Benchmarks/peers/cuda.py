"""Compares `rso train --device cuda:0` with the authors' operators in PyTorch on the same card, in one run.

    python3 cuda.py --rso .build/release/rso [--batch 5000] [--json results-cuda.json]

It needs NumPy, a PyTorch for CUDA, and what `rso devices` asks for. With --device cpu both compute on the CPU.

First both must compute the same losses along a short training as NumPy in double precision. Then PyTorch's three forward
passes from the swept block upward are timed, on the cached activation of one mini-batch, before and after rso trains one
cycle, whose own records say how long each tensor took, its cache included.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

import numpy

import compare
import network

HERE = os.path.dirname(os.path.abspath(__file__))


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rso", required=True, help="the program")
    parser.add_argument("--device", default="cuda:0", choices=["cuda:0", "cpu"], help="cpu: to try this program")
    parser.add_argument("--batch", type=int, default=5000, help="samples per proposal (default: 5000)")
    parser.add_argument("--train-limit", type=int, default=60_000, help="training images (default: 60000)")
    parser.add_argument("--seconds", type=float, default=1, help="per tensor and round of PyTorch (default: 1)")
    parser.add_argument("--peak-size", type=int, default=8192, help="of the matrices that measure the peak")
    parser.add_argument("--json", default=os.path.join(HERE, "results-cuda.json"), metavar="FILE")
    given = parser.parse_args()
    given.threads = len(os.sched_getaffinity(0))
    given.peer = "cuda" if given.device == "cuda:0" else "pytorch"
    given.device = ["--device", given.device]
    return given


def passes(given, worker):
    """Median milliseconds of a proposal, by the block that it starts from."""
    return {
        first: statistics.median(worker.ask(do="time", first=first, seconds=given.seconds))
        for first in range(network.BLOCKS, -1, -1)
    }


def cycle(given, folder):
    """One cycle of rso: its lines of metrics, and seconds of the whole command."""
    run = os.path.join(folder, "cycle")
    begin = time.time()
    compare.rso(
        given, "train", "--cycles", "1", "--batch", str(given.batch), "--train-limit", str(given.train_limit),
        "--run", run, "--quiet",
    )
    with open(os.path.join(run, "metrics.jsonl")) as lines:
        found = [json.loads(line) for line in lines]
        # The untrained network's line names no tensor.
        return [line for line in found if line["parameter"]], time.time() - begin


def described(given):
    """What the cost model says of the cycle."""
    found = subprocess.run(
        [given.rso, "describe", "--json", "--no-time", "--batch", str(given.batch), "--train-limit",
         str(given.train_limit)],
        capture_output=True, text=True, check=True,
    )
    return json.loads(found.stdout)["cycle"]


def main():
    given = options()
    worker = compare.Worker(given.peer, given.threads)
    with tempfile.TemporaryDirectory() as folder:
        differences = compare.check(given, [worker], folder)
        compare.say("both compute the same losses")
        images = compare.read_images()[: given.batch]
        path = os.path.join(folder, "timing.npz")
        numpy.savez(
            path, images=network.pixels(images, images.mean() / 255),
            labels=compare.read_labels()[: given.batch].astype(numpy.int32), **network.initial(0),
        )
        version = worker.ask(do="load", file=path)
        for first in range(network.BLOCKS, -1, -1):
            worker.ask(do="time", first=first, seconds=0)
        peak = worker.ask(do="peak", size=given.peak_size)
        before = passes(given, worker)
        metrics, whole = cycle(given, folder)
        after = passes(given, worker)
    worker.close()

    shapes = network.parameters()
    rows = []
    for line in metrics:
        name = line["parameter"]
        first = network.start(name)
        count = int(numpy.prod(shapes[name]))
        rows.append(
            {
                "parameter": name, "proposals": count, "rso": 1000 * line["seconds"] / count,
                "pytorch": (before[first] + after[first]) / 2,
            }
        )
    searched = sum(line["seconds"] for line in metrics)
    total = searched + sum(line["evaluationSeconds"] for line in metrics)
    peers = sum(row["proposals"] * row["pytorch"] for row in rows) / 1000
    operations = 2 * described(given)["multiplyAdds"]
    result = {
        "rso": compare.version(given), "peer": version, "batch": given.batch, "differences": differences,
        "peak": peak, "tensors": rows, "cycleSeconds": total, "commandSeconds": whole,
        "cycleOperations": operations, "peerSeconds": peers,
    }
    with open(given.json, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(f"{result['rso']}, {version}; batch {given.batch}")
    print(f"fp32 peak: {peak / 1e12:.1f} TFLOP/s, of a product of matrices of {given.peak_size}²\n")
    print(
        compare.table(
            ["tensor", "proposals", "rso ms", "PyTorch ms", "PyTorch / rso"],
            [
                [r["parameter"], f"{r['proposals']:,}", f"{r['rso']:.4f}", f"{r['pytorch']:.3f}",
                 compare.ratio(r["pytorch"], r["rso"])]
                for r in rows
            ],
        )
    )
    print(
        f"\na cycle: {total:.2f} s, evaluations included ({whole:.1f} s the command); "
        f"{operations / 1e12:.1f} T operations, {100 * operations / total / peak:.1f} % of the peak"
    )
    print(f"proposals alone: rso {searched:.2f} s, PyTorch {peers:.1f} s: {compare.ratio(peers, searched)} times")


if __name__ == "__main__":
    main()
