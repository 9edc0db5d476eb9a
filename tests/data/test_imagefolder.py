"""Image folders: every image below a class folder, whatever words the path contains."""

import os

import numpy as np
import pytest
from PIL import Image

from graphprune.data.imagefolder import load_imagefolder
from graphprune.errors import InputError

LEVEL = {"ant": 20, "bee": 128, "cow": 235}


def folder(root, *files):
    """Gray images whose level tells the file's number."""
    for i, name in enumerate(files):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), i).save(root / name)
    return root


def loaded(root):
    """Class and number of every image that was loaded, in order of the ids, and the faults."""
    data = load_imagefolder(root)
    found = {}
    for part in (data.train, data.test):
        for sample, x, label in zip(part.ids, part.x, part.labels, strict=True):
            found[int(sample)] = (data.info.class_names[label], int(x[0, 0, 0]))
    return [found[i] for i in sorted(found)], data.faults


@pytest.mark.parametrize(
    "classes",
    [
        ("beach", "bar", "train_interior", "train_station"), ("bus", "car", "train"), ("control", "test"),
        ("control", "validation"), ("flask", "test-tube"), ("train", "cat"), ("n01440764", "n02102040"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "name", ["{}.png", "ILSVRC2012_val_0000{}.JPEG", "train-{}.png", "test_{}.PNG", "x/test/{}.jpg"]
)
def test_every_image_below_a_class_folder_is_loaded(tmp_path, classes, name):
    files = [f"{label}/{name.format(i)}" for label in sorted(classes) for i in range(5)]
    found, faults = loaded(folder(tmp_path / "test" / "validation-set", *files))
    assert found == [(file.split("/")[0], i) for i, file in enumerate(files)]
    assert faults == ()


def test_what_is_left_out_is_reported(tmp_path):
    root = folder(
        tmp_path / "pets", "cat/a.png", "cat/old/b.PNG", "cat/.c.png", "cat/.cache/d.png", "dog/e.png",
        "dog/f.png", "dog/g.png", "stray.png", ".git/h.png",
    )  # fmt: skip
    (root / "metadata.csv").write_text("file_name,label\ncat/a.png,1\n")
    (root / "cat" / "notes.txt").write_text("x")
    (root / ".DS_Store").write_text("x")
    (root / "empty").mkdir()
    (root / "cat" / "gone.png").symlink_to(root / "nowhere.png")
    (root / "dog" / "up").symlink_to(root / "dog", target_is_directory=True)
    os.mkfifo(root / "dog" / "pipe.png")
    found, (fault,) = loaded(root)
    assert found == [("cat", 0), ("cat", 1), ("dog", 4), ("dog", 5), ("dog", 6)]
    for part in (
        "1 images outside the class folders (stray.png)", "1 folders without images (empty)",
        "2 files without the suffix of an image (cat/notes.txt, metadata.csv)", "1 hidden images (cat/.c.png)",
        "2 broken links or special files (cat/gone.png, dog/pipe.png)", "1 links to a parent folder (dog/up)",
    ):  # fmt: skip
        assert part in fault


def test_a_class_folder_may_be_a_link(tmp_path):
    folder(tmp_path / "all", "cat/a.png", "dog/b.png", "cow/c.png")
    (tmp_path / "some").mkdir()
    for label in ("cow", "dog"):
        (tmp_path / "some" / label).symlink_to(tmp_path / "all" / label, target_is_directory=True)
    data = load_imagefolder(tmp_path / "some", test_path=tmp_path / "some")
    assert data.info.class_names == ("cow", "dog")


@pytest.mark.parametrize(
    ("files", "fix"),
    [
        (
            ("train/cat/a.png", "train/dog/b.png", "val/cat/c.png"),
            "set data.path: {r}/train and data.test_path: {r}/val",
        ),
        (("Train/cat/a.png", "Test/cat/c.png"), "set data.path: {r}/Train and data.test_path: {r}/Test"),
        (("train/cat/a.png", "train/dog/b.png"), "set data.path: {r}/train"),
        (
            ("train/cat/a.png", "test/cat/b.png", "extra/c.png"),
            "set data.path: {r}/train and data.test_path: {r}/test",
        ),
        (("train/a.png", "test/b.png"), "are splits, not classes"),
    ],
)
def test_parts_are_not_taken_for_classes(tmp_path, files, fix):
    with pytest.raises(InputError) as caught:
        load_imagefolder(folder(tmp_path / "r", *files))
    assert fix.format(r=tmp_path / "r") in str(caught.value)


def test_folders_without_classes_are_refused(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        load_imagefolder(tmp_path / "absent")
    with pytest.raises(InputError, match="no sub-folder with images"):
        load_imagefolder(folder(tmp_path / "flat", "a.png"))
    with pytest.raises(InputError, match=r"one folder with images, 'pets'; .* \(is it .*pets\?\)"):
        load_imagefolder(folder(tmp_path / "up", "pets/cat/a.png", "pets/dog/b.png"))
    with pytest.raises(InputError, match="an image folder has no columns; leave 'species' out"):
        load_imagefolder(folder(tmp_path / "two", "a/a.png", "b/b.png"), label="species")


def parts(tmp_path, train, test):
    for part, labels in (("tr", train), ("te", test)):
        folder(tmp_path / part, *(f"{label}/{i}.png" for label in labels for i in range(3)))
    data = load_imagefolder(tmp_path / "tr", test_path=tmp_path / "te")
    names = data.info.class_names
    return names, sorted({names[i] for i in data.test.labels}), data.faults


def test_test_folders_are_matched_by_name(tmp_path):
    every = (*LEVEL,)
    assert parts(tmp_path / "0", every, every[::-1]) == (every, [*every], ())
    names, tested, faults = parts(tmp_path / "1", every, ("ant", "cow"))
    assert (names, tested) == (every, ["ant", "cow"])
    assert faults == ("1 of 3 classes have no test sample: bee",)
    with pytest.raises(InputError, match="classes that the training part lacks: aardvark, wasp"):
        parts(tmp_path / "2", every, ("aardvark", *every, "wasp"))
    with pytest.raises(InputError, match="classes that the training part lacks: Ant"):
        parts(tmp_path / "3", every, ("Ant", "bee"))
    # The same name, as Linux and as macOS write it.
    names, tested, faults = parts(tmp_path / "4", ("caf\u00e9", "x"), ("cafe\u0301", "x"))
    assert (names, tested, faults) == (("caf\u00e9", "x"), ["caf\u00e9", "x"], ())


def test_a_broken_file_is_named_and_may_be_skipped(tmp_path):
    root = folder(tmp_path / "r", *(f"{label}/{i}.png" for label in ("cat", "dog") for i in range(6)))
    whole = load_imagefolder(root)
    (root / "cat" / "3.png").write_bytes((root / "cat" / "3.png").read_bytes()[:50])
    with pytest.raises(InputError, match=r"r/cat/3\.png cannot be decoded \(.*; .* data\.skip_broken: true"):
        load_imagefolder(root)
    with pytest.warns(UserWarning, match=r"1 of 12 images were skipped: .*cat/3\.png"):
        data = load_imagefolder(root, skip_broken=True)
    ids = np.sort(np.concatenate([data.train.ids, data.test.ids]))
    assert ids.tolist() == [i for i in range(12) if i != 3]
    assert sorted([*whole.train.ids, *whole.test.ids]) == list(range(12))
    assert "cat/3.png" in data.faults[0]


def test_names_that_are_no_text_are_shown_escaped(tmp_path):
    folder(tmp_path, "ok/a.png", "ok/b.png")
    odd = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(odd)
    for i in range(2):
        Image.new("L", (4, 4), i).save(os.fsdecode(odd) + f"/{i}.png")
    names = load_imagefolder(tmp_path).info.class_names
    assert names == ("caf\\udce9", "ok")
    "".join(names).encode()
