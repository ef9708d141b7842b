"""Tuning: what it would measure, how it searches, and what it keeps; measured on a GPU, but planned and searched anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from robdsl import kernels as robdsl_kernels
from robdsl.kernels import Availability, available, configurations
from robdsl.kernels import tune as tuning
from robdsl.kernels.cases import Case, cases
from robdsl.kernels.configurations import Configuration, Shape, committed, configure, kernels, user_table
from robdsl.kernels.precision import tile_kind
from tests.cli.conftest import Run, robdsl  # noqa: F401  a fixture

EXPONENTS = st.integers(0, 6)


@given(
    start=st.tuples(EXPONENTS, EXPONENTS), fastest=st.tuples(EXPONENTS, EXPONENTS), most=st.integers(1, 40)
)
def test_the_search_ends_where_no_neighbour_is_faster(
    start: tuple[int, int], fastest: tuple[int, int], most: int
) -> None:
    def configuration(rows: int, warps: int) -> Configuration:
        return Configuration(rows=16 << rows, warps=1 << min(warps, 5), stages=1)

    goal = configuration(*fastest)
    asked = []

    def measure(each: Configuration) -> float | None:
        asked.append(each)
        if each.stages > 3 and each != configuration(*start):
            return None  # does not fit
        away = abs(log2(each.rows / goal.rows)) + abs(log2(each.warps / goal.warps))
        return 1.0 + away + each.stages

    times = tuning.search(configuration(*start), measure, most)
    assert asked[0] == configuration(*start)
    assert len(asked) == len(set(asked)) <= most
    assert set(times) <= set(asked)
    if most == 40:
        assert min(times, key=lambda each: times[each]) == goal


def test_a_start_that_nothing_beats_stays() -> None:
    start = committed("separable_forward", Shape(32, 32, 36, 36), "tf32x3")
    times = tuning.search(start, lambda each: 1.0 if each == start else None)
    assert times == {start: 1.0}


def test_every_kernel_shape_and_kind_is_measured_once() -> None:
    both = cases()
    chosen = tuning.tunable(both)
    keys = [tuning.key_of(case) for case in chosen]
    assert len(keys) == len(set(keys))
    assert set(keys) == {tuning.key_of(case) for case in both if case.kernel in kernels()}
    assert {case.dtype for case in chosen} == {torch.float32, torch.bfloat16}
    assert all(case.terms == 1 for case in chosen if case.kernel.startswith("separable"))


@pytest.mark.parametrize(("precision", "dtype"), [("tf32x3", torch.float32), ("tf32", torch.float32), ("bf16", torch.float32), ("tf32", torch.bfloat16), ("ieee", torch.float16)])  # fmt: skip
def test_what_is_measured_is_what_launches_ask_for(
    precision: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry that tuning writes is the one that the launch reads: else it would be measured for nothing."""
    from robdsl.kernels import ahead

    asked: set[str] = set()
    usual = configurations.configure

    def noting(kernel: str, shape: Shape, kind: str, device: torch.device | None = None) -> Configuration:
        asked.add(configurations.entry(kernel, shape, kind))
        return usual(kernel, shape, kind, device)

    names = (
        "separable",
        "separable_launch",
        "weight_gradients",
        "pair",
        "nodes",
        "norms",
        "channel_sums",
        "fsp",
    )
    for name in (*names, "pointwise_launch"):
        module = getattr(__import__(f"robdsl.kernels.{name}").kernels, name)
        monkeypatch.setattr(module, "configure", noting)
    chosen = tuning.tunable(cases(2, [dtype], precision))
    with ahead.recorded():
        for case in chosen:
            asked.clear()
            case.prepare(torch.device("meta"))()
            assert asked == {tuning.key_of(case)}
    assert {case.kind for case in chosen} - {"tf32x3"} <= {tile_kind(precision, dtype)}


@dataclass(frozen=True)
class Pretended(Case):
    """Work that is done on no GPU: its time and its result depend on the configuration alone."""

    wrong: tuple[int, ...] = ()
    large: int = 4096

    def prepare(self, device: torch.device) -> Callable[[], Tensor]:
        def launch() -> Tensor:
            rows = configure(self.kernel, self.shape, self.kind).rows
            if rows > self.large:
                raise ValueError("out of resource: shared memory")
            return torch.full((4,), torch.nan if rows in self.wrong else 1.0)

        return launch

    def time(self, launch: Callable[[], object], repeats: int) -> float:
        return 1000.0 / configure(self.kernel, self.shape, self.kind).rows


def test_a_tile_that_computes_something_else_or_does_not_fit_is_not_taken() -> None:
    shape = Shape(8, 8, 36, 36)
    start = committed("gram", shape, "tf32x3").rows
    case = Pretended("gram", shape, 2)
    assert tuning.tuned(case, 1, case.time).best.rows == 4096
    case = Pretended("gram", shape, 2, large=2 * start)
    assert tuning.tuned(case, 1, case.time).best.rows == 2 * start
    case = Pretended("gram", shape, 2, wrong=(2 * start,))
    found = tuning.tuned(case, 1, case.time)
    assert found.best.rows == start
    assert found.milliseconds == found.before


def test_the_committed_tile_must_run() -> None:
    case = Pretended("gram", Shape(8, 8, 36, 36), 2, large=16)
    with pytest.raises(ValueError, match="out of resource"):
        tuning.tuned(case, 1, case.time)


def test_a_failing_gpu_is_no_tile_too_large() -> None:
    class Failing(Pretended):
        def prepare(self, device: torch.device) -> Callable[[], Tensor]:
            start = committed(self.kernel, self.shape, self.kind)

            def launch() -> Tensor:
                if configure(self.kernel, self.shape, self.kind) != start:
                    raise RuntimeError("CUDA error: an illegal memory access was encountered")
                return torch.ones(1)

            return launch

    case = Failing("gram", Shape(8, 8, 36, 36), 2)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        tuning.tuned(case, 1, case.time)


def test_the_plan_needs_no_gpu(robdsl: Run) -> None:  # noqa: F811
    done = robdsl(
        "tune", "--plan", "--dtype", "bfloat16", "--dtype", "float32", "--precision", "tf32", "--json"
    )
    assert done.status == 0, done.err
    plan = json.loads(done.out)["plan"]
    assert {key.split()[-1] for key in plan} == {"tf32", "bf16", "tf32x3"}  # sums know no precision
    assert {key.split()[0] for key in plan} == set(kernels())
    use = plan["separable_forward 32x32:36-36/1 bf16"]
    assert Configuration(**use) == committed("separable_forward", Shape(32, 32, 36, 36), "bf16")
    text = robdsl("tune", "--plan", "--kernel", "gram").out
    assert len(text.splitlines()) == 7
    assert "6 entries" in text


def test_a_call_that_is_wrong_says_how(robdsl: Run) -> None:  # noqa: F811
    for arguments, said in (
        (["--kernel", "grim"], "there is no kernel"),
        (["--dtype", "float64"], "is not one of"),
        (["--precision", "fp8"], "precision must be one of"),
    ):
        done = robdsl("tune", *arguments)
        assert done.status == 2
        assert said in done.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without a GPU")
def test_without_a_gpu_it_is_said_why(robdsl: Run) -> None:  # noqa: F811
    assert not available()
    with pytest.raises(tuning.NoGPUError, match="nothing to tune on"):
        tuning.tune([])
    done = robdsl("tune")
    assert done.status == 1
    assert "nothing to tune on" in done.err
    assert "--plan" in done.err


def test_what_is_measured_is_kept_at_once(
    robdsl: Run,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that is cut off loses one measurement, and the next goes on behind the others."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(configurations, "device_key", lambda device: "some-gpu")
    monkeypatch.setattr(robdsl_kernels, "available", lambda: Availability(True, "pretended"))
    begun: list[str] = []

    def pretend(chosen: Sequence[Case], repeats: int) -> Iterator[tuning.Tuned]:
        for case in chosen:
            begun.append(tuning.key_of(case))
            if len(begun) == 3:
                raise RuntimeError("CUDA error: the machine is gone")
            yield tuning.Tuned(case, Configuration(rows=32), 1.0, 2.0, 2)

    monkeypatch.setattr(tuning, "tune", pretend)
    command = ("tune", "--kernel", "gram", "--dtype", "bfloat16")
    with pytest.raises(RuntimeError, match="the machine is gone"):
        robdsl(*command)
    user_table.cache_clear()
    assert list(user_table("some-gpu")) == begun[:2]
    done = robdsl(*command)
    assert done.status == 0, done.err
    assert begun == [*begun[:3], begun[2]]
    assert "2.00 x the committed tiles" in done.out
    assert "1 configuration measured, 2 known before, 0 left" in done.out
    stopped = robdsl(*command, "--again", "--minutes", 0, "--json")
    assert json.loads(stopped.out)["left"] == 2
    user_table.cache_clear()
