"""Checks how `rso predict` reads PNG and JPEG files: as Pillow does, within one grey level.

    python pictures.py RSO                  needs: pip install numpy pillow safetensors

A network that gives its input back shows the pixels that `rso` decoded. The PNG files are written here, from the
standard's text, because Pillow writes few of its kinds: every colour type, depth, interlacing and transparency, with
and without a description of light. The JPEG files are Pillow's, of every colour space, in every Exif orientation, with
stray bytes, and cut short.
"""
import io
import itertools
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

import numpy as np
from PIL import Image, ImageOps
from safetensors.numpy import save_file

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(samples, depth, colours, interlaced=False, before=b"", after=b""):
    """A file of samples [height, width, channels]; `before` and `after` are chunks around the data."""
    height, width, _ = samples.shape
    rows = b""
    for y, x, dy, dx in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        for row in samples[y::dy, x::dx]:
            if row.size == 0:
                continue
            if depth == 16:
                line = row.astype(">u2").tobytes()
            else:
                bits = (row.reshape(-1, 1) >> np.arange(depth)[::-1]) & 1
                line = np.packbits(bits.astype("uint8").reshape(-1)).tobytes()
            rows += b"\0" + line
    head = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, interlaced)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + before + chunk(b"IDAT", zlib.compress(rows))
            + after + chunk(b"IEND", b""))


def on_white(rgba):
    """Pillow's picture of [height, width, 4] bytes put on white."""
    image = Image.fromarray(rgba.astype("uint8"), "RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def from_samples(samples, depth, colours, transparent):
    """The standard's meaning of samples, where Pillow is no help: it drops bits of 16 or cannot convert them, and
    compares grey levels of few bits with a transparent one after it has scaled only the former.
    """
    top = 2**depth - 1
    values = samples.astype(float)
    grey = colours in (0, 4)
    rgb = np.repeat(values[..., :1], 3, axis=2) if grey else values[..., :3]
    alpha = np.full(values.shape[:2], float(top))
    if colours in (4, 6):
        alpha = values[..., -1]
    elif transparent is not None:
        alpha[(samples == np.array(transparent)).all(axis=2)] = 0
    return on_white(np.rint(np.dstack([rgb, alpha]) * 255 / top))


def from_pillow(content):
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    if "A" in image.getbands() or "transparency" in image.info:
        return on_white(np.array(image.convert("RGBA")))
    return image.convert("RGB")


def exif(orientation, order="<"):
    return ((b"II" if order == "<" else b"MM")
            + struct.pack(order + "HIHHHIHHI", 42, 8, 1, 274, 3, 1, orientation, 0, 0))


def pngs(rng):
    lights = {"": b"", "gAMA": chunk(b"gAMA", struct.pack(">I", 100000)), "sRGB": chunk(b"sRGB", b"\0")}
    for colours, depths in DEPTHS.items():
        for depth, interlaced, light in itertools.product(depths, (False, True), lights):
            top = 2**depth
            samples = rng.integers(0, top, (9, 7, CHANNELS[colours]))
            for has_transparency in (False, True) if colours in (0, 2, 3) else (False,):
                before, transparent = lights[light], None
                if colours == 3:
                    before += chunk(b"PLTE", rng.integers(0, 256, 3 * top, dtype="uint8").tobytes())
                    if has_transparency:
                        before += chunk(b"tRNS", rng.integers(0, 256, top, dtype="uint8").tobytes())
                elif has_transparency:
                    transparent = [int(value) for value in samples[3, 4]]
                    if depth == 16:  # The same in its upper bits, and not transparent.
                        samples[4, 4] = samples[3, 4] ^ 1
                    before += chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))
                content = png(samples, depth, colours, interlaced, before)
                is_ours = depth == 16 or depth < 8 and transparent is not None
                expected = from_samples(samples, depth, colours, transparent) if is_ours else from_pillow(content)
                # Pillow agrees where it can: it drops the lower bits of a value and of its opacity.
                if depth == 16 and colours != 0 and transparent is None:
                    compare("Pillow", np.array(from_pillow(content)), np.array(expected), bound=2)
                yield f"{colours}-{depth}-{'i' if interlaced else 'n'}-{light}-{has_transparency}.png", content, expected
    for orientation, order in itertools.product(range(10), "<>"):
        samples = rng.integers(0, 256, (9, 7, 3))
        place = {"<": "before", ">": "after"}[order]
        content = png(samples, 8, 2, **{place: chunk(b"eXIf", exif(orientation, order))})
        yield f"exif-{orientation}-{place}.png", content, from_pillow(content)
    xmp = b"XML:com.adobe.xmp\0\0\0\0\0<rdf:Description tiff:Orientation=\"8\"/>"
    content = png(samples, 8, 2, before=chunk(b"iTXt", xmp))
    yield "xmp.png", content, from_pillow(content)


def smooth(rng, width, height, mode):
    small = rng.integers(0, 256, (3, 3, len(Image.new(mode, (1, 1)).getbands())), dtype="uint8")
    return Image.fromarray(small.squeeze(), mode).resize((width, height), Image.Resampling.BICUBIC)


def jpegs(rng):
    for mode, subsampling, progressive in itertools.product(("L", "RGB", "CMYK"), (0, 1, 2), (False, True)):
        file = io.BytesIO()
        smooth(rng, 15, 11, mode).save(
            file, "JPEG", quality=90, subsampling=-1 if mode != "RGB" else subsampling, progressive=progressive)
        yield f"{mode}-{subsampling}-{progressive}.jpg", file.getvalue()
    file = io.BytesIO()
    smooth(rng, 15, 11, "RGB").save(file, "JPEG", keep_rgb=True)
    yield "rgb.jpg", file.getvalue()
    for orientation, order in itertools.product(range(10), "<>"):
        file = io.BytesIO()
        smooth(rng, 15, 11, "RGB").save(file, "JPEG", quality=95, exif=b"Exif\0\0" + exif(orientation, order))
        yield f"exif-{orientation}-{'le' if order == '<' else 'be'}.jpg", file.getvalue()
    xmp = b"http://ns.adobe.com/xap/1.0/\0<tiff:Orientation>6</tiff:Orientation>"
    plain = file.getvalue().replace(b"Exif\0\0MM", b"Nothing.", 1)
    segment = b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp
    yield "xmp.jpg", plain[:2] + segment + plain[2:]
    # Bytes that belong to nothing: before a segment, and after the data.
    yield "stray-head.jpg", plain[:2] + segment + bytes(9) + plain[2:]
    yield "stray-data.jpg", plain[:-2] + bytes(40) + plain[-2:]
    yield "stray-end.jpg", plain + b"stray"


def compare(name, found, expected, bound=1):
    difference = np.abs(found.astype(int) - expected.astype(int)).max()
    if found.shape != expected.shape or difference > bound:
        sys.exit(f"{name}: expected\n{expected.tolist()}\nfound\n{found.tolist()}")


def identity(folder, shape):
    """A model of which the logits are the pixels / 255."""
    path = folder / ("x".join(map(str, shape)) + ".safetensors")
    if not path.exists():
        count = int(np.prod(shape))
        layers = [{"name": "flat", "type": "flatten"}, {"name": "fc", "type": "linear", "features": count}]
        network = {"input": dict(zip(("channels", "height", "width"), shape)), "layers": layers}
        save_file({"fc.weight": np.eye(count, dtype="float32")}, path, {
            "format": "rso-model", "format_version": "1", "network": json.dumps(network), "classes": str(count),
            "mean": json.dumps([0] * shape[0])})
    return path


def main():
    rso = pathlib.Path(sys.argv[1]).resolve()
    rng = np.random.default_rng(20)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        pictures = list(pngs(rng)) + [(name, content, from_pillow(content)) for name, content in jpegs(rng)]
        groups = {}
        for name, content, expected in pictures:
            (folder / name).write_bytes(content)
            groups.setdefault(expected.size, []).append((name, expected))
        for (width, height), group in groups.items():
            for channels, mode in ((1, "L"), (3, "RGB")):
                answer = subprocess.run(
                    [rso, "predict", identity(folder, (channels, height, width)), "--json", "--top", "1"]
                    + [name for name, _ in group],
                    cwd=folder, capture_output=True, text=True)
                if answer.returncode != 0:
                    sys.exit(answer.stderr)
                for (name, expected), line in zip(group, answer.stdout.splitlines(), strict=True):
                    found = np.rint(np.array(json.loads(line)["logits"]) * 255).reshape(channels, height, width)
                    compare(f"{name} as {mode}", found, np.atleast_3d(np.array(expected.convert(mode))).transpose(2, 0, 1))
        # What is cut short is refused wherever the cut is, if pixels are missing.
        whole = dict((name, content) for name, content, _ in pictures)
        for name in ("L-0-False.jpg", "RGB-2-True.jpg", "2-8-n--False.png", "6-16-i--False.png"):
            for share in (0.3, 0.6, 0.9):
                (folder / "cut").write_bytes(whole[name][:int(len(whole[name]) * share)])
                answer = subprocess.run(
                    [rso, "predict", folder / "3x9x7.safetensors", folder / "cut"], capture_output=True, text=True)
                if answer.returncode != 1 or "cannot be decoded" not in answer.stderr:
                    sys.exit(f"{name} cut to {share}: {answer.stdout}{answer.stderr}")
    print(f"{len(pictures)} pictures are read as Pillow reads them")


main()
