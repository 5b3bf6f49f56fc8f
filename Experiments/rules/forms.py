"""Prints the table of the forms that `trials` has run: means and standard deviations over the seeds.

    python3 Experiments/rules/forms.py slope            and with c.5 as the last word, the losses less those of that form
"""
import json
import pathlib
import statistics
import sys

results = pathlib.Path(__file__).resolve().parent / "results" / f"{sys.argv[1]}-forms"


def text(values, digits):
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


base = {}
if len(sys.argv) > 2:
    for file in (results / sys.argv[2]).glob("seed-*.jsonl"):
        base[file.stem] = json.loads(file.read_text().splitlines()[-1])["testLoss"]
print("| form | seeds | accuracy, % | loss | difference |\n|---|---:|---:|---:|---:|")
rows = []
for form in results.iterdir():
    last = {file.stem: json.loads(file.read_text().splitlines()[-1]) for file in sorted(form.glob("seed-*.jsonl"))}
    losses = [row["testLoss"] for row in last.values()]
    differences = [row["testLoss"] - base[seed] for seed, row in last.items() if seed in base]
    rows.append((losses, [100 * row["testAccuracy"] for row in last.values()], differences, form.name))
for losses, accuracies, differences, name in sorted(rows, key=lambda row: statistics.mean(row[0])):
    difference = text(differences, 3) if differences else ""
    print(f"| {name} | {len(losses)} | {text(accuracies, 2)} | {text(losses, 4)} | {difference} |")
