"""Compares `rso train --device cuda:0` with the authors' operators in PyTorch on the same card, in one run.

    python3 cuda.py --rso .build/release/rso [--batch 5000] [--json results-cuda.json]

It needs NumPy, a PyTorch for CUDA, and what `rso devices` asks for. With --device cpu both compute on the CPU.

PyTorch computes in fp32, in fp16 (autocast), and each as torch.compile makes it, with CUDA graphs; always channels last.
First all must compute the same losses along a short training as NumPy in double precision. Then PyTorch's three forward
passes from the swept block upward are timed, on the cached activation of one mini-batch, before and after rso trains one
cycle in each precision, whose own records say how long each tensor took, its cache included.
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
PEERS = ["fp32", "fp16", "fp32-compiled", "fp16-compiled"]


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rso", required=True, help="the program")
    parser.add_argument("--device", default="cuda:0", choices=["cuda:0", "cpu"], help="cpu: to try this program")
    parser.add_argument("--batch", type=int, default=5000, help="samples per proposal (default: 5000)")
    parser.add_argument("--train-limit", type=int, default=60_000, help="training images (default: 60000)")
    parser.add_argument("--seconds", type=float, default=1, help="per tensor and round of PyTorch (default: 1)")
    parser.add_argument("--peak-size", type=int, default=8192, help="of the matrices that measure the peak")
    parser.add_argument(
        "--peers", nargs="+", choices=PEERS, default=PEERS, metavar="NAME",
        help=f"which of {', '.join(PEERS)} (default: all)",
    )
    parser.add_argument(
        "--precisions", nargs="+", default=["fp32", "tf32"], metavar="NAME",
        help="of rso's cycles on a card (default: fp32 tf32)",
    )
    parser.add_argument("--json", default=os.path.join(HERE, "results-cuda.json"), metavar="FILE")
    given = parser.parse_args()
    given.threads = len(os.sched_getaffinity(0))
    library = "cuda" if given.device == "cuda:0" else "pytorch"
    given.workers = {name: library + name.removeprefix("fp32").replace("fp16", "-fp16") for name in given.peers}
    if given.device == "cpu":
        given.precisions = ["fp32"]
    given.precision = {name: ["--precision", name] if library == "cuda" else [] for name in given.precisions}
    given.device = ["--device", given.device]
    return given


def passes(given, worker):
    """Median milliseconds of a proposal, by the block that it starts from."""
    return {
        first: statistics.median(worker.ask(do="time", first=first, seconds=given.seconds))
        for first in range(network.BLOCKS, -1, -1)
    }


def cycle(given, precision, folder):
    """One cycle of rso: its lines of metrics, and seconds of the whole command."""
    run = os.path.join(folder, f"cycle-{precision}")
    begin = time.time()
    compare.rso(
        given, "train", "--cycles", "1", "--batch", str(given.batch), "--train-limit", str(given.train_limit),
        "--run", run, "--quiet", *given.precision[precision],
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


def seconds(lines, name):
    return sum(line[name] for line in lines)


def main():
    given = options()
    workers = {name: compare.Worker(library, given.threads) for name, library in given.workers.items()}
    with tempfile.TemporaryDirectory() as folder:
        differences = compare.check(given, list(workers.values()), folder)
        compare.say("all compute the same losses")
        images = compare.read_images()[: given.batch]
        path = os.path.join(folder, "timing.npz")
        numpy.savez(
            path, images=network.pixels(images, images.mean() / 255),
            labels=compare.read_labels()[: given.batch].astype(numpy.int32), **network.initial(0),
        )
        versions = {name: worker.ask(do="load", file=path) for name, worker in workers.items()}
        for name, worker in workers.items():
            # What is compiled is compiled here.
            for first in range(network.BLOCKS, -1, -1):
                worker.ask(do="time", first=first, seconds=0)
            compare.say(f"PyTorch {name} is ready")
        peak = next(iter(workers.values())).ask(do="peak", size=given.peak_size)
        before = {name: passes(given, worker) for name, worker in workers.items()}
        cycles = {name: cycle(given, name, folder) for name in given.precisions}
        after = {name: passes(given, worker) for name, worker in workers.items()}
    for worker in workers.values():
        worker.close()

    rows = []
    for index, (parameter, shape) in enumerate(network.parameters().items()):
        first, count = network.start(parameter), int(numpy.prod(shape))
        lines = {name: lines[index] for name, (lines, _) in cycles.items()}
        assert all(line["parameter"] == parameter for line in lines.values())
        rows.append(
            {
                "parameter": parameter, "proposals": count,
                "rso": {name: 1000 * line["seconds"] / count for name, line in lines.items()},
                "pytorch": {name: (before[name][first] + after[name][first]) / 2 for name in workers},
            }
        )
    found = {
        name: {
            "searchSeconds": seconds(lines, "seconds"), "commandSeconds": whole,
            "cycleSeconds": seconds(lines, "seconds") + seconds(lines, "evaluationSeconds"),
        }
        for name, (lines, whole) in cycles.items()
    }
    peers = {name: sum(row["proposals"] * row["pytorch"][name] for row in rows) / 1000 for name in workers}
    operations = 2 * described(given)["multiplyAdds"]
    result = {
        "rso": compare.version(given), "peers": versions, "batch": given.batch, "differences": differences,
        "peak": peak, "tensors": rows, "cycles": found, "cycleOperations": operations, "peerSeconds": peers,
    }
    with open(given.json, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(f"{result['rso']}, {next(iter(versions.values()))}; batch {given.batch}")
    print(f"fp32 peak: {peak / 1e12:.1f} TFLOP/s, of a product of matrices of {given.peak_size}²\n")
    print("milliseconds of a proposal:\n")
    print(
        compare.table(
            ["tensor", "proposals", *(f"rso {name}" for name in found), *(f"PyTorch {name}" for name in peers)],
            [
                [r["parameter"], f"{r['proposals']:,}", *(f"{r['rso'][name]:.4f}" for name in found),
                 *(f"{r['pytorch'][name]:.3f}" for name in peers)]
                for r in rows
            ],
        )
    )
    print()
    for name, times in found.items():
        total = times["cycleSeconds"]
        print(
            f"rso {name}: a cycle {total:.2f} s, evaluations included ({times['commandSeconds']:.1f} s the command); "
            f"{operations / 1e12:.1f} T operations, {100 * operations / total / peak:.1f} % of the fp32 peak"
        )
    for name, whole in peers.items():
        ratios = ", ".join(f"{compare.ratio(whole, times['searchSeconds'])} times rso {own}" for own, times in found.items())
        print(f"PyTorch {name}: a cycle's proposals {whole:.1f} s: {ratios}")


if __name__ == "__main__":
    main()
