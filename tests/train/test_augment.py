"""Batch augmentation against a loop over images."""

import torch

from graphprune.train.augment import augment


def test_crops_are_windows_of_the_padded_image():
    x = torch.arange(1.0, 1 + 40 * 2 * 5 * 5).view(40, 2, 5, 5)
    out = augment(x, ["crop"], torch.Generator().manual_seed(0), padding=2)
    shifts = set()
    for image, cropped in zip(x, out, strict=True):
        padded = torch.zeros(2, 9, 9)
        padded[:, 2:7, 2:7] = image
        found = [
            (i, j)
            for i in range(5)
            for j in range(5)
            if torch.equal(padded[:, i : i + 5, j : j + 5], cropped)
        ]
        assert len(found) == 1
        shifts.add(found[0])
    assert len(shifts) > 10


def test_about_half_are_mirrored_and_nothing_else_changes():
    x = torch.rand(400, 1, 3, 4, generator=torch.Generator().manual_seed(0))
    out = augment(x, ["flip"], torch.Generator().manual_seed(1))
    mirrored = sum(torch.equal(a.flip(2), b) for a, b in zip(x, out, strict=True))
    same = sum(torch.equal(a, b) for a, b in zip(x, out, strict=True))
    assert mirrored + same == 400
    assert 150 < mirrored < 250


def test_cutout_erases_one_square_that_may_extend_beyond_the_border():
    x = torch.ones(300, 2, 9, 7)
    out = augment(x, ["cutout"], torch.Generator().manual_seed(0), cutout=4)
    full = 0
    corners = set()
    for image in out:
        assert torch.equal(image[0], image[1])
        rows, columns = torch.nonzero(image[0] == 0, as_tuple=True)
        height, width = int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1
        assert len(rows) == height * width
        assert height <= 4
        assert width <= 4
        full += height == width == 4
        corners.add((int(rows.min()), int(columns.min())))
    assert 0 < full < 300
    assert len(corners) > 20


def test_a_part_is_augmented_as_in_the_whole_batch():
    x = torch.rand(9, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    kinds = ["crop", "flip", "cutout"]
    whole = augment(x, kinds, torch.Generator().manual_seed(4))
    mine = torch.tensor([1, 4, 7])
    part = augment(x[mine], kinds, torch.Generator().manual_seed(4), part=(mine, 9))
    assert torch.equal(part, whole[mine])
    assert not torch.equal(whole, x)
