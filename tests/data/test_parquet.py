"""Local Parquet files of images: columns, labels by name, faulty cells."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from graphprune.data.parquet import load_parquet
from graphprune.errors import InputError


def png(color, size=6) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), color).save(buffer, "PNG")
    return buffer.getvalue()


COLORS = [(10 * i, 5, 200 - i) for i in range(20)]
CELLS = [{"bytes": png(color), "path": f"p/{i}.png"} for i, color in enumerate(COLORS)]


def write(path, images=CELLS, label=None, names=None, *, image="img", column="label", **options):
    label = [i % 2 for i in range(len(images))] if label is None else label
    table = pa.table({image: images, column: label})
    if names is not None:
        features = {column: {"names": names, "_type": "ClassLabel"}, image: {"_type": "Image"}}
        note = {"huggingface": json.dumps({"info": {"features": features}})}
        table = table.replace_schema_metadata(note)
    pq.write_table(table, path, **options)
    return path


@pytest.mark.parametrize("groups", [1, 7, 100])
@pytest.mark.parametrize("kind", ["struct", "binary", "large_binary"])
def test_images_are_decoded_in_order(tmp_path, groups, kind):
    images = CELLS if kind == "struct" else pa.array([c["bytes"] for c in CELLS], getattr(pa, kind)())
    train = write(tmp_path / "train.parquet", images, row_group_size=groups)
    data = load_parquet(train, test_path=write(tmp_path / "test.parquet", CELLS[:4]))
    assert data.train.x.shape == (20, 3, 6, 6)
    assert [tuple(image[:, 0, 0].tolist()) for image in data.train.x] == COLORS
    assert len(data.test) == 4
    limited = load_parquet(train, test_path=tmp_path / "test.parquet", limit=8).train
    assert [tuple(image[:, 0, 0].tolist()) for image in limited.x] == [COLORS[i] for i in limited.ids]


def test_a_path_in_a_cell_is_beside_the_file(tmp_path):
    (tmp_path / "pictures").mkdir()
    cells = [{"bytes": None, "path": f"pictures/{i}.png"} for i in range(8)]
    for i in range(8):
        (tmp_path / f"pictures/{i}.png").write_bytes(png(COLORS[i]))
    data = load_parquet(write(tmp_path / "t.parquet", cells), test_path=write(tmp_path / "u.parquet"))
    assert [tuple(image[:, 0, 0].tolist()) for image in data.train.x] == COLORS[:8]


def test_images_of_other_sizes_need_image_size(tmp_path):
    write(tmp_path / "mixed.parquet", [{"bytes": png((0, 0, 0), size)} for size in (6, 8)] * 4)
    with pytest.raises(InputError, match="image 1 has size .* data.image_size"):
        load_parquet(tmp_path / "mixed.parquet")
    assert load_parquet(tmp_path / "mixed.parquet", image_size=5).info.input_shape == (3, 5, 5)


@pytest.mark.parametrize(
    ("table", "options", "said"),
    [
        ({"photo": CELLS, "label": [0, 1] * 10}, {}, "no image column .* photo, label; name it with data.image"),
        ({"img": CELLS, "class": [0, 1] * 10}, {}, "no label column .* name it with data.label"),
        ({"img": CELLS, "label": [0, 1] * 10}, {"label": "y"}, "no column 'y'; choose one of img, label"),
        ({"img": CELLS, "label": [0.5] * 20}, {}, "label column 'label' is double; it must be integer"),
        ({"img": CELLS, "label": [[0, 1]] * 20}, {"limit": 8}, "'label' is list<.*; it must be integer"),
        ({"img": CELLS, "label": [0, None] * 10}, {}, "has 10 nulls among 20 labels, the first at row 1"),
        ({"img": CELLS, "label": ["a", None] * 10}, {}, "has 10 nulls among 20 labels, the first at row 1"),
        ({"img": CELLS, "label": [0, -1] * 10}, {}, "contains negative labels, the first at row 1"),
        ({"img": CELLS, "label": [f"caption {i}" for i in range(20)]}, {}, "20 different strings in 20 rows"),
        ({"img": [[1, 2]] * 20, "label": [0, 1] * 10}, {}, "image 0 is a list, not an encoded image"),
        ({"img": ["a.png"] * 20, "label": [0, 1] * 10}, {}, "image 0 is a str, not an encoded image"),
        ({"img": [*CELLS[:19], None], "label": [0, 1] * 10}, {}, r"image 19 cannot be decoded \(it is missing"),
        (
            {"img": [*CELLS[:4], {"bytes": b"x", "path": "cat/zz.png"}], "label": [0, 1, 0, 1, 0]}, {},
            r"D\.parquet: image 4 \(cat/zz\.png\) cannot be decoded",
        ),
        ({"img": pa.array([], pa.binary()), "label": pa.array([], pa.int64())}, {}, "has no images"),
    ],
)  # fmt: skip
def test_unusable_files_are_refused_by_row_and_column(tmp_path, table, options, said):
    pq.write_table(pa.table(table), tmp_path / "D.parquet")
    with pytest.raises(InputError, match=said) as caught:
        load_parquet(tmp_path / "D.parquet", **options)
    assert "D.parquet" in str(caught.value)


def test_the_test_file_is_named_where_it_lacks_a_column(tmp_path):
    train = write(tmp_path / "train.parquet")
    with pytest.raises(InputError, match=r"test\.parquet: no image column"):
        load_parquet(train, test_path=write(tmp_path / "test.parquet", image="photo"))
    with pytest.raises(InputError, match=r"test\.parquet: no label column"):
        load_parquet(train, test_path=write(tmp_path / "test.parquet", column="species"))


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_damaged_files_are_refused(tmp_path, kept):
    content = write(tmp_path / "whole.parquet").read_bytes()
    for name, damage in (
        ("cut", content[: int(kept * len(content))]),
        ("zeros", content[: int(kept * len(content))].ljust(len(content) - 300, b"\0") + content[-300:]),
    ):
        (tmp_path / f"{name}.parquet").write_bytes(damage)
        with pytest.raises(InputError, match=rf"{name}\.parquet"):
            load_parquet(tmp_path / f"{name}.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(InputError, match=r"text\.parquet could not be read"):
        load_parquet(tmp_path / "text.parquet")


@pytest.mark.parametrize("note", [b"{", b"[]", b'{"info": {"features": {"label": {"_type": "ClassLabel"}}}}'])
def test_damaged_class_names_are_refused_or_absent(tmp_path, note):
    table = pa.table({"img": CELLS, "label": [0, 1] * 10}).replace_schema_metadata({"huggingface": note})
    pq.write_table(table, tmp_path / "D.parquet")
    if b"ClassLabel" in note:
        assert load_parquet(tmp_path / "D.parquet").info.class_names == ("0", "1")
        return
    with pytest.raises(InputError, match="'huggingface' schema metadata is not valid"):
        load_parquet(tmp_path / "D.parquet")


TEXT = [("dog", "cat")[i % 2] for i in range(20)]


def loaded(tmp_path, train, test):
    """Names of the classes, and of the labels of either part."""
    write(tmp_path / "a.parquet", **train)
    write(tmp_path / "b.parquet", **test)
    data = load_parquet(tmp_path / "a.parquet", test_path=tmp_path / "b.parquet")
    names = data.info.class_names
    return names, [names[i] for i in data.train.labels], [names[i] for i in data.test.labels], data.faults


def test_test_classes_are_matched_by_name(tmp_path):
    numbers = [i % 2 for i in range(20)]
    flipped = [1 - i for i in numbers]
    same = {"label": numbers, "names": ["dog", "cat"]}
    for test in (
        same,
        {"label": flipped, "names": ["cat", "dog"]},
        {"label": [i + 1 for i in flipped], "names": ["ant", "cat", "dog"]},
        {"label": TEXT},
        {"label": pa.array(TEXT).dictionary_encode()},
    ):
        assert loaded(tmp_path, same, test) == (("dog", "cat"), TEXT, TEXT, ())
    assert loaded(tmp_path, {"label": TEXT}, same) == (("cat", "dog"), TEXT, TEXT, ())


def test_classes_of_one_part_alone_are_reported_or_refused(tmp_path):
    three = {"label": [i % 3 for i in range(20)], "names": ["ant", "bee", "cow"]}
    without = {"label": [i % 2 for i in range(20)], "names": ["ant", "cow"]}
    _, _, test, faults = loaded(tmp_path, three, without)
    assert test == ["ant", "cow"] * 10
    assert faults == ("1 of 3 classes have no test sample: bee",)
    with pytest.raises(InputError, match=r"b\.parquet has classes that the training part lacks: bee \(train"):
        loaded(tmp_path, without, three)
    with pytest.raises(InputError, match="has 2 class names"):
        loaded(tmp_path, {"label": [2] * 20, "names": ["ant", "cow"]}, three)
    *_, faults = loaded(tmp_path, without, {})
    assert "classes were matched by number" in faults[0]
    with pytest.raises(InputError, match="must both have class names or both class numbers"):
        loaded(tmp_path, {"label": TEXT}, {})


def test_skipped_images_leave_the_ids_of_others(tmp_path):
    cells = [*CELLS]
    cells[3] = {"bytes": b"bad", "path": "p/3.png"}
    cells[11] = None
    train, test = write(tmp_path / "a.parquet", cells), write(tmp_path / "b.parquet", cells[:6])
    with pytest.warns(UserWarning, match="images were skipped") as heard:
        data = load_parquet(train, test_path=test, skip_broken=True, faults=("known",))
    assert len(heard) == 2
    assert data.train.ids.tolist() == [i for i in range(20) if i not in (3, 11)]
    assert [tuple(image[:, 0, 0].tolist()) for image in data.train.x] == [COLORS[i] for i in data.train.ids]
    assert data.train.labels.tolist() == [i % 2 for i in data.train.ids]
    assert data.test.ids.tolist() == [0, 1, 2, 4, 5]
    known, *skipped = data.faults
    assert known == "known"
    assert "a.parquet: 2 of 20 images were skipped" in skipped[0]
    assert "image 3 (p/3.png)" in skipped[0]
    assert "b.parquet: 1 of 6 images were skipped" in skipped[1]


def test_what_datasets_writes_is_read(tmp_path):
    datasets = pytest.importorskip("datasets", reason="Hugging Face datasets is absent (extra: hf)")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["dog", "cat"])}
    )
    rows = {"image": CELLS, "label": [0, 1] * 10}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "d.parquet"))
    data = load_parquet(tmp_path / "d.parquet")
    assert data.info.class_names == ("dog", "cat")
    assert len(data.train) + len(data.test) == 20


def test_the_real_cifar_file_loads(shared_data):
    data = load_parquet(shared_data / "cifar10_test.parquet", limit=200)
    assert data.info.input_shape == (3, 32, 32)
    assert data.info.num_classes == 10
    assert data.train.x.dtype == torch.uint8
    assert np.bincount(data.train.labels).tolist() == [16] * 10
