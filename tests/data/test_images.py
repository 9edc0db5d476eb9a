"""Readers of images and vectors: content, splits, ids, faults."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

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
        ({"x": np.zeros((4, 2)), "y": np.zeros(4, int), "ids": np.array([1, 1, 2, 3])}, "without repetition"),
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


def png(colour: tuple[int, int, int], size: int = 6) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return tmp_path


def write_parquet(path, images, labels, image="img"):
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = [{"bytes": raw, "path": None} for raw in images]
    pq.write_table(pa.table({image: cells, "label": labels}), path)


def parquet_options(**changes):
    options = {
        "image": None,
        "label": None,
        "image_size": None,
        "limit": None,
        "test_fraction": 0.25,
        "faults": (),
    }
    return {**options, **changes}


def test_parquet_images_are_decoded_in_order(cache):
    from graphprune.data.parquet import load_parquet

    colours = [(10 * i, 5, 200 - i) for i in range(20)]
    write_parquet(cache / "train.parquet", [png(c) for c in colours], [i % 2 for i in range(20)])
    write_parquet(cache / "test.parquet", [png((1, 2, 3))] * 4, [0, 1, 0, 1])
    data = load_parquet(cache / "train.parquet", test_path=cache / "test.parquet", **parquet_options())
    assert data.train.x.shape == (20, 3, 6, 6)
    assert [tuple(image[:, 0, 0].tolist()) for image in data.train.x] == colours
    assert len(data.test) == 4


def test_images_of_other_sizes_need_image_size(cache):
    from graphprune.data.parquet import load_parquet

    write_parquet(cache / "mixed.parquet", [png((0, 0, 0)), png((9, 9, 9), 8)] * 4, [0, 1] * 4)
    with pytest.raises(InputError, match="image 1 has size .* data.image_size"):
        load_parquet(cache / "mixed.parquet", test_path=None, **parquet_options())
    data = load_parquet(cache / "mixed.parquet", test_path=None, **parquet_options(image_size=5))
    assert data.info.input_shape == (3, 5, 5)


def test_unusable_parquet_files_are_refused(cache):
    from graphprune.data.parquet import load_parquet

    write_parquet(cache / "bad.parquet", [b"not an image"] * 8, [0, 1] * 4)
    with pytest.raises(InputError, match="image 0 cannot be decoded"):
        load_parquet(cache / "bad.parquet", test_path=None, **parquet_options())
    write_parquet(cache / "named.parquet", [png((0, 0, 0))] * 8, [0, 1] * 4, image="photo")
    with pytest.raises(InputError, match="no image column .* photo"):
        load_parquet(cache / "named.parquet", test_path=None, **parquet_options())
    with pytest.raises(InputError, match="no column 'y'"):
        load_parquet(cache / "named.parquet", test_path=None, **parquet_options(image="photo", label="y"))
    (cache / "text.parquet").write_text("hello")
    with pytest.raises(InputError, match=r"text\.parquet could not be read"):
        load_parquet(cache / "text.parquet", test_path=None, **parquet_options())


def test_image_folders_name_their_classes(cache):
    from graphprune.data.imagefolder import load_imagefolder

    for label, colour in (("cat", (1, 1, 1)), ("dog", (9, 9, 9))):
        (cache / "pets" / label).mkdir(parents=True)
        for i in range(4):
            (cache / "pets" / label / f"{i}.png").write_bytes(png(colour))
    data = load_imagefolder(cache / "pets", test_path=None, **parquet_options())
    assert data.info.class_names == ("cat", "dog")
    assert len(data.train) + len(data.test) == 8
    with pytest.raises(InputError, match="is not a folder"):
        load_imagefolder(cache / "absent", test_path=None, **parquet_options())


def test_the_real_cifar_file_loads(shared_data, cache):
    from graphprune.data.parquet import load_parquet

    path = shared_data / "cifar10_test.parquet"
    data = load_parquet(path, test_path=None, **parquet_options(limit=200))
    assert data.info.input_shape == (3, 32, 32)
    assert data.info.num_classes == 10
