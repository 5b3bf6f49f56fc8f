"""Prints the table of the forms that `trials` has run: means and standard deviations over the seeds.

    python3 Experiments/rules/forms.py slope
"""
import json
import pathlib
import statistics
import sys

results = pathlib.Path(__file__).resolve().parent / "results" / f"{sys.argv[1]}-forms"


def text(values, digits):
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


print("| form | seeds | accuracy, % | loss |\n|---|---:|---:|---:|")
rows = []
for form in results.iterdir():
    last = [json.loads(file.read_text().splitlines()[-1]) for file in sorted(form.glob("seed-*.jsonl"))]
    rows.append(([row["testLoss"] for row in last], [100 * row["testAccuracy"] for row in last], form.name))
for losses, accuracies, name in sorted(rows, key=lambda row: statistics.mean(row[0])):
    print(f"| {name} | {len(losses)} | {text(accuracies, 2)} | {text(losses, 4)} |")
