"""Runs the lines of docs/pytorch.md, and compares their logits with those of `rso predict`.

pytorch_check.py RSO MODEL IMAGES DOCUMENT
"""

import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import save_file

rso, model_file, images_file, document = (os.path.abspath(p) for p in sys.argv[1:5])
text = pathlib.Path(document).read_text()
code = text.split("<!-- pytorch -->\n```python\n")[1].split("```")[0]
raw = gzip.open(images_file).read()
images = torch.from_numpy(np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 1, 28, 28).copy())

with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    subprocess.run([rso, "export", model_file, "--safetensors", "weights.safetensors"], check=True)
    names = {}
    exec(compile(code, "docs/pytorch.md", "exec"), names)
    theirs = torch.cat([names["logits"](part) for part in images.split(1000)]).numpy()
    out = subprocess.run([rso, "predict", model_file, images_file, "--json"], check=True, capture_output=True)
    ours = np.array([json.loads(line)["logits"] for line in out.stdout.splitlines()])
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    difference = (np.abs(ours - theirs).max(axis=1) / np.abs(ours).max(axis=1)).max()
    assert difference < 1e-4, difference
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).all()

    # And back, with the counters of batches that only PyTorch has.
    save_file(names["model"].state_dict(), "torch.safetensors")
    subprocess.run(
        [rso, "train", "--from", "torch.safetensors", "--layers", "6", "--only", "fc.weight", "--cycles", "1",
         "--train-limit", "500", "--test-limit", "100", "--batch", "500", "--run", "back", "--save-initial",
         "initial.safetensors", "--quiet"], check=True)
    from safetensors.torch import load_file
    before, after, run = (load_file(f) for f in ["weights.safetensors", "initial.safetensors", "back/checkpoint.safetensors"])
    for name, tensor in before.items():
        if "running" not in name:
            assert torch.equal(tensor, after[name]), name
            assert torch.equal(tensor, run[name]) == (name != "fc.weight"), name
    print(f"PyTorch {torch.__version__}: {len(images)} images, the same classes, logits to {difference:.1e}; and back")
