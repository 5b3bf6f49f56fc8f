"""Draws an experiment's results: accuracy and loss over loss evaluations and over seconds, and tables in Markdown.

    Experiments/.venv/bin/python Experiments/draw.py rules

Reads results/STUDY/SETTING/seed-N.jsonl, writes figures/STUDY.svg and tables.md. A study with "measures" is drawn by
those: names of what its runs log with --metric.
"""
import json
import pathlib
import statistics
import sys

import matplotlib

matplotlib.use("svg")
# Without a date and with fixed ids, equal results give equal files.
matplotlib.rcParams.update({"svg.hashsalt": "rso", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
import matplotlib.pyplot as plt

experiment = pathlib.Path(__file__).resolve().parent / sys.argv[1]


class Curve:
    """A setting's results at the end of every cycle: mean and spread over the seeds that are done."""

    def __init__(self, name, files):
        runs = [self.cycles([json.loads(line) for line in file.read_text().splitlines()]) for file in files]
        count = min(len(run) for run in runs)
        self.name, self.seeds = name, len(runs)
        points = [[run[cycle] for run in runs] for cycle in range(count)]
        self.evaluations = [statistics.mean(row["evaluations"] for row in rows) for rows in points]
        self.seconds = [statistics.mean(row["totalSeconds"] for row in rows) for rows in points]
        self.error = [[100 * (1 - row["accuracy"]) for row in rows] for rows in points]
        self.loss = [[row["loss"] for row in rows] for rows in points]
        # The best model by validation, and its one evaluation on the test set.
        self.test = [100 * run[-1]["test"] for run in runs if run[-1].get("test") is not None]

    @staticmethod
    def cycles(rows):
        """The last row of every cycle."""
        last, test = {}, None
        for row in rows:
            if row.get("parameter") is None:
                continue
            which = "validation" if "validationAccuracy" in row else "test"
            if which == "validation":
                test = row.get("testAccuracy", test)
            last[row["cycle"]] = {**row, "accuracy": row[which + "Accuracy"], "loss": row[which + "Loss"]}
        points = [last[cycle] for cycle in sorted(last)]
        points[-1]["test"] = test
        return points


def text(values, digits):
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


def table(study, about, curves):
    cycles = max(len(curve.error) for curve in curves)
    shown = [cycle for cycle in (0, 1, 3, 5, 7, 9, 14, 19, 29, 49) if cycle < cycles - 1] + [cycles - 1]
    head = ["setting", "seeds", "M evaluations"] + [f"cycle {cycle + 1}, %" for cycle in shown] + ["loss at the end", "test, %"]
    lines = [f"## {study}", "", about, "", "| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for curve in sorted(curves, key=lambda curve: statistics.mean(curve.loss[-1])):
        accuracies = [text([100 - e for e in curve.error[cycle]], 2) if cycle < len(curve.error) else "" for cycle in shown]
        cells = [curve.name, str(curve.seeds), f"{curve.evaluations[-1] / 1e6:.2f}"] + accuracies
        cells += [text(curve.loss[-1], 4), text(curve.test, 2) if curve.test else ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def figure(study, curves, file):
    panels, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained", sharey="row")
    colours = plt.get_cmap("tab20").colors
    for number, curve in enumerate(curves):
        colour = colours[number % len(colours)]
        for row, (values, title) in enumerate(((curve.error, "error, %"), (curve.loss, "cross entropy per image"))):
            for column, (x, label) in enumerate(((curve.evaluations, "loss evaluations"), (curve.seconds, "seconds"))):
                panel = axes[row][column]
                mean = [statistics.mean(v) for v in values]
                panel.plot(x, mean, color=colour, label=curve.name, linewidth=1.2, marker=".", markersize=4)
                panel.fill_between(x, [min(v) for v in values], [max(v) for v in values], color=colour, alpha=0.15, linewidth=0)
                panel.set(xlabel=label, ylabel=title if column == 0 else None, yscale="log")
                panel.grid(alpha=0.25, which="both", linewidth=0.4)
    axes[0][1].legend(fontsize=7, ncols=2, frameon=False)
    panels.suptitle(f"{study}: validation images, mean and range of the seeds")
    panels.savefig(file, metadata={"Date": None})
    plt.close(panels)


class Measures:
    """What a setting's runs logged at the end of every cycle, on the test set."""

    def __init__(self, name, files):
        runs = []
        for file in files:
            rows = [json.loads(line) for line in file.read_text().splitlines()]
            runs.append([row for row in rows if row.get("parameter") and row.get("metrics")])
        count = min(len(run) for run in runs)
        self.name, self.seeds = name, len(runs)
        self.points = [[run[cycle] for run in runs] for cycle in range(count)]

    def values(self, measure):
        """A metric, or the loss."""
        return [
            [row["testLoss"] if measure == "loss" else row["metrics"][measure] for row in rows] for rows in self.points]

    def mean(self, key):
        return [statistics.mean(row[key] for row in rows) for rows in self.points]


def measures_table(study, content, curves):
    head = ["setting", "seeds", "proposals"] + content["measures"]
    lines = [f"## {study}", "", content["about"], "", "| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for curve in curves:
        cells = [curve.name, str(curve.seeds), f"{curve.mean('proposals')[-1]:.0f}"]
        cells += [text(curve.values(measure)[-1], 4) for measure in content["measures"]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def measures_figure(study, content, curves, file):
    measures = content["measures"]
    panels, axes = plt.subplots(1, len(measures), figsize=(10, 4), layout="constrained", squeeze=False)
    colours = plt.get_cmap("tab20").colors
    for number, curve in enumerate(curves):
        for panel, measure in zip(axes[0], measures):
            x, values, colour = curve.mean("evaluations"), curve.values(measure), colours[2 * number % len(colours)]
            panel.plot(x, [statistics.mean(v) for v in values], color=colour, label=curve.name, linewidth=1.2)
            panel.fill_between(x, [min(v) for v in values], [max(v) for v in values], color=colour, alpha=0.15, linewidth=0)
            panel.set(xlabel="loss evaluations", ylabel=measure)
            panel.grid(alpha=0.25, linewidth=0.4)
    axes[0][0].legend(fontsize=7, frameon=False)
    panels.suptitle(f"{study}: test set, mean and range of the seeds")
    panels.savefig(file, metadata={"Date": None})
    plt.close(panels)


def main():
    settings = json.loads((experiment / "settings.json").read_text())
    (experiment / "figures").mkdir(exist_ok=True)
    tables = []
    for study, content in settings["studies"].items():
        curves = []
        kind = Measures if "measures" in content else Curve
        for name in [*content["settings"], *content.get("others", [])]:
            files = sorted((experiment / "results" / study / name).glob("seed-*.jsonl"))
            if files:
                curves.append(kind(name, files))
        if curves and kind is Measures:
            tables.append(measures_table(study, content, curves))
            measures_figure(study, content, curves, experiment / "figures" / f"{study}.svg")
        elif curves:
            tables.append(table(study, content["about"], curves))
            figure(study, curves, experiment / "figures" / f"{study}.svg")
    head = f"<!-- Written by Experiments/run {experiment.name} from its results. -->\n\n"
    (experiment / "tables.md").write_text(head + "\n".join(tables))
    print(f"{experiment}/tables.md and figures/: {len(tables)} studies")


main()
