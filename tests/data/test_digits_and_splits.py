"""The digits, their fixed splits, and hashes that tell data apart."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch.nn.functional import interpolate

from robdsl.data import FACTS, ImageData, Normalized, Split, load_data
from robdsl.data.splits import hold_out, sample


def digits(split: str, val_fraction: float = 0.1) -> ImageData:
    data = load_data("digits", split=cast(Split, split), val_fraction=val_fraction)
    assert isinstance(data, ImageData)
    return data


def test_digits_are_the_bilinear_enlargement() -> None:
    parts = [digits(split) for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [1293, 145, 359]
    small = torch.from_numpy(load_digits().images)[:, None]
    wide = interpolate(small / 16, scale_factor=4, mode="bilinear", align_corners=False)
    for part in parts:
        images, labels = part.tensors()
        assert images.shape[1:] == (3, 32, 32) and images.dtype == torch.float32
        assert torch.equal(labels, torch.from_numpy(load_digits().target)[part.source])
        assert (images.double() - wide[part.source]).abs().max() <= 0.5 / 255 + 1e-7
        assert images.min() == 0 and images.max() == 1
    sources = torch.cat([part.source for part in parts])
    assert torch.equal(sources.sort().values, torch.arange(1797))


def test_the_published_facts_of_digits_are_measured() -> None:
    train = digits("train", val_fraction=0).images.double() / 255
    facts = FACTS["digits"]
    assert train.mean(dim=(0, 2, 3)).tolist() == pytest.approx(facts.mean, abs=1e-4)
    assert train.std(dim=(0, 2, 3)).tolist() == pytest.approx(facts.std, abs=1e-4)


def test_split_hashes_are_fixed() -> None:
    """A changed hash means that earlier figures on digits can no longer be compared."""
    assert {split: digits(split).split_hash[:16] for split in ("train", "val", "test")} == {
        "train": "0d36bdaeb2f9a9a1",
        "val": "6cb121e3ec69c1ec",
        "test": "2f4af7e05c7c7f49",
    }


def test_split_hash_sees_every_part() -> None:
    data = digits("test").take(20)
    hashes = {data.split_hash}
    pixels, labels, source = data.images.clone(), data.labels.clone(), data.source.clone()
    pixels[3, 1, 4, 5] ^= 1
    labels[7] = (labels[7] + 1) % 10
    source[2] += 1
    for change in (
        {"images": pixels},
        {"labels": labels},
        {"source": source},
        {"split": "val"},
        {"classes": data.classes[::-1]},
        {"facts": FACTS["cifar10"]},
    ):
        hashes.add(dataclasses.replace(data, **change).split_hash)
    assert len(hashes) == 7
    assert dataclasses.replace(data, images=data.images.clone()).split_hash in hashes


def test_take_is_a_fixed_part() -> None:
    data = digits("test")
    some = data.take(50)
    assert len(some) == 50 and set(some.source.tolist()) <= set(data.source.tolist())
    assert torch.equal(some.images, data.take(50).images)
    assert set(data.take(30).source.tolist()) <= set(some.source.tolist())
    assert data.take(10_000) is data


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    fraction=st.floats(0, 0.99),
    seed=st.integers(0, 9),
)
def test_hold_out_parts_every_class(labels: list[int], fraction: float, seed: int) -> None:
    tensor = torch.tensor(labels)
    kept, held = hold_out(tensor, fraction, seed)
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(len(labels)))
    assert kept.tolist() == sorted(kept.tolist()) and held.tolist() == sorted(held.tolist())
    for label in set(labels):
        count = labels.count(label)
        assert abs(int((tensor[held] == label).sum()) - fraction * count) <= 0.5
    again = hold_out(tensor, fraction, seed)
    assert torch.equal(again[0], kept) and torch.equal(again[1], held)


def test_larger_fractions_and_samples_contain_smaller_ones() -> None:
    labels = torch.arange(300) % 3
    small, large = (set(hold_out(labels, fraction)[1].tolist()) for fraction in (0.1, 0.3))
    assert small < large
    assert set(sample(100, 10).tolist()) < set(sample(100, 20).tolist())
    assert hold_out(labels, 0.1, seed=0)[1].tolist() != hold_out(labels, 0.1, seed=1)[1].tolist()
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        hold_out(labels, 1.0)


def test_importing_data_loads_neither_torchvision_nor_scikit_learn() -> None:
    code = (
        "import robdsl.data, sys; print([m for m in ('torchvision', 'sklearn', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_normalized_keeps_the_model_s_weights_its_own() -> None:
    inner = torch.nn.Conv2d(3, 4, 1)
    model = Normalized(inner, FACTS["cifar10"])
    images = torch.rand(2, 3, 5, 5)
    mean, std = (
        torch.tensor(values).view(1, 3, 1, 1) for values in (FACTS["cifar10"].mean, FACTS["cifar10"].std)
    )
    assert torch.allclose(model(images), inner((images - mean) / std))
    assert set(model.state_dict()) == {"model.weight", "model.bias"}
