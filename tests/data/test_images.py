"""Readers of images and vectors: content, splits, ids, faults."""

import numpy as np
import pytest
import torch

from graphprune.data.images import classification_data, load_npz, load_sklearn, stratified
from graphprune.errors import InputError

CPU = torch.device("cpu")


def test_digits_split_is_stratified_disjoint_and_normalised():
    data = load_sklearn("digits")
    assert len(data.train) + len(data.test) == 1797
    assert not np.intersect1d(data.train.ids, data.test.ids).size
    share = np.bincount(data.test.labels) / np.bincount(np.concatenate([data.train.labels, data.test.labels]))
    assert np.abs(share - 0.2).max() < 0.01
    (batch,) = data.train.batches([torch.arange(len(data.train))], device=CPU)
    assert batch.x.shape == (len(data.train), 1, 8, 8)
    assert abs(float(batch.x.mean())) < 1e-4
    assert abs(float(batch.x.std()) - 1) < 1e-3


def test_ids_follow_their_samples_and_fingerprints_follow_the_content():
    x = np.arange(24, dtype=np.float32).reshape(12, 2)
    y = np.arange(12) % 2
    shuffled = np.random.default_rng(0).permutation(12)
    one = classification_data("a", x, y, ids=np.arange(12) * 10)
    two = classification_data("a", x[shuffled], y[shuffled], ids=shuffled * 10)
    changed = classification_data("a", x + (x == 5), y, ids=np.arange(12) * 10)
    assert one.fingerprint == two.fingerprint != changed.fingerprint
    for row, sample in enumerate(one.train.ids):
        assert one.train.x[row].tolist() == x[sample // 10].tolist()


def test_uint8_images_are_scaled_and_standardised_per_channel():
    draws = np.random.default_rng(0)
    x = draws.integers(0, 256, (40, 3, 5, 5), dtype=np.uint8)
    data = classification_data("a", x, np.arange(40) % 4)
    (batch,) = data.train.batches([torch.arange(len(data.train))], device=CPU)
    kept = x[data.train.ids].astype(np.float64) / 255
    expected = (kept - kept.mean((0, 2, 3), keepdims=True)) / kept.std((0, 2, 3), keepdims=True)
    np.testing.assert_allclose(batch.x.numpy(), expected, atol=1e-5)


def test_limit_and_stratified_keep_every_class():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    rows = stratified(labels, 20, purpose="x")
    assert np.bincount(labels[rows]).tolist() == [12, 6, 2]
    assert len(load_sklearn("digits", limit=100).train) == 80


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((3, 2))}, "no array 'y'"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(2, int)}, "3 samples but y 2"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(3)}, "integer class labels"),
        ({"x": np.zeros(3), "y": np.zeros(3, int)}, r"must be numbers \[N, D\]"),
        ({"x": np.full((3, 2), np.nan), "y": np.zeros(3, int)}, "3 of 3 samples"),
        ({"x": np.zeros((3, 2)), "y": np.array([0, -1, 0])}, "negative labels, the first at row 1"),
        ({"x": np.zeros((4, 2)), "y": np.array([0, 2**40, 0, 2**40])}, "from 0 to 1099511627776; number the"),
        ({"x": np.zeros((4, 2)), "y": np.array([0, 2**63, 0, 2**63], np.uint64)}, "number the classes"),
        (
            {"x": np.zeros((4, 2)), "y": np.zeros(4, int), "ids": np.array([1, 1, 2, 3])},
            "give every sample a unique id",
        ),
        ({"x": np.zeros((0, 2)), "y": np.zeros(0, int)}, "N > 0"),
    ],
)
def test_faulty_archives_are_refused_by_name(tmp_path, arrays, message):
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(InputError, match=message) as caught:
        load_npz(tmp_path / "d.npz")
    assert "d.npz" in str(caught.value)


def test_truncated_archives_and_pickles_are_refused(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.zeros((50, 2)), y=np.zeros(50, int))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "d.npz").read_bytes()[:300])
    np.savez(tmp_path / "objects.npz", x=np.array([object()]), y=np.zeros(1, int))
    for name in ("cut.npz", "objects.npz", "absent.npz"):
        with pytest.raises(InputError, match=name):
            load_npz(tmp_path / name)


BYTES = np.random.default_rng(0).integers(0, 256, (40, 3, 5, 5), dtype=np.uint8)
LABELS = np.arange(40) % 4


def everything(data):
    """Both parts as a model sees them."""
    parts = (next(p.batches([torch.arange(len(p))], device=CPU)).x for p in (data.train, data.test))
    return torch.cat(list(parts))


@pytest.mark.parametrize("train", ["u1", "<u2", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize("test", ["u1", "i2", "i8", "f4", "f8"])
def test_the_same_pixels_are_the_same_inputs_in_every_dtype(train, test):
    expected = everything(classification_data("a", BYTES[:30], LABELS[:30], test=(BYTES[30:], LABELS[30:])))
    held = (BYTES[30:].astype(test), LABELS[30:])
    data = classification_data("a", BYTES[:30].astype(train), LABELS[:30], test=held)
    torch.testing.assert_close(everything(data), expected, rtol=0, atol=1e-5)
    if {train, test} - {"f4", "f8"}:
        assert data.train.x.dtype == data.test.x.dtype == torch.uint8
        assert torch.equal(everything(data), expected)


@pytest.mark.parametrize(
    ("x", "x_test", "said"),
    [
        (
            BYTES,
            BYTES / 255,
            "x is uint8 from 0 to 255 and x_test is float64 from 0 to 1; convert both to one",
        ),
        ((BYTES / 255).astype("f4"), BYTES, "x is float32 from 0 to 1 and x_test is uint8 from 0 to 255"),
        (
            (BYTES / 255).astype("f4"),
            BYTES.astype("f4"),
            "x is float32 from 0 to 1 and x_test is float32 from 0",
        ),
        (BYTES, (BYTES > 99).astype("u1"), "x_test is uint8 from 0 to 1; convert"),
        (BYTES.astype("i8"), BYTES + 0.5, "x_test is float64 from 0.5 to 255.5"),
    ],
)
def test_parts_on_two_scales_are_refused(x, x_test, said):
    with pytest.raises(InputError, match=said):
        classification_data("a", x, LABELS, test=(x_test, LABELS))


def test_integers_beyond_a_byte_keep_their_numbers_in_both_parts():
    deep = BYTES.astype(np.uint16) * 257
    data = classification_data("a", deep, LABELS, test=(BYTES, LABELS))
    assert np.array_equal(data.train.x, deep)
    assert np.array_equal(data.test.x, BYTES)
    assert data.test.x.dtype == torch.float32


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.zeros((8, 9, 7, 3)), r"seems to be \[N, H, W, C\]"),
        (np.zeros((8, 9, 9, 1), np.uint8), r"use x.transpose\(0, 3, 1, 2\)"),
        (np.zeros((8, 1, 0, 4)), "no empty dimension"),
        (np.full((8, 2), 1e300), "in float32 \\(at most 3.4e38\\)"),
    ],
)
def test_arrays_that_are_no_images_are_refused(x, said):
    with pytest.raises(InputError, match=said):
        classification_data("a", x, np.arange(8) % 2)


@pytest.mark.parametrize("shape", [(8, 3, 4, 4), (8, 1, 9, 3), (8, 512, 4, 4), (8, 4, 9, 3)])
def test_images_with_channels_first_are_taken(shape):
    draws = np.random.default_rng(0).random(shape)
    assert classification_data("a", draws, np.arange(8) % 2).info.input_shape == shape[1:]


def test_a_test_fraction_that_leaves_nothing_is_named():
    with pytest.raises(InputError, match="test_fraction 0.9999 of 40 samples leaves none to train on"):
        classification_data("a", BYTES, LABELS, test_fraction=0.9999)


FLAT = np.random.default_rng(1).integers(0, 256, 8 * 64, dtype=np.uint8)


def test_the_fingerprint_covers_shape_dtype_and_names():
    y = np.arange(8) % 2

    def of(x, **more):
        return classification_data("a", x, y, **more).fingerprint

    found = [
        of(FLAT.reshape(shape))
        for shape in ((8, 64), (8, 1, 8, 8), (8, 1, 4, 16), (8, 4, 4, 4), (8, 1, 16, 4))
    ]
    found.append(of(np.nan_to_num(FLAT.view(np.float32)).reshape(8, 16).clip(0, 1)))
    found.append(of(FLAT.reshape(8, 64), class_names=("cat", "dog")))
    found.append(of(FLAT.reshape(8, 64), ids=np.arange(8) * 2))
    one, two = FLAT[:256].reshape(8, 32), FLAT[256:].reshape(8, 32)
    found += [of(one, test=(two, y)), of(two, test=(one, y))]
    assert len(set(found)) == len(found)
    assert of(FLAT.reshape(8, 64)) == of(FLAT.reshape(8, 64).copy(order="F"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"x_test": FLAT.reshape(8, 64)}, "has an array 'x_test' but no 'y_test'; save both or neither"),
        ({"y_test": np.zeros(8, int)}, "has an array 'y_test' but no 'x_test'"),
        (
            {"X_test": FLAT.reshape(8, 64), "y_test": np.zeros(8, int)},
            "an array 'X_test'; rename it to 'x_test'",
        ),
        ({"xtest": FLAT.reshape(8, 64)}, "an array 'xtest'; rename it to 'x_test'"),
        ({"IDs": np.arange(8)}, "an array 'IDs'; rename it to 'ids'"),
        ({"ids": np.arange(8)[:, None]}, r"ids are int64 \[8, 1\]"),
        ({"ids": np.array(3)}, r"ids are int64 \[\]"),
        ({"ids": np.arange(8) / 2}, "ids are float64"),
        ({"ids": np.arange(8, dtype=np.uint64) + 2**63}, "does not fit int64"),
        ({"y": np.zeros((8, 2), int)}, r"y is int64 \[8, 2\]"),
        ({"y": np.array(list("abcdabcd"))}, "it must be integer class labels"),
    ],
)
def test_arrays_of_an_archive_are_all_used_or_refused(tmp_path, more, said):
    np.savez(tmp_path / "d.npz", **{"x": FLAT.reshape(8, 64), "y": np.arange(8) % 2, **more})
    with pytest.raises(InputError, match=said):
        load_npz(tmp_path / "d.npz")


def test_other_arrays_of_an_archive_are_reported(tmp_path):
    arrays = {
        "x": FLAT.reshape(8, 64),
        "y": np.arange(8) % 2 == 1,
        "weights": np.ones(8),
        "../up": np.ones(1),
    }
    np.savez(tmp_path / "d.npz", **arrays)
    data = load_npz(tmp_path / "d.npz", faults=("known",))
    assert data.faults == ("known", f"{tmp_path / 'd.npz'}: ignored the arrays ../up, weights")
    assert data.info.num_classes == 2


def test_classes_that_only_one_part_has_are_reported():
    data = classification_data("a", BYTES, LABELS, test=(BYTES, np.where(LABELS == 3, 5, LABELS)))
    assert data.faults == (
        "1 of 5 classes have no training sample: 5",
        "1 of 5 classes have no test sample: 3",
    )
    with pytest.raises(InputError, match="2 class names, but labels reach 3"):
        classification_data("a", BYTES, LABELS, class_names=("a", "b"))
