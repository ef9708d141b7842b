"""The benchmark for GPUs, on a CPU with a tiny net: every kind of part gives rows, and a file goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import bench_gpu
from benchmarks.gpu_forms import TRAINED, VARIANTS, Forms
from benchmarks.gpu_parts import Bench, parts
from benchmarks.gpu_stages import SHAPES, KernelStage, Stage
from benchmarks.gpu_warm import Call, compile_share, operations
from robdsl.kernels.configurations import Shape
from tests.house.tree import ROOT


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(Forms("robnet_small", {"width": 4, "layers": 3}, "cpu"), seconds=0.0)


def test_all_that_is_measured_has_a_part() -> None:
    found = parts([512, 32], 256)
    assert next(iter(found)) == "warm"
    for batch in (512, 32):
        assert {f"step {batch} {name}" for name in VARIANTS} <= set(found)
    assert {f"train 256 {name}" for name in TRAINED} <= set(found)
    # Inductor's tuning, which may outlast a call, is begun when all else is kept; all else fits into two calls.
    names = list(found)
    tuning = [name for name in names if "max-autotune" in name]
    assert names[-len(tuning) :] == tuning
    assert max(seconds for name, seconds in found.items()) < 8 * 60


def test_steps(bench: Bench) -> None:
    plain, graphed = bench.run("step 2 kernels, pairs, bf16")
    for row in (plain, graphed):
        assert row["ms"] > 0
        assert row["images/s"] == pytest.approx(2e3 / row["ms"])
        assert (row["batch"], row["fitting"]) == (2, 2)
    assert graphed["replayed"] == 0  # on a CPU
    assert 0 < plain["logits off by"] < 0.1


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name.startswith(("cleaned", "kernels"))])
def test_every_form_computes_the_same(bench: Bench, variant: str) -> None:
    off = bench._off(VARIANTS[variant](bench.forms))
    assert off is not None
    assert off < (0.05 if "bf16" in variant else 1e-5)


def test_training(bench: Bench) -> None:
    before = bench.forms.plain.state_dict()
    for variant in ("compiled, graphs", "kernels, bf16, graphs", "max-autotune"):
        (row,) = bench.run(f"train 2 {variant}")
        assert row["ms"] > 0
        assert row["graph"] == variant.endswith("graphs")
    assert all(torch.equal(value, before[name]) for name, value in bench.forms.plain.state_dict().items())


def test_rooflines_and_profiles(bench: Bench) -> None:
    rows = bench.run("roofline gram")
    assert len(rows) == 6
    assert all(row["share of bandwidth"] > 0 and row["share of arithmetic"] > 0 for row in rows)
    trained = bench.run("stages 2")
    assert len(trained) == 4 * len(SHAPES)
    assert all(row["ms"] > 0 for row in trained)
    profiled = bench.run("profile 2 kernels")
    assert profiled
    assert sum(row["share"] for row in profiled) <= 1 + 1e-9


@pytest.mark.parametrize("stride", [1, 2])
def test_a_stage_in_training_is_the_modules(stride: int) -> None:
    """The result, gradients to the maps and all weights, and running statistics, in float64."""
    shape = Shape(6, 5, 4, 7, stride)
    torch.manual_seed(0)
    modules, ours = Stage(shape).double().train(), KernelStage(shape).double().train()
    ours.load_state_dict(modules.state_dict())
    x = torch.randn(3, 4, 6, 5, dtype=torch.float64, requires_grad=True)
    for _ in range(2):
        found, expected = ours(x), modules(x)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
        weights = torch.cos(torch.arange(found.numel(), dtype=found.dtype)).view_as(found)
        got = torch.autograd.grad((found * weights).sum(), [x, *ours.parameters()])
        wanted = torch.autograd.grad((expected * weights).sum(), [x, *modules.parameters()])
        for one, other in zip(got, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    for one, other in zip(ours.buffers(), modules.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_a_batch_too_large_for_the_memory_is_halved(bench: Bench) -> None:
    asked: list[int] = []

    def measure(size: int) -> dict[str, Any]:
        asked.append(size)
        if size > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return {"ms": 2.0}

    row = bench._fitting(16, measure)
    assert asked == [16, 8, 4, 2]
    assert (row["batch"], row["fitting"], row["images/s"]) == (16, 2, 1000.0)
    with pytest.raises(torch.OutOfMemoryError):
        bench._fitting(2, lambda size: measure(9))


def test_kernels_are_shared_out_among_processes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every operation, forward and back, is compiled by one of them; what cannot be compiled is said."""
    launched: list[str] = []

    def launch(call: Call, device: str, dtype: torch.dtype) -> None:
        launched.append(f"{call} {dtype}")
        if "tf32x3" not in call.arguments:
            raise ValueError("too large")

    monkeypatch.setattr(Call, "launch", launch)
    whole = compile_share(bench.forms, (), 0, 1)
    everything = list(launched)
    assert len(everything) == len(set(everything)) > 4
    assert {each.split()[0] for each in everything} >= {
        "separable_fan", "separable_fan_input_gradient", "pointwise_fan", "pointwise_fan_input_gradients",
        "separable_sum", "separable_input_gradient", "separable_pair", "node_sum",
        "separable_statistics", "separable_weight_gradients", "norm_sum", "norm_sum_gradient",
    }  # fmt: skip
    assert whole and all(said == "ValueError: too large" for _, said in whole)
    launched.clear()
    for place in range(3):
        compile_share(bench.forms, (), place, 3)
    assert sorted(launched) == sorted(everything)


def test_ratios_are_image_for_image() -> None:
    base = {"batch": 8, "graph": False, "fitting": 4, "images/s": 10.0, "peak MB": 400.0}
    ours = {"batch": 8, "graph": True, "fitting": 8, "images/s": 50.0, "peak MB": 200.0}
    known: dict[str, dict[str, Any]] = {
        "step 8 published": {"rows": [base]}, "step 8 kernels": {"rows": [ours]},
        "step 2 kernels": {"rows": [ours]}, "train 8 compiled": {"error": "stopped"}, "roofline gram": {"rows": [{}]},
    }  # fmt: skip
    found = {row["part"]: row for row in bench_gpu.ratios(known)}
    assert set(found) == {"step 8 published", "step 8 kernels"}
    assert found["step 8 kernels"]["times published"] == 5
    assert found["step 8 kernels"]["share of memory"] == pytest.approx(0.25)
    assert any("train 8 compiled" in line for line in bench_gpu.summary(known))


Program = Callable[..., str]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """The program as it is typed; what it prints."""
    monkeypatch.chdir(ROOT)

    def run(*arguments: object) -> str:
        monkeypatch.setattr("sys.argv", ["bench_gpu", *map(str, arguments)])
        bench_gpu.main()
        return capsys.readouterr().out

    return run


def test_a_file_goes_on_where_it_stopped(tmp_path: Path, program: Program) -> None:
    path = tmp_path / "found" / "gpu.json"
    smoke = ("--smoke", "--write", "--output", path, "--only")
    first = program(*smoke, "roofline pgd*", "roofline node_sum_f*")
    read = json.loads(path.read_text())
    assert set(read["parts"]) == {"roofline node_sum_forward", "roofline pgd_step"}
    assert "roofline pgd_step (" in first
    again = program(*smoke, "roofline pgd*")
    assert "roofline pgd_step (" not in again
    assert json.loads(path.read_text())["parts"] == read["parts"]
    assert read["device"] == "cpu" and read["date"] and read["versions"]["torch"]
    assert "is of another batch: beginning anew" in program(*smoke, "nothing", "--batch", 3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without a GPU")
def test_without_a_gpu_nothing_is_measured(program: Program) -> None:
    assert "nothing was measured: bench_gpu needs a GPU" in program()


@pytest.mark.slow
def test_the_whole_program(tmp_path: Path, program: Program) -> None:
    path = tmp_path / "gpu.json"
    program("--smoke", "--write", "--output", path, "--minutes", 30)
    read = json.loads(path.read_text())
    assert set(read["parts"]) == set(parts([4, 2], 4))
    assert not [name for name, outcome in read["parts"].items() if "error" in outcome]
    assert read["summary"]


def test_what_is_launched_has_the_types_of_a_run(bench: Bench) -> None:
    """A frozen model is bfloat16 as a whole; in training maps alone are."""
    for call in operations(bench.forms):
        if call.name in ("separable_fan", "separable_statistics"):
            call.launch("cpu", torch.bfloat16)
