"""Checks that `rso` reads the .npy and safetensors headers that their libraries read, and refuses those they refuse.

    python headers.py RSO                   needs: pip install numpy safetensors

What is meant to differ is listed with its reason.
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import warnings

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

NPY = [
    "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 2), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 2)}",
    '{"descr": "|u1", "fortran_order": False, "shape": (2, 2, 2)}',
    "{'shape':(2,2,2),'fortran_order':False,'descr':'<u1'}",
    "{'descr': '>u1', 'fortran_order': False, 'shape': (2, 2, 2), }",
    "{'descr': '=u1', 'fortran_order': False, 'shape': (2, 2, 2), }",
    "{'descr': 'u1', 'fortran_order': False, 'shape': (2, 2, 2), }",
    "{'descr': 'uint8', 'fortran_order': False, 'shape': (2, 2, 2), }",
    "{'descr': 'B', 'fortran_order': False, 'shape': (2, 2, 2), }",
    "{'descr': '=f4', 'fortran_order': False, 'shape': (2, 1, 1), }",
    "{'descr': 'f4', 'fortran_order': False, 'shape': (2, 1, 1), }",
    "{'descr': 'float32', 'fortran_order': False, 'shape': (2, 1, 1), }",
    "{'descr': u'|u1', u'fortran_order': False, 'shape': (2, 2, 2), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (2L, 2L, 2L), }",
    "{\n 'descr': '|u1',\n 'fortran_order': False,\n 'shape': (2, 2, 2),\n}  # of a test",
    "  {'descr': '|u1', 'fortran_order': False, 'shape': ((2), 2, 2), }",
    # The last of two counts.
    "{'shape': (9, 9), 'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 2), }",
    "garbage 'descr': '|u1' 'fortran_order': False 'shape': (2, 2, 2)",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 2), ",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 2), }}",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 2), } x",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 2),, }",
    "{'descr': '|u1' 'fortran_order': False, 'shape': (2, 2, 2), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': [2, 2, 2], }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': 8, }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 2.0), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (02, 2, 2), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, '2'), }",
    "{'descr': '|u1', 'fortran_order': 0, 'shape': (2, 2, 2), }",
    "{'descr': '|u1', 'fortran_order': false, 'shape': (2, 2, 2), }",
    "{'descr': '|u1', 'fortran_order': 'False', 'shape': (2, 2, 2), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 2), 'more': 1, }",
    "{'descr': '|u1', 'fortran_order': False, }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (-2, 2, 2), }",
    "{'descr': '|x1', 'fortran_order': False, 'shape': (2, 2, 2), }",
    "{'descr': '|u1, 'fortran_order': False, 'shape': (2, 2, 2), }",
    "{'descr': None, 'fortran_order': False, 'shape': (2, 2, 2), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 2), }\0",
    "",
    "{}",
]
VERSIONS = [(1, 0), (2, 0), (3, 0), (1, 1), (0, 1), (2, 1), (4, 0)]


def npy(header, version=(1, 0), length=None):
    text = header.encode()
    size = struct.pack("<H" if version[0] == 1 else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + bytes(version) + size + text + bytes(8)


def f32(begin, end, shape="[1]"):
    return f'{{"dtype":"F32","shape":{shape},"data_offsets":[{begin},{end}]}}'


X = f'"x":{f32(0, 4)}'
SAFETENSORS = [
    "{%s}" % X,
    " \n\t{%s}\n  " % X,
    '{"__metadata__":null,%s}' % X,
    '{"__metadata__":{},%s}' % X,
    '{"__metadata__":{"a":"b"},%s}' % X,
    '{"__metadata__":{"a":"b"},"__metadata__":{"a":"b"},%s}' % X,
    '{"__metadata__":null,"__metadata__":null,%s}' % X,
    '{"__metadata__":{"a":1},%s}' % X,
    '{"__metadata__":{"a":null},%s}' % X,
    '{"__metadata__":[],%s}' % X,
    '{%s,"x":%s}' % (X, f32(4, 8)),
    '{"x":%s,%s}' % (f32(4, 8), X),
    '{%s,"y":%s}' % (X, f32(4, 8)),
    '{%s,"y":%s}' % (X, f32(0, 4)),
    '{%s,"y":%s}' % (X, f32(5, 9)),
    '{%s,"y":%s}' % (X, f32(4, 4, "[0]")),
    '{%s,"y":%s}' % (X, f32(0, 0, "[0]")),
    '{"x":%s}' % f32(0, 4, "[]"),
    '{"x":%s}' % f32(0, 4, "[1.0]"),
    '{"x":%s}' % f32(0, 4, "[1e0]"),
    '{"x":%s}' % f32(0, 4, "[01]"),
    '{"x":%s}' % f32(0, 4, "[-1]"),
    '{"x":%s}' % f32(0, 4, "[true]"),
    '{"x":%s}' % f32(0, 4, "null"),
    '{"x":%s}' % f32(0, 4, '[1],"shape":[1]'),
    '{"x":%s}' % f32(0, 4, '[1],"more":{"a":[1,{}]}'),
    '{"x":%s}' % f32(0, 4, '[1],"more":' + "[" * 200 + "]" * 200),
    '{"x":%s}' % f32(0, 4, "[2]"),
    '{"x":%s}' % f32("-0", 4),
    '{"x":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}',
    '{"x":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}}',
    '{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}',
    '{"x":{"dtype":"F32","shape":[1],"data_offsets":[0]}}',
    '{"x":{"shape":[1],"data_offsets":[0,4]}}',
    '{"x":null}',
    '{"\\ud83d\\ude00":%s}' % f32(0, 4),
    '{"\\ud800":%s}' % f32(0, 4),
    '{"\\x41":%s}' % f32(0, 4),
    '{"a\tb":%s}' % f32(0, 4),
    "{'x':%s}" % f32(0, 4),
    "{%s,}" % X,
    "{%s}x" % X,
    "{%s/* */}" % X,
    "{%s}\0" % X,
    "\ufeff{%s}" % X,
    "[]",
    "",
]
# The format's own text disallows equal names; the library takes the last, if the values then have no gap.
STRICTER = {
    "{%s,%s}" % (X, X),
    '{"__metadata__":{"a":"b","a":"c"},%s}' % X,
    # A tensor as a list of its parts, which only the library's parser takes.
    '{"x":["F32",[1],[0,4]]}',
}


def reads_npy(path):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.load(path)
        return True
    except Exception:  # Of many types: some of its own, some of the parser of Python.
        return False


def reads_safetensors(path):
    try:
        with safe_open(path, "np") as file:
            for name in file.keys():
                file.get_tensor(name)
        return True
    except Exception:  # The library has a type of its own for what it refuses.
        return False


def main():
    rso = pathlib.Path(sys.argv[1]).resolve()
    count = 0

    def run(*arguments):
        answer = subprocess.run([rso, *arguments], cwd=folder, capture_output=True, text=True)
        if answer.returncode not in (0, 1):
            sys.exit(f"{arguments}: exit code {answer.returncode}\n{answer.stderr}")
        return answer

    def check(what, expected, answer):
        nonlocal count
        count += 1
        if (answer.returncode == 0) != expected:
            sys.exit(f"{what!r}: expected {'to be read' if expected else 'an error'}\n{answer.stderr}")

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for side in (1, 2):
            network = {"input": {"channels": 1, "height": side, "width": side}, "layers": [
                {"name": "flat", "type": "flatten"}, {"name": "fc", "type": "linear", "features": 2}]}
            (folder / f"{side}.json").write_text(json.dumps(network))
            save_file({"fc.weight": np.ones((2, side * side), "float32")}, folder / f"{side}.st", {
                "format": "rso-model", "format_version": "1", "network": json.dumps(network), "classes": "2",
                "mean": "[0]"})
        cases = [(header, npy(header)) for header in NPY]
        cases += [((version, header), npy(header, version)) for version in VERSIONS for header in (NPY[0], NPY[13])]
        cases += [("long", npy(NPY[0] + " " * 9900)), ("longer", npy(NPY[0] + " " * 9950)), ("cut", npy(NPY[0], length=99))]
        for what, content in cases:
            (folder / "a.npy").write_bytes(content)
            side = 1 if "(2, 1, 1)" in str(what) else 2
            check(what, reads_npy(folder / "a.npy"), run("predict", f"{side}.st", "a.npy"))

        # A file that is read is then found to lack the network's tensor.
        for header in SAFETENSORS + sorted(STRICTER):
            text = header.encode()
            largest = 8 if "[4,8]" in header else 9 if "[5,9]" in header else 4
            (folder / "a.st").write_bytes(struct.pack("<Q", len(text)) + text + bytes(largest))
            answer = run("import", "a.st", "--network", "1.json", "-o", "m")
            answer.returncode = 0 if "found no fc.weight" in answer.stderr else 1
            check(header, header not in STRICTER and reads_safetensors(folder / "a.st"), answer)
    print(f"{count} headers are read or refused as by the libraries")


main()
