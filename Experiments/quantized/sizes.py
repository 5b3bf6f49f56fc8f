"""Prints what networks need on a Cortex-M4, as a table in Markdown.

    python Experiments/quantized/sizes.py RSO RUN...        needs arm-none-eabi-gcc

It exports the best model of every run as C, compiles it with -O2 and reads the sizes of the sections. Flash is constants
and code of the file itself; a file of floats needs the compiler's functions for them beside it, unless the chip has an
FPU and the compiler is told so.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

rso, *runs = sys.argv[1:]
print("| network | arithmetic | weights | thresholds and other constants | flash | RAM |")
print("|---|---|---:|---:|---:|---:|")
for run in map(pathlib.Path, runs):
    with tempfile.TemporaryDirectory() as folder:
        source, compiled = pathlib.Path(folder, "net.c"), pathlib.Path(folder, "net.o")
        subprocess.run([rso, "export", run, "--c", source, "--quiet"], check=True)
        subprocess.run(
            ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-std=c99", "-O2", "-c", source, "-o", compiled], check=True)
        sizes = subprocess.run(["arm-none-eabi-size", compiled], check=True, capture_output=True, text=True).stdout
        head = source.read_text().split("*/")[0]
    text, data, memory = (int(word) for word in sizes.splitlines()[1].split()[:3])
    arithmetic = "integers" if "integers alone" in head else "floats"
    constants = int(re.search(r"([\d,]+) bytes of constants", head).group(1).replace(",", ""))
    weights = int(re.search(r"([\d,]+) of weights", head).group(1).replace(",", ""))
    print(f"| {run.parent.name} | {arithmetic} | {weights:,} | {constants - weights:,} | {text + data:,} | {data + memory:,} |")
