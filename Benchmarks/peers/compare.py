"""Compares `rso` with MXNet and PyTorch. `run` beside this file starts it; --help lists the options."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import numpy

import network
import operators

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MNIST = os.path.join(ROOT, "Sources", "RSO", "Resources", "mnist")
PEERS = ("mxnet", "pytorch")
TRAIN, TEST = 60_000, 10_000


def options():
    parser = argparse.ArgumentParser(
        prog="Benchmarks/peers/run",
        description="Milliseconds per proposal of every tensor of the paper's MNIST network: rso, and three "
        "forward passes from the swept block upward with the authors' operators in MXNet and in PyTorch. First "
        "all of them must compute the same losses.",
    )
    parser.add_argument("--batch", type=int, default=5000, help="samples per proposal (default: 5000)")
    parser.add_argument("--threads", type=int, help="threads, and cores all are held to (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, the contenders in turn (default: 3)")
    parser.add_argument(
        "--seconds", type=float, default=1,
        help="per tensor, contender and round, at least one proposal (default: 1)",
    )
    parser.add_argument(
        "--json", default=os.path.join(HERE, "results.json"), metavar="FILE",
        help="where everything measured goes (default: results.json beside this program)",
    )
    parser.add_argument("--rso", required=True, help="the program (default: a release build)")
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    given.threads = given.threads or len(cores)
    if not 1 <= given.threads <= len(cores):
        parser.error(f"--threads: expected 1 to {len(cores)}, found {given.threads}")
    if not 1 <= given.batch <= TRAIN or TRAIN % given.batch:
        parser.error(f"--batch: expected a divisor of {TRAIN}, found {given.batch}")
    if given.rounds < 1 or not given.seconds > 0:
        parser.error("--rounds and --seconds: expected more than 0")
    os.sched_setaffinity(0, cores[: given.threads])
    given.device = ["--threads", str(given.threads)]
    return given


class Worker:
    """A library in its own process (worker.py)."""

    def __init__(self, name, threads):
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "worker.py"), name, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"peers: {self.name} ended; its own words stand above")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def rso(given, *arguments):
    found = subprocess.run(
        [given.rso, *arguments, *given.device], capture_output=True, text=True
    )
    if found.returncode:
        raise SystemExit(f"peers: rso {' '.join(arguments)} failed: {found.stderr.strip()}")
    return found.stdout


# ---- do all compute the same?


def check(given, workers, folder, samples=96):
    """Replays a cycle that rso trains on a few images, and computes each tensor's first losses with everyone.

    A mini-batch is the whole set, so that its order does not matter. All are in single precision but NumPy, which
    is in double: its rounding, 6e-8, is what some hundred sums in a row and batch norm enlarge; MXNet's comes to 1.4e-4
    where the losses are largest. A wrong order of layers, statistics or candidates differs in the second digit. In fp16
    that is what rounding comes to; the order is that of fp32, which is the same program.
    """
    tolerances = {"rso": 1e-4, **{worker.name: 0.1 for worker in workers if "fp16" in worker.name}}
    model, trace = os.path.join(folder, "initial.safetensors"), os.path.join(folder, "trace.jsonl")
    rso(
        given, "train", "--cycles", "1", "--batch", str(samples), "--train-limit", str(samples),
        "--test-limit", "10", "--run", os.path.join(folder, "run"), "--save-initial", model, "--trace", trace,
        "--quiet",
    )
    tensors, metadata = network.read_safetensors(model)
    mean = json.loads(metadata["mean"])[0]
    w = {name: tensors[name].copy() for name in network.parameters()}
    images = network.pixels(read_images()[:samples], mean)
    labels = read_labels()[:samples].astype(numpy.int32)
    plain = operators.NumPy()
    largest = {"rso": 0.0, **{worker.name: 0.0 for worker in workers}}
    parameter = None
    with open(trace) as lines:
        for line in lines:
            proposal = json.loads(line)
            if proposal["parameter"] != parameter:
                parameter = proposal["parameter"]
                exact = with_statistics(plain, w, images)
                path = os.path.join(folder, "check.npz")
                numpy.savez(path, images=images, labels=labels, **exact)
                judged = parameter, proposal["index"], proposal["candidates"]
                x = below(plain, exact, network.start(parameter), images)
                expected = network.proposal(plain, as_double(exact), *judged, x, labels)
                found = {"rso": proposal["losses"]}
                for worker in workers:
                    worker.ask(do="load", file=path)
                    found[worker.name] = worker.ask(
                        do="losses", parameter=parameter, index=judged[1], candidates=judged[2]
                    )
                for name, losses in found.items():
                    for a, b in zip(expected, losses):
                        largest[name] = max(largest[name], abs(a - b) / abs(a))
                    if not largest[name] <= tolerances.get(name, 1e-3):
                        raise SystemExit(
                            f"peers: {parameter}: expected losses {expected}, {name} found {losses}; "
                            "nothing was timed"
                        )
            kept = proposal["candidates"][proposal["choice"]]
            w[proposal["parameter"]].reshape(-1)[proposal["index"]] = kept
    return largest


def as_double(weights):
    return {name: values.astype(numpy.float64) for name, values in weights.items()}


def with_statistics(ops, weights, images):
    """The weights, and running statistics: those of one pass over these images."""
    exact = as_double(weights)
    found = dict(weights)
    x = images.astype(numpy.float64)
    for b in range(network.BLOCKS):
        z = ops.convolution(ops.relu(x) if b else x, exact[f"conv{b}.weight"])
        z = ops.average_pool(z) if b in network.POOLS else z
        found[f"bn{b}.running_mean"] = z.mean((0, 2, 3)).astype(numpy.float32)
        found[f"bn{b}.running_var"] = z.var((0, 2, 3)).astype(numpy.float32)
        x = network.block(ops, exact, b, x)
    return found


def below(ops, weights, first, images):
    exact = as_double(weights)
    x = images.astype(numpy.float64)
    for b in range(first):
        x = network.block(ops, exact, b, x, exact)
    return x


def read_images():
    return network.read_idx(os.path.join(MNIST, "train-images-idx3-ubyte.gz"))


def read_labels():
    return network.read_idx(os.path.join(MNIST, "train-labels-idx1-ubyte.gz"))


# ---- timing


def measure(given, workers, folder):
    images = read_images()[: given.batch]
    path = os.path.join(folder, "timing.npz")
    numpy.savez(
        path, images=network.pixels(images, images.mean() / 255),
        labels=read_labels()[: given.batch].astype(numpy.int32), **network.initial(0),
    )
    firsts = range(network.BLOCKS, -1, -1)
    for worker in workers:
        worker.ask(do="load", file=path)
        # Memory and kernels are made by the first pass, which does not count.
        for first in (network.BLOCKS, 0):
            worker.ask(do="time", first=first, seconds=0)
    ours, times, blocks = [], {}, {name: [] for name in PEERS}
    for turn in range(given.rounds):
        contenders = [None, *workers]
        for worker in contenders[turn % 3 :] + contenders[: turn % 3]:
            begin = time.time()
            if worker is None:
                answer = rso(
                    given, "benchmark", "--json", "--batch", str(given.batch), "--seconds", str(given.seconds)
                )
                ours.append(json.loads(answer))
            else:
                for first in firsts:
                    found = worker.ask(do="time", first=first, seconds=given.seconds)
                    times.setdefault((worker.name, first), []).append(statistics.median(found))
                blocks[worker.name].append(worker.ask(do="blocks"))
            say(f"round {turn + 1}: {worker.name if worker else 'rso'}, {time.time() - begin:.0f} s")
    return ours, times, blocks


def summary(given, ours, times, blocks):
    """Medians over the rounds, per tensor and for a whole cycle."""
    tensors = []
    for i, (name, shape) in enumerate(network.parameters().items()):
        assert ours[0]["sweeps"][i]["parameter"] == name
        tensors.append(
            {
                "parameter": name,
                "proposals": int(numpy.prod(shape)),
                "rso": statistics.median(1000 * o["sweeps"][i]["secondsPerProposal"] for o in ours),
                **{p: statistics.median(times[p, network.start(name)]) for p in PEERS},
            }
        )
    cycle = {}
    for who in ("rso", *PEERS):
        judging = sum(t["proposals"] * t[who] for t in tensors) / 1000
        if who == "rso":
            cache = sum(
                statistics.median(o["sweeps"][i]["cacheSeconds"] for o in ours)
                for i in range(len(tensors))
            )
            evaluation = statistics.median(o["evaluationSeconds"] for o in ours)
        else:
            per_image = [statistics.median(b) / given.batch for b in zip(*blocks[who])]
            renewal = network.STATISTICS * sum(per_image)
            evaluation = renewal + TEST * sum(per_image)
            # One cache for each block and the fully connected layer.
            cache = sum(
                renewal + TRAIN * sum(per_image[:first]) for first in range(network.BLOCKS + 1)
            )
        total = judging + cache + evaluation * len(tensors)
        cycle[who] = {
            "judging": judging, "cache": cache, "evaluation": evaluation, "total": total,
        }
    return tensors, cycle


# ---- what is said


def say(text):
    print(text, file=sys.stderr, flush=True)


def machine():
    name = platform.processor() or platform.machine()
    flags = ""
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key.strip() == "model name":
                    name = value.strip()
                if key.strip() == "flags":
                    flags = value.split()
    except OSError:
        pass
    vectors = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    return f"{name}, {vectors}"


def version(given):
    found = subprocess.run(
        ["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True
    )
    return f"rso {found.stdout.strip() or 'unknown'}"


def table(head, rows):
    lines = [head, [":---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def ratio(value, base):
    return f"{value / base:.1f}" if value < 10 * base else f"{value / base:.0f}"


def report(result):
    tensors, cycle = result["tensors"], result["cycle"]
    columns = ["tensor", "proposals", "rso ms", "MXNet ms", "PyTorch ms", "MXNet / rso", "PyTorch / rso"]

    def row(name, proposals, ours, mxnet, pytorch, digits):
        return [
            name, proposals, *(f"{v:.{digits}f}" for v in (ours, mxnet, pytorch)),
            ratio(mxnet, ours), ratio(pytorch, ours),
        ]

    def seconds(name, key):
        return row(name, "", *(cycle[who][key] for who in ("rso", *PEERS)), 1)

    print(f"machine: {result['machine']}; {result['threads']} threads on the same cores")
    print(f"versions: {', '.join(result['versions'])}")
    print(
        f"batch {result['batch']}, medians of {result['rounds']} rounds; load before: {result['load']:.2f}"
    )
    print(
        "losses differ from those in double precision by at most "
        + ", ".join(f"{v:.1e} ({k})" for k, v in result["differences"].items())
        + "\n"
    )
    print(
        table(
            columns,
            [
                row(t["parameter"], f"{t['proposals']:,}", t["rso"], t["mxnet"], t["pytorch"], 3)
                for t in tensors
            ],
        )
    )
    print("\nOne cycle, in seconds:\n")
    print(
        table(
            ["", "", "rso", "MXNet", "PyTorch", "MXNet / rso", "PyTorch / rso"],
            [
                seconds("proposals", "judging"),
                seconds("caches", "cache"),
                seconds(f"one evaluation of {len(tensors)}", "evaluation"),
                seconds("cycle", "total"),
            ],
        )
    )
    print(
        "\nMXNet and PyTorch compute three whole passes from the swept block upward on the cached activation of a "
        "mini-batch,\nthe same for a convolution and its batch norm. Their caches and evaluations are reckoned "
        "from the time of every\nblock on one mini-batch."
    )


def main():
    given = options()
    load = os.getloadavg()[0]
    workers = [Worker(name, given.threads) for name in PEERS]
    with tempfile.TemporaryDirectory() as folder:
        differences = check(given, workers, folder)
        say("all compute the same losses")
        versions = [version(given)] + [
            w.ask(do="load", file=os.path.join(folder, "check.npz")) for w in workers
        ]
        ours, times, blocks = measure(given, workers, folder)
    for worker in workers:
        worker.close()
    tensors, cycle = summary(given, ours, times, blocks)
    result = {
        "machine": machine(),
        "threads": given.threads,
        "batch": given.batch,
        "rounds": given.rounds,
        "load": load,
        "versions": versions + [f"Python {platform.python_version()}", f"NumPy {numpy.__version__}"],
        "differences": differences,
        "tensors": tensors,
        "cycle": cycle,
        "measured": {
            "rso": ours,
            **{p: {str(first): values for (who, first), values in times.items() if who == p} for p in PEERS},
            "blockSeconds": blocks,
        },
    }
    with open(given.json, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    report(result)


if __name__ == "__main__":
    main()
