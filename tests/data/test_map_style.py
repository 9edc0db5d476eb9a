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
    with pytest.raises(InputError, match=r"item 0 .* differs from one reading to the next; .* augment"):
        data_from_datasets("drawn", Drawn(), PLAIN)


def test_labels_that_are_not_the_items_own_are_refused():
    with pytest.raises(InputError, match="item 1 of the dataset has label 1, but its labels say 0"):
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
