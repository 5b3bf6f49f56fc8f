"""Where the vertices of the parabolas through three losses lie, by cycle: a histogram of |vertex − w| / |Δ| in per cent.

    rso train … --trace trace.jsonl
    python3 Experiments/rules/vertices.py trace.jsonl

Reads a trace of any rule; proposals without the loss of w are left out. `none`: the parabola opens downwards.
"""
import json
import sys

EDGES = (0.5, 1, 2, 4, 8)


def main():
    counts = {}
    with open(sys.argv[1]) as trace:
        for text in trace:
            line = json.loads(text)
            if len(line["losses"]) != 3 or None in line["losses"] or line["delta"] == 0:
                continue
            current, up, down = line["losses"]
            bend, rise = (up - current) + (down - current), up - down
            place = len(EDGES) + 1
            if bend > 0:
                # The vertex is at −Δ · rise / (2 bend).
                place = next((i for i, edge in enumerate(EDGES) if abs(rise) <= 2 * bend * edge), len(EDGES))
            counts.setdefault(line["cycle"], [0] * (len(EDGES) + 2))[place] += 1
    names = [f"≤ {edge}" for edge in EDGES] + [f"> {EDGES[-1]}", "none"]
    print("| cycle | " + " | ".join(names) + " |")
    print("|---|" + "---:|" * len(names))
    for cycle, found in sorted(counts.items()):
        print(f"| {cycle + 1} | " + " | ".join(f"{100 * n / sum(found):.0f}" for n in found) + " |")


main()
