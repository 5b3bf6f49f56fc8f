"""Runs the sample of the README as it stands in Snippets/, and compares code and output with the README."""

import pathlib
import re
import subprocess
import sys

readme = pathlib.Path("README.md").read_text()
code = pathlib.Path("Snippets/Train.swift").read_text()
if f"```swift\n{code}```" not in readme:
    sys.exit("README.md does not show Snippets/Train.swift as it is")

run = subprocess.run(
    ["swift", "run", "-c", "release", "Train"], stdout=subprocess.PIPE, text=True, check=True
)
lines = run.stdout.splitlines()
print(run.stdout)
shown = re.search(r"<!-- sample's output -->\n```\n(.*?)```", readme, re.DOTALL)
if not shown:
    sys.exit("README.md does not show the sample's output")


def shape(line: str) -> str:
    # Another instruction set rounds otherwise, and may decide otherwise: the numbers may differ.
    return re.sub(r"[0-9.]+$", "#", line)


if [shape(line) for line in lines] != [shape(line) for line in shown[1].splitlines()]:
    sys.exit("the sample prints other lines than README.md shows")
last = float(lines[-1].split()[-1])
expected = float(shown[1].splitlines()[-1].split()[-1])
if abs(last - expected) > 0.1:
    sys.exit(f"the sample ends at {last}, README.md says {expected}")
