"""Embeddings of any module: the input of its last linear layer."""

import numpy as np
import pytest
import torch
from torch import nn

from graphprune.data.base import TensorSamples
from graphprune.embed.module import FeatureTap, embed_samples
from graphprune.embed.precomputed import read_embeddings
from graphprune.errors import InputError


def test_embedding_is_the_input_of_the_last_linear_layer():
    body, head = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5)), nn.Linear(8, 3)
    model = nn.Sequential(body, head).train()
    x = torch.randn(37, 4, generator=torch.Generator().manual_seed(0))
    embeddings, outputs = embed_samples(model, TensorSamples(x, np.zeros(37)), batch_size=10)
    assert model.training
    model.eval()
    torch.testing.assert_close(embeddings, body(x))
    torch.testing.assert_close(outputs, model(x))
    again, nothing = embed_samples(model, TensorSamples(x, np.zeros(37)), batch_size=10, keep_outputs=False)
    assert torch.equal(again, embeddings)
    assert nothing is None


def test_middle_dimensions_are_averaged_and_hooks_removed():
    model = nn.Linear(5, 2)
    tap = FeatureTap(model)
    x = torch.randn(3, 7, 5)
    model(x)
    torch.testing.assert_close(tap.features, x.mean(dim=1))
    tap.detach()
    assert not model._forward_pre_hooks


def test_a_model_without_linear_layer_is_refused():
    with pytest.raises(InputError, match="no nn.Linear"):
        FeatureTap(nn.Conv2d(1, 1, 1))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 2)), "float64"),
        (np.zeros(3, np.float32), r"float32 \[3\]"),
        (np.zeros((4, 2), np.float32), "4 rows but the data has 3"),
        (np.array([[0, 1], [np.nan, 0], [np.inf, 0]], np.float32), "2 of 3 samples .* first is id 1"),
        (np.array([[object()]]), "readable .npy"),
    ],
)
def test_invalid_files_are_refused(tmp_path, array, message):
    np.save(tmp_path / "e.npy", array)
    with pytest.raises(InputError, match=message):
        read_embeddings(tmp_path / "e.npy", 3)


def test_layers_that_were_frozen_stay_frozen():
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)).train()
    model[1].eval()
    embed_samples(model, TensorSamples(torch.randn(5, 4), np.zeros(5)))
    assert [layer.training for layer in model] == [True, False, True]
    assert model.training
