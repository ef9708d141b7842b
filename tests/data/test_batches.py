"""Augmentation equal in distribution to torchvision's, and exact sharing of examples."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torchvision.transforms import functional

from robdsl.data import (
    NO_AUGMENTATION,
    Augmentation,
    DeviceLoader,
    ImageData,
    TrainingPlan,
    derive_seed,
    evaluation_batches,
    load_data,
    own_batches,
)
from robdsl.data.dataset import DataFacts


def noise_data(count: int, channels: int, height: int, width: int) -> ImageData:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(1, 256, (count, channels, height, width), generator=generator, dtype=torch.uint8)
    facts = DataFacts("noise", (channels, height, width), (0.5,) * 3, (0.5,) * 3, 2, True)
    rows = torch.arange(count)
    return ImageData(facts, "train", ("a", "b"), images, rows % 2, rows)


def test_every_crop_and_flip_is_torchvision_s() -> None:
    """All (2p + 1)^2 crops, mirrored and not, each made by torchvision's own functions from the padded
    image.
    """
    padding, height, width = 2, 5, 7
    image = noise_data(1, 3, height, width).images
    outcomes = list(itertools.product(range(2 * padding + 1), range(2 * padding + 1), range(2)))
    draws = torch.tensor([[top, left, flip, 0, 0] for top, left, flip in outcomes])
    rows = torch.zeros(len(draws), dtype=torch.int64)
    made = Augmentation(padding, flip=True).gather(image, rows, draws)
    padded = functional.pad(image[0], [padding] * 4)
    for (top, left, flip), result in zip(outcomes, made, strict=True):
        expected = functional.crop(padded, top, left, height, width)
        assert torch.equal(result, functional.hflip(expected) if flip else expected)
    assert len(torch.unique(made.flatten(1), dim=0)) == len(outcomes)


def test_cutout_is_a_square_cut_off_at_the_borders() -> None:
    image = torch.ones(1, 1, 6, 8, dtype=torch.uint8)
    centres = list(itertools.product(range(6), range(8)))
    draws = torch.tensor([[0, 0, 0, row, column] for row, column in centres])
    rows = torch.zeros(len(draws), dtype=torch.int64)
    made = Augmentation(crop_padding=0, flip=False, cutout=4).gather(image, rows, draws)
    for (row, column), result in zip(centres, made, strict=True):
        expected = image[0].clone()
        expected[:, max(row - 2, 0) : row + 2, max(column - 2, 0) : column + 2] = 0
        assert torch.equal(result, expected)


def test_draws_have_torchvision_s_frequencies() -> None:
    """Every outcome is equally frequent and the columns are independent (chi-square, fixed seed)."""
    table = Augmentation(2, flip=True, cutout=4).draw(40_000, (6, 8), seed=3, epoch=0)
    bounds = (5, 5, 2, 6, 8)
    for column, bound in enumerate(bounds):
        assert chisquare(torch.bincount(table[:, column], minlength=bound)).pvalue > 1e-3
    for first, second in itertools.combinations(range(5), 2):
        joint = table[:, first] * bounds[second] + table[:, second]
        assert chisquare(torch.bincount(joint, minlength=bounds[first] * bounds[second])).pvalue > 1e-3


def test_draws_follow_seed_and_epoch() -> None:
    augmentation = Augmentation()
    first = augmentation.draw(100, (8, 8), seed=1, epoch=0)
    assert torch.equal(first, augmentation.draw(100, (8, 8), seed=1, epoch=0))
    assert not torch.equal(first, augmentation.draw(100, (8, 8), seed=1, epoch=1))
    assert not torch.equal(first, augmentation.draw(100, (8, 8), seed=2, epoch=0))
    assert (Augmentation(flip=False).draw(100, (8, 8), seed=1, epoch=0)[:, 2] == 0).all()


def test_augmentation_refuses_nonsense() -> None:
    for padding, cutout in ((-1, 0), (0, 3), (0, -2)):
        with pytest.raises(ValueError, match="cutout an even number"):
            Augmentation(crop_padding=padding, cutout=cutout)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_plain_loader_gives_the_pixels(dtype: torch.dtype, channels_last: bool) -> None:
    data = noise_data(10, 3, 8, 8)
    loader = DeviceLoader(data, dtype=dtype, channels_last=channels_last)
    batches = list(loader.batches(evaluation_batches(10, 4)))
    assert [len(batch.labels) for batch in batches] == [4, 4, 2]
    images = torch.cat([batch.images for batch in batches])
    assert torch.equal(images, data.images.to(dtype) / 255)
    assert torch.equal(torch.cat([batch.labels for batch in batches]), data.labels)
    order = torch.channels_last if channels_last else torch.contiguous_format
    assert images.dtype == dtype and batches[0].images.is_contiguous(memory_format=order)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_together_load_what_one_loads(world: int) -> None:
    """The same images, bit for bit, in the same order: augmentation follows the example, not the process."""
    data = noise_data(23, 3, 8, 8)
    augmentation = Augmentation(2, flip=True, cutout=4)
    plan = TrainingPlan(len(data), 10, seed=5)

    def batches(rank: int, world: int) -> list[torch.Tensor]:
        loader = DeviceLoader(data, augmentation=augmentation, seed=5)
        return [batch.images for batch in loader.batches(plan.epoch(3, rank, world), epoch=3)]

    alone = batches(0, 1)
    shared = [
        torch.cat(parts) for parts in zip(*(batches(rank, world) for rank in range(world)), strict=True)
    ]
    assert len(alone) == len(shared) == 2
    assert all(torch.equal(a, b) for a, b in zip(alone, shared, strict=True))


@given(count=st.integers(1, 80), batch=st.integers(1, 40), world=st.integers(1, 5), epoch=st.integers(0, 3))
def test_training_plans_share_exactly(count: int, batch: int, world: int, epoch: int) -> None:
    plan = TrainingPlan(count, batch, seed=1)
    if world > plan.size:
        with pytest.raises(ValueError, match="cannot be shared"):
            plan.epoch(epoch, 0, world)
        return
    alone = plan.epoch(epoch)
    assert len(alone) == plan.steps >= 1 and all(len(part) == plan.size for part in alone)
    used = torch.cat(alone).tolist()
    assert len(set(used)) == len(used) > count - plan.size
    shares = [plan.epoch(epoch, rank, world) for rank in range(world)]
    for step, whole in enumerate(alone):
        parts = [share[step] for share in shares]
        assert torch.equal(torch.cat(parts), whole)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    if len(used) >= 20:
        assert used != torch.cat(plan.epoch(epoch + 1)).tolist()


@given(count=st.integers(0, 80), batch=st.integers(1, 40), world=st.integers(1, 5))
def test_evaluation_sees_every_example_once(count: int, batch: int, world: int) -> None:
    batches = evaluation_batches(count, batch)
    seen = [
        index
        for rank in range(world)
        for number in own_batches(len(batches), rank, world)
        for index in batches[number].tolist()
    ]
    assert sorted(seen) == list(range(count))


def test_derived_seeds_differ_by_purpose() -> None:
    seeds = {
        derive_seed(seed, *purpose)
        for seed in (0, 1)
        for purpose in ((), ("a",), ("a", 1), ("a", "1"), ("b", 1))
    }
    assert len(seeds) == 10 and all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(0, "augment", 1) == derive_seed(0, "augment", 1)


def test_images_must_fit_the_facts() -> None:
    data = load_data("digits", split="test")
    assert isinstance(data, ImageData)
    with pytest.raises(ValueError, match="uint8 of shape"):
        ImageData(data.facts, "test", data.classes, data.images.float(), data.labels, data.source)
    with pytest.raises(ValueError, match="equally many"):
        ImageData(data.facts, "test", data.classes, data.images, data.labels[1:], data.source)
    assert NO_AUGMENTATION.is_identity and not Augmentation().is_identity
