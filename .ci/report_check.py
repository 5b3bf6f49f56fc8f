"""Compares a report, as a browser has built it, with the metrics of its runs.

report_check.py DOM LOG RUN...

DOM: the page after `chromium --headless --dump-dom`. LOG: what the browser wrote, its console included.
"""

import html.parser
import json
import pathlib
import re
import sys

dom, log, *runs = map(pathlib.Path, sys.argv[1:])


class Tables(html.parser.HTMLParser):
    """Rows of cells of every table with an id."""

    def __init__(self):
        super().__init__()
        self.tables, self.rows, self.text = {}, None, None
        self.tags = set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag == "table":
            self.rows = self.tables.setdefault(dict(attributes).get("id"), [])
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.text = ""

    def handle_data(self, data):
        if self.text is not None:
            self.text += data

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.rows[-1].append(self.text)
            self.text = None


console = [line for line in log.read_text(errors="replace").splitlines() if "CONSOLE" in line]
assert not console, console
page = dom.read_text()
assert "<section>" in page and page.rstrip().endswith("</html>"), "the browser made no page"
found = Tables()
found.feed(page)
assert not found.tags & {"script", "link", "iframe", "object"}, found.tags
assert len(re.findall(r"<svg[^>]*role=\"?img", page)) >= 6, "charts are missing"
assert len(re.findall(r'<g class="?hit', page)) >= 20, "no values under the pointer"
# Charts have no place that is not a number.
assert "nan" not in " ".join(re.findall(r'points="([^"]*)"', page)).lower()

count = 0
for number, run in enumerate(runs):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    # The first is the untrained network.
    assert lines.pop(0)["parameter"] is None
    rows = found.tables[f"sweeps{number}"][1:]
    assert len(rows) == len(lines), (len(rows), len(lines))
    for row, line in zip(rows, lines):
        assert row[1] == line["parameter"] and int(row[0]) == line["cycle"] + 1, (row, line)
        numbers = [line[key] for key in ("sigma", "keptShare", "meanLoss", "testLoss", "testAccuracy", "bestAccuracy",
                                         "seconds", "evaluationSeconds")]
        assert [float(cell) for cell in row[2:]] == numbers, (row, line)
        count += len(numbers)
    last = {line["cycle"]: line for line in lines}
    cycles = found.tables[f"cycles{number}"][1:]
    assert len(cycles) == len(last)
    for row, line in zip(cycles, last.values()):
        assert row[1] == f"{100 * line['testAccuracy']:.2f} %", (row, line)
    head, *results = found.tables["results"]
    result = next(dict(zip(head, row)) for row in results if row[0] == run.name)
    assert result["test accuracy"] == f"{100 * lines[-1]['testAccuracy']:.2f} %", result
    best = [float(row[head.index("best")].split()[0]) for row in results]
    assert best == sorted(best, reverse=True), best
print(f"report: {len(runs)} runs, {count} numbers as in metrics.jsonl, nothing in the console")
