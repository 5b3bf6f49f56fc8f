"""Prints what rounding a trained network costs and what a search repairs, as a table in Markdown.

    python Experiments/quantized/repair.py RSO        after `Experiments/run quantized repair "repair whole"`

It evaluates the test images for the float network, for the rounded network that each run began with, and for the run's
best model, which validation images chose.
"""
import json
import pathlib
import statistics
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parent
rso = sys.argv[1]


def accuracy(model):
    found = subprocess.run(
        [rso, "evaluate", model, "--data", "mnist", "--json"], check=True, capture_output=True, text=True)
    return 100 * json.loads(found.stdout)["accuracy"]


def text(values):
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}"


floats = sorted((here / "data/float, ReLU").glob("seed-*/model.safetensors"))
print(f"The float networks: {text([accuracy(model) for model in floats])} %, {len(floats)} seeds.\n")
print("| search | weights | scale for each | images | seeds | rounded, % | repaired, % |")
print("|---|---|---|---:|---:|---:|---:|")
for study, search in (("repair", "upper layers"), ("repair whole", "all layers")):
    for setting in json.loads((here / "settings.json").read_text())["studies"][study]["settings"]:
        runs = [run for run in sorted((here / "runs" / study / setting).glob("seed-*")) if (run / "best.safetensors").exists()]
        # A folder of a run that is not finished has a best model as well.
        runs = [run for run in runs if (here / "results" / study / setting / f"{run.name}.jsonl").exists()]
        if runs:
            before = [accuracy(run / "initial.safetensors") for run in runs]
            after = [accuracy(run / "best.safetensors") for run in runs]
            cells = [search, *setting.split(", "), str(len(runs)), text(before), text(after)]
            print("| " + " | ".join(cells) + " |")
