"""Tables of configurations: chosen by shape, bounded, whole; tuning says when there is nothing to tune on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from robdsl.kernels import configurations
from robdsl.kernels.cases import cases_of_all_kinds
from robdsl.kernels.configurations import Configuration, Shape, TableError, committed, configure, entry, using
from robdsl.kernels.tiles import chunks, tile_of, up_to_power, whole_maps
from tests.house.tree import ROOT

SIZES = st.integers(1, 200)
KINDS = sorted({case.kind for case in cases_of_all_kinds()})


@given(
    height=SIZES, width=SIZES, channels=st.integers(1, 2048), outputs=st.integers(1, 2048), kind=st.sampled_from(KINDS)
)  # fmt: skip
def test_every_shape_has_a_configuration(
    height: int, width: int, channels: int, outputs: int, kind: str
) -> None:
    for kernel in configurations.kernels():
        assert isinstance(committed(kernel, Shape(height, width, channels, outputs), kind), Configuration)


def test_rules_are_for_kinds_that_there_are() -> None:
    rules = json.loads(configurations.COMMITTED.read_text(encoding="utf-8"))["kernels"].values()
    named = [kind for each in rules for rule in each for kind in rule.get("kinds", ())]
    assert named and set(named) <= set(KINDS)


@given(rows=st.sampled_from([16, 64, 256, 1024]), height=SIZES, width=SIZES, n=st.integers(1, 9))
def test_tiles_cover_each_position_once(rows: int, height: int, width: int, n: int) -> None:
    tile = tile_of(rows, height, width)
    if tile is None:
        assert up_to_power(3 * width) > 1024
        return
    if tile.lines:
        assert (tile.lines + 2) * width <= tile.rows
        assert tile.count(n, height) == n * -(-height // tile.lines)
    else:
        assert tile.images * height * width <= tile.rows
        assert tile.count(n, height) * tile.images >= n
    whole = whole_maps(rows, height, width)
    assert whole is None or whole.images * height * width <= whole.rows


@given(outputs=st.integers(1, 3000), block=st.sampled_from([16, 32]), most=st.integers(1, 12))
def test_chunks_cover_all_channels(outputs: int, block: int, most: int) -> None:
    count, blocks = chunks(outputs, block, most)
    assert blocks <= most
    assert (count - 1) * blocks * block < outputs <= count * blocks * block


@pytest.mark.parametrize(
    "wrong", [{"rows": 48}, {"rows": 8192}, {"warps": 3}, {"block_c": 8}, {"stages": 0}, {"blocks": True}]
)
def test_what_no_kernel_can_run_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(TableError):
        Configuration(**wrong)


def test_one_can_be_forced_for_a_while() -> None:
    shape = Shape(8, 8, 16, 16)
    usual = configure("gram", shape, "tf32x3")
    with using("gram", Configuration(rows=16)):
        assert configure("gram", shape, "tf32x3") == Configuration(rows=16)
    assert configure("gram", shape, "tf32x3") == usual


def test_a_users_table_is_written_whole_and_asked_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(configurations, "device_key", lambda device: "some-gpu")
    shape, mine = Shape(8, 8, 16, 16), Configuration(rows=32, warps=2)
    path = configurations.write_user_table("some-gpu", {entry("gram", shape, "bf16"): mine}, {})
    gpu = torch.device("cuda")
    assert configure("gram", shape, "bf16", gpu) == mine
    # What was measured for one kind of product is not taken for another, in which it may not fit.
    assert configure("gram", shape, "tf32x3", gpu) == committed("gram", shape, "tf32x3")
    assert configure("gram", Shape(9, 8, 16, 16), "bf16", gpu) == committed("gram", shape, "bf16")
    assert json.loads(path.read_text())["measured"] == {f"gram {shape.key} bf16": asdict(mine)}
    configurations.user_table.cache_clear()


@pytest.mark.parametrize(
    "text", ["", "[]", '{"measured": {"a": {"rows": 3}}}', '{"measured": 4}', "[" * 100_000]
)
def test_a_strangers_table_is_refused_kindly(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    configurations.user_table.cache_clear()
    path = configurations.user_table_path("some-gpu")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(TableError, match="remove it, or run robdsl tune again"):
        configurations.user_table("some-gpu")


def test_everything_runs_without_triton() -> None:
    program = """
import sys
sys.modules["triton"] = None
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "triton" else find(name, *rest)
import torch
from robdsl import kernels
assert "not installed" in kernels.available().reason
x = torch.rand(1, 4, 3, 3, requires_grad=True)
kernels.separable_stage(x, torch.rand(4, 3, 3), torch.rand(5, 4)).sum().backward()
assert x.grad.shape == x.shape
"""
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
