"""Every kernel compiles for sm_80 and sm_90, spills nothing, fits, and takes what the committed table says.

Registers and shared memory are Triton's doing as much as ours, so there is a table for each version of Triton that was at
hand; another is held to the limits alone. `make test ARGS="tests/kernels/test_ahead.py -m '' --update-golden"` writes the
installed version's anew; with `-k gram` of the kernels whose name has `gram` in it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from robdsl.kernels.ahead import SHARED_LIMIT
from robdsl.kernels.cases import KERNELS, cases_of_all_kinds
from tests.house.tree import ROOT
from tests.kernels.compiled import few, runs_there

TABLE = Path(__file__).with_name("resources.json")


def compiled(*which: str) -> dict[str, list[int]]:
    command = [sys.executable, "-W", "error", "-m", "tests.kernels.compiled", *which]
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))


def tables() -> dict[str, dict[str, list[int]]]:
    """By version of Triton, what each launch takes."""
    read: dict[str, dict[str, list[int]]] = json.loads(TABLE.read_text(encoding="utf-8"))["triton"]
    return read


def check(*which: str, update: bool) -> None:
    import triton

    found = compiled(*which)
    held = tables()
    for key, (registers, spills, shared) in found.items():
        assert spills == 0, key
        assert registers <= 255, key
        assert shared <= SHARED_LIMIT[int(key[-2:])], key
    if update:
        # The launches of `few` are among the many, or not of a RobNet: what is not compiled now stays.
        write(held | {triton.__version__: held.get(triton.__version__, {}) | found})
        return
    assert found
    if triton.__version__ in held:
        assert found == {key: held[triton.__version__].get(key) for key in found}


def write(held: dict[str, dict[str, list[int]]]) -> None:
    """The tables, a launch a line."""
    parts = []
    for version, launches in sorted(held.items()):
        lines = ",\n".join(
            f"   {json.dumps(key)}: {json.dumps(use)}" for key, use in sorted(launches.items())
        )
        parts.append(f"  {json.dumps(version)}: {{\n{lines}\n  }}")
    about = "Of each launch, by version of Triton: registers a thread, bytes spilled, bytes of shared memory."
    joined = ",\n".join(parts)
    TABLE.write_text(f'{{\n "about": "{about}",\n "triton": {{\n{joined}\n }}\n}}\n', encoding="utf-8")


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


def test_each_kernel_compiles_and_fits(update: bool) -> None:
    check("few", update=update)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS)
def test_all_launches_of_a_robnet_compile_and_fit(kernel: str, update: bool) -> None:
    check("many", kernel, update=update)


@pytest.mark.parametrize("version", tables())
def test_the_tables_hold_every_launch(version: str) -> None:
    """Both capabilities of every launch that a RobNet makes, in every kind of product; and no spill in any."""
    held = tables()[version]
    expected = {
        f"{case.label} sm_{capability}"
        for case in (*cases_of_all_kinds(), *few())
        for capability in (80, 90)
        if runs_there(case, capability)
    }
    assert set(held) == expected
    assert not {key: use for key, use in held.items() if use[1]}
