"""Prices: what is set comes first, then what the cloud says, then a documented estimate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scalelib.prices import PER_GIB, PER_GPU, PER_VCPU, SPOT_SHARE, price_list


def test_settings_before_the_cloud(world: Any) -> None:
    buckets = [world.bucket("F2"), replace(world.bucket("F2"), id="F2/spot", spot=True, price_per_hour=0.03)]
    assert price_list(buckets, {}) == {"F2": 0.10, "F2/spot": 0.03}
    assert price_list(buckets, {"F2": 0.2, "F2/spot": 0.01}) == {"F2": 0.2, "F2/spot": 0.01}


def test_a_price_is_found_in_any_spelling(world: Any) -> None:
    spot = replace(world.bucket("F2"), id="spot", spot=True)
    assert price_list([world.bucket("F2"), spot], {"f2": 0.2, " F2 / Spot ": 0.15}) == {
        "F2": 0.2,
        "spot": 0.15,
    }


def test_a_missing_price_is_the_mean_per_vcpu_of_the_same_kind(world: Any) -> None:
    buckets = [
        world.bucket("F2"),
        world.bucket("E8"),
        world.bucket("NC6"),
        replace(world.bucket("F4"), price_per_hour=None),
    ]
    assert price_list(buckets, {})["F4"] == pytest.approx(4 * (0.10 / 2 + 0.60 / 8) / 2)


def test_a_missing_spot_price_is_a_share_of_the_ordinary_one(world: Any) -> None:
    spot = replace(world.bucket("F2"), spot=True, price_per_hour=None)
    assert price_list([spot], {"F2": 0.09})["F2"] == pytest.approx(0.09 * SPOT_SHARE)


def test_without_any_price_machines_still_rank_by_what_they_have(world: Any) -> None:
    bare = [replace(world.bucket(size), price_per_hour=None) for size in ("F2", "F4", "NC6")]
    found = price_list(bare, {})
    assert found["F2"] == pytest.approx(2 * PER_VCPU + 4 * PER_GIB)
    assert found["NC6"] == pytest.approx(6 * PER_VCPU + 56 * PER_GIB + PER_GPU)
    assert found["F2"] < found["F4"] < found["NC6"]
    assert price_list([replace(bare[0], spot=True)], {})["F2"] == pytest.approx(found["F2"] * SPOT_SHARE)
