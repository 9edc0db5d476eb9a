"""Any map-style Dataset: the same items every time, with the labels that they are said to have."""

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from graphprune.data.map_style import MapSamples, data_from_datasets
from graphprune.errors import InputError


class Drawn(Dataset):
    """Items that change from one reading to the next, as augmentation does."""

    def __len__(self):
        return 6

    def __getitem__(self, i):
        return torch.rand(3), i % 2


PLAIN = TensorDataset(torch.arange(18.0).view(6, 3), torch.arange(6) % 2)


def test_items_that_change_are_refused():
    with pytest.raises(InputError, match=r"item 0 .* differs between two accesses; .* augment"):
        data_from_datasets("drawn", Drawn(), PLAIN)


def test_labels_that_are_not_the_items_own_are_refused():
    with pytest.raises(InputError, match="item 1 of the dataset has label 1 but the label array 0"):
        MapSamples(PLAIN, labels=np.zeros(6, int)).digest()
    assert MapSamples(PLAIN, labels=np.arange(6) % 2).digest() == MapSamples(PLAIN).digest()


@pytest.mark.parametrize("workers", [0, 2])
def test_reading_draws_nothing(workers):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    order = [torch.tensor([4, 1]), torch.tensor([2])]
    batches = list(MapSamples(PLAIN).batches(order, device=torch.device("cpu"), workers=workers))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(batches[0].x, PLAIN.tensors[0][[4, 1]])
    assert batches[1].y.tolist() == [0]


def test_an_empty_test_part_is_named():
    with pytest.raises(InputError, match="the test part is empty"):
        data_from_datasets("none", PLAIN, TensorDataset(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)))


class Items(Dataset):
    """Items as they are given."""

    def __init__(self, *items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


class Stream(Dataset):
    def __getitem__(self, i):
        return torch.zeros(3), 0


X = torch.arange(180.0).view(60, 3)


@pytest.mark.parametrize(
    "labels",
    [torch.arange(60) % 2, (torch.arange(60) % 2).int(), (torch.arange(60) % 2).short(),
     (torch.arange(60) % 2).byte(), (torch.arange(60) % 2).bool(), (torch.arange(60) % 2).numpy().astype("u2")],
)  # fmt: skip
def test_integer_labels_of_any_width_become_int64(labels):
    pairs = Items(*zip(X, labels, strict=True))
    part = MapSamples(pairs)
    assert part.labels.dtype == np.int64
    assert part.digest() == MapSamples(TensorDataset(X, torch.arange(60) % 2)).digest()
    if not isinstance(labels, np.ndarray):
        part = MapSamples(TensorDataset(X, labels))
        (batch,) = part.batches([torch.arange(60)], device=torch.device("cpu"))
        assert batch.y.dtype == torch.int64
        assert torch.equal(batch.y, torch.arange(60) % 2)
        torch.nn.functional.cross_entropy(torch.zeros(60, 2), batch.y)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (torch.rand(60) * 5, "label array is float32"),
        (torch.rand(60, dtype=torch.float64).round(), "label array is float64"),
        (torch.randint(0, 2, (60, 2)), r"label array is int64 \[60, 2\]"),
        (torch.randint(0, 2, (60, 1)), r"label array is int64 \[60, 1\]"),
        (torch.full((60,), -1), r"negative labels, the first at row 0 \(-1\)"),
    ],
)
def test_tensors_that_are_no_class_labels_are_refused(labels, said):
    with pytest.raises(InputError, match="train: the dataset's " + said if "neg" not in said else said):
        data_from_datasets("x", TensorDataset(X, labels), PLAIN)


def pil():
    from PIL import Image

    return Image.new("RGB", (3, 3))


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([{"image": X[0], "label": 1}] * 4, "item 0 of the dataset is a mapping with image, label; give"),
        ([(X[0], 1, "a")] * 4, "item 0 of the dataset is 3 parts"),
        ([X[0]] * 4, "item 0 of the dataset is a Tensor"),
        ([(X[0], 0), None, (X[0], 1)], "item 1 of the dataset is a NoneType"),
        ([(pil(), 1)] * 4, "x of item 0 is a Image, which is not a tensor; .* ToTensor"),
        ([("text", 1)] * 4, "x of item 0 is a str, which is not a tensor"),
        ([(X[0], "cat"), (X[1], "dog")], "label array is <U3"),
        ([(X[0], 0), (X[1], None)], r"has 1 missing labels \(None\)"),
        ([(X[0], 0), (X[1], 0.5)], "label array is float64"),
        ([(X[0], [0, 1])] * 4, r"label array is int64 \[4, 2\]"),
        ([(X[0], [0]), (X[1], [0, 1])], "cannot be converted to integer class labels"),
        ([(X[0], 0), (X[0][:2], 1)], r"item 1 of the dataset has shape \[2\] but item 0 \[3\]"),
    ],
)
def test_other_items_are_one_sentence(items, said):
    with pytest.raises(InputError, match=said) as caught:
        data_from_datasets("x", Items(*items), PLAIN)
    assert "\n" not in str(caught.value)


def test_a_dataset_without_a_length_and_parts_that_differ_are_refused():
    with pytest.raises(InputError, match="train: Stream has no length; give a map-style"):
        data_from_datasets("x", Stream(), PLAIN)
    with pytest.raises(InputError, match=r"x is \[3\] in train but \[2\] in test"):
        data_from_datasets("x", PLAIN, TensorDataset(torch.zeros(4, 2), torch.arange(4) % 2))
    with pytest.raises(InputError, match="2 class names, but labels reach 3"):
        data_from_datasets(
            "x", PLAIN, TensorDataset(torch.zeros(4, 3), torch.arange(4)), class_names=("a", "b")
        )


def test_the_targets_of_a_dataset_are_checked_like_labels():
    data = Items(*((x, 1) for x in X))
    data.targets = [0.5] * 60
    with pytest.raises(InputError, match="label array is float64"):
        MapSamples(data)
    data.targets = [1] * 60
    data.items = tuple((x, 1.7) for x in X)
    with pytest.raises(InputError, match="the label of item 0 is float64"):
        MapSamples(data).digest()


def test_the_digest_covers_shape_and_dtype():
    y = torch.arange(6) % 2
    x = torch.arange(6 * 64, dtype=torch.uint8).view(6, 1, 8, 8)
    shapes = [x, x.view(6, 1, 4, 16), x.view(6, 64), x.view(torch.int32).view(6, 16)]
    assert len({MapSamples(TensorDataset(each, y)).digest() for each in shapes}) == 4
    data = data_from_datasets("a", TensorDataset(x, y), TensorDataset(x, y))
    assert data.fingerprint == data_from_datasets("b", TensorDataset(x, y), TensorDataset(x, y)).fingerprint


def test_classes_of_one_part_alone_are_reported():
    only = TensorDataset(torch.zeros(4, 3), torch.tensor([0, 2, 2, 0]))
    assert data_from_datasets("x", PLAIN, only).faults == (
        "1 of 3 classes have no training sample: 2",
        "1 of 3 classes have no test sample: 1",
    )
