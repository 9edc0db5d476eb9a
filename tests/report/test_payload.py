"""What the page's scripts are given: packed arrays, calibration, sprites, drawn rows."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from graphprune.errors import InputError
from graphprune.extrapolate.calibration import calibration, coverage90
from graphprune.report.labels import label_places
from graphprune.report.payload import draw_rows, embed_json, pack, pack_exact
from graphprune.report.samples import SampleMap, samples_payload, sprite
from graphprune.report.trust import trust_payload

KINDS = {"u1": np.uint8, "i4": np.int32, "f4": np.float32, "f8": np.float64, "scaled": np.uint16}


def unpack(packed: dict[str, Any]) -> npt.NDArray[Any]:
    """What `page.js` does."""
    raw = np.frombuffer(base64.b64decode(packed["b"]), dtype=KINDS[packed["t"]])
    if packed["t"] != "scaled":
        return raw
    values = packed["lo"] + raw * (packed["hi"] - packed["lo"]) / 65534
    return np.where(raw == 65535, np.nan, values)


@given(hnp.arrays(np.float64, st.integers(0, 40), elements=st.floats(-1e6, 1e6) | st.just(np.nan)))
def test_packed_numbers_come_back(values: npt.NDArray[np.float64]) -> None:
    packed = pack(values)
    json.dumps(packed, allow_nan=False)
    tolerance = (packed["hi"] - packed["lo"]) / 65534 / 2 * (1 + 1e-6)
    np.testing.assert_allclose(unpack(packed), values, rtol=1e-12, atol=tolerance)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.array([True, False]), "u1"),
        (np.array([0, 255]), "u1"),
        (np.array([-1, 70_000]), "i4"),
        (np.array([2**40]), "f8"),
        (np.array([0.1], dtype=np.float32), "f4"),
    ],
)
def test_exact_packing_takes_the_least_width_and_loses_nothing(values: npt.NDArray[Any], kind: str) -> None:
    packed = pack_exact(values)
    assert packed["t"] == kind
    np.testing.assert_array_equal(unpack(packed), values)


@given(st.lists(st.text() | st.text(st.sampled_from("<>&/!-'\"\\\u2028\u2029a")), max_size=5))
def test_no_text_breaks_out_of_embedded_json(value: list[str]) -> None:
    text = str(embed_json(value))
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value


def test_drawn_rows_are_ascending_unique_and_always_the_same() -> None:
    rows = draw_rows(10_000, 100)
    assert len(rows) == 100
    assert (np.diff(rows) > 0).all()
    assert rows[-1] > 9_000
    np.testing.assert_array_equal(rows, draw_rows(10_000, 100))
    np.testing.assert_array_equal(draw_rows(5, 100), np.arange(5))


def test_calibration_is_the_mean_by_decile() -> None:
    random = np.random.default_rng(3)
    predicted, truth = random.standard_normal(95), random.standard_normal(95)
    ranked = sorted(zip(predicted, truth, strict=True))
    sizes = [10] * 5 + [9] * 5
    expected = []
    for size in sizes:
        part, ranked = ranked[:size], ranked[size:]
        expected.append([sum(p for p, _ in part) / size, sum(t for _, t in part) / size])
    found = calibration(predicted, truth)
    np.testing.assert_allclose([[each["predicted"], each["truth"]] for each in found], expected)
    assert [each["n"] for each in found] == sizes


def test_coverage_of_honest_errors_is_ninety_percent() -> None:
    random = np.random.default_rng(4)
    std = random.uniform(0.5, 2.0, 20_000)
    assert coverage90(np.zeros(20_000), std * random.standard_normal(20_000), std) == pytest.approx(
        0.9, abs=0.01
    )


def test_trust_takes_the_overlap_of_its_own_kind() -> None:
    methods = {"knn": {"heldout": {"overlap": {"0.5": 0.9}}, "oracle": {"overlap": {"0.5": 0.6}}}}
    arrays = {"predicted": np.arange(20.0), "truth": np.arange(20.0), "std": None, "kind": "oracle"}
    found = trust_payload({"s": {"knn": arrays}}, {"extrapolation": {"s": {"methods": methods}}})["s"]["knn"]
    assert found["overlap"] == {"0.5": 0.6}
    assert found["coverage"] is None
    assert found["bias"] is None
    with pytest.raises(InputError, match="20 predicted but 3 truth"):
        trust_payload({"s": {"knn": {**arrays, "truth": np.zeros(3)}}}, {})


@pytest.mark.parametrize("color", [False, True])
def test_sprite_holds_the_wanted_pictures(color: bool) -> None:
    shape = (30, 5, 4, *((3,) if color else ()))
    images = np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)
    rows = np.arange(0, 30, 2)
    found = sprite(images, rows, [14, 3])
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["uri"].split(",")[1]))))
    at = unpack(found["at"])
    assert (at[14], at[3]) == (0, 1)
    for position, row in enumerate(rows):
        top, left = at[position] // found["columns"] * 5, at[position] % found["columns"] * 4
        np.testing.assert_array_equal(sheet[top : top + 5, left : left + 4], images[row])


def test_sprite_shrinks_large_pictures_and_leaves_out_what_does_not_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("graphprune.report.samples.SPRITE_PIXELS", 48 * 24 * 3)
    found = sprite(np.zeros((10, 200, 100), dtype=np.uint8), np.arange(10), [9])
    assert found["tile"] == [48, 24]
    assert np.flatnonzero(unpack(found["at"]) >= 0).tolist() == [0, 1, 9]


def test_samples_beyond_the_limit_are_drawn_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphprune.report.samples.SAMPLES_SHOWN", 50)
    ids = 10 * np.arange(400)
    samples = SampleMap(ids=ids, scores={"s": np.arange(400.0)}, measured=ids % 20 == 0, labels=ids // 10 % 3)
    found = samples_payload(samples)
    shown = unpack(found["ids"])
    assert found["n"] == 400
    assert len(shown) == 50
    np.testing.assert_array_equal(unpack(found["scores"]["s"]), shown / 10)
    np.testing.assert_array_equal(unpack(found["labels"]), shown // 10 % 3)
    assert found["galleries"]["s"]["highest"][0] == 49
    assert found["galleries"]["s"]["lowest"][0] == 0
    assert "x" not in found


def test_uncertain_gallery_holds_predictions_only() -> None:
    std = np.array([9.0, 1.0, 3.0, np.nan, 2.0])
    measured = np.array([True, False, False, False, False])
    samples = SampleMap(ids=np.arange(5), scores={"s": np.zeros(5)}, measured=measured, stds={"s": std})
    assert samples_payload(samples)["galleries"]["s"]["uncertain"][:3] == [2, 4, 1]
    assert samples_payload(samples)["galleries"]["s"]["highest"] == [0, 1, 2, 3, 4]


def test_labels_of_neighbors_go_to_different_sides() -> None:
    places = label_places(
        [(50.0, 1.0), (51.0, 1.0), (100.0, 2.0)], ["left_arm", "right_arm", "far"], (1.0, 2.0)
    )
    assert places[0] == "middle left"
    assert places[1] == "middle right"
    assert places[2].endswith("left")
