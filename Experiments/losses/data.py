"""Makes the data sets of docs/losses.md in Experiments/losses/data.

    python Experiments/losses/data.py         needs: pip install numpy scikit-learn pillow

imbalanced: MNIST, whose class c keeps a share of its training images that falls from 100 % (0) to 2 % (9) by equal factors;
all test images. cancer, diabetes: scikit-learn's, a quarter to test with, inputs and the target of diabetes
standardised by the training samples. photos: scikit-learn's two photographs in grey, the left half to train on; of every pixel, the neighbours that
come before it.
"""
import gzip
import pathlib

import numpy as np
from sklearn import datasets, linear_model, metrics, model_selection

here = pathlib.Path(__file__).resolve().parent
mnist = here.parents[1] / "Sources/RSO/Resources/mnist"


def save(name, **arrays):
    folder = here / "data" / name
    folder.mkdir(parents=True, exist_ok=True)
    for array, values in arrays.items():
        np.save(folder / f"{array}.npy", values)


def digits(prefix):
    images = np.frombuffer(gzip.open(mnist / f"{prefix}-images-idx3-ubyte.gz").read(), "u1", offset=16)
    labels = np.frombuffer(gzip.open(mnist / f"{prefix}-labels-idx1-ubyte.gz").read(), "u1", offset=8)
    return images.reshape(-1, 28, 28), labels


images, labels = digits("train")
kept = np.zeros(len(labels), bool)
for c in range(10):
    places = np.flatnonzero(labels == c)
    kept[places[: round(len(places) * 0.02 ** (c / 9))]] = True
test = digits("t10k")
save("imbalanced", train_images=images[kept], train_labels=labels[kept], test_images=test[0], test_labels=test[1])
print("imbalanced:", np.bincount(labels[kept]).tolist())


def table(name, x, y, isClass):
    a, b, c, d = model_selection.train_test_split(
        x, y, test_size=0.25, random_state=0, stratify=y if isClass else None)
    mean, deviation = a.mean(0), a.std(0)
    a, b = ((v - mean) / deviation for v in (a, b))
    if isClass:
        line = linear_model.LogisticRegression(max_iter=1000).fit(a, c)
        print(f"{name}: logistic regression: AUC {metrics.roc_auc_score(d, line.decision_function(b)):.4f}, "
              f"accuracy {line.score(b, d):.4f}")
        targets = dict(train_labels=c.astype("i4"), test_labels=d.astype("i4"))
    else:
        c, d = ((v - c.mean()) / c.std() for v in (c, d))
        line = linear_model.LinearRegression().fit(a, c)
        print(f"{name}: linear regression: squared error {metrics.mean_squared_error(d, line.predict(b)):.4f}")
        targets = dict(train_targets=c[:, None].astype("f4"), test_targets=d[:, None].astype("f4"))
    shape = (-1, x.shape[1], 1, 1)
    save(name, train_images=a.astype("f4").reshape(shape), test_images=b.astype("f4").reshape(shape), **targets)


table("cancer", *datasets.load_breast_cancer(return_X_y=True), True)
table("diabetes", *datasets.load_diabetes(return_X_y=True), False)


def photo(name):
    """[rows, columns] of pixels, those on the left, and six neighbours that come before, less the one on the left."""
    grey = np.rint(datasets.load_sample_image(name) @ [0.299, 0.587, 0.114]).astype(int)
    own, left = grey[2:, 2:-2], grey[2:, 1:-3]
    known = grey[1:-1, 2:-2], grey[1:-1, 1:-3], grey[1:-1, 3:-1], grey[2:, :-4], grey[:-2, 2:-2], grey[:-2, 3:-1]
    return own, left, np.stack([k - left for k in known], -1)


pictures = [photo("china.jpg"), photo("flower.jpg")]
scale = np.concatenate([(own - left).ravel() for own, left, _ in pictures]).std()
half = pictures[0][0].shape[1] // 2
for split, columns in (("train", slice(0, half)), ("test", slice(half, 2 * half))):
    # Every fourth row; rows are in order, as a compressor sees them.
    own, left, inputs = (np.concatenate([v[::4, columns].reshape(-1, *v.shape[2:]) for v in part]) for part in zip(*pictures))
    save("photos", **{
        f"{split}_images": inputs.astype("f4").reshape(-1, 6, 1, 1),
        f"{split}_targets": ((own - left) / scale).astype("f4")[:, None],
        f"{split}_pixels": np.stack([own, left], -1).astype("u1")})
save("photos", scale=np.float64(scale))
