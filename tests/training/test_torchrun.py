"""torchrun itself: two processes, killed together, started again with the same command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.workers import in_float64

SCRIPT = """
import os, sys
from pathlib import Path

import torch

from robdsl.data import joined
from tests.training.workers import small_recipe, small_run

torch.set_num_threads(1)
with joined("cpu") as ranks:
    assert ranks.world == 2
    Path(sys.argv[1]).with_name(f"{ranks.rank}.pid").write_text(str(os.getpid()))
    recipe = small_recipe(average=0.8, checkpoint_batches=1)
    pause = float(sys.argv[2])
    small_run(Path(sys.argv[1]), recipe, dtype=torch.float64, pause=pause)
"""


@pytest.mark.slow
def test_torchrun_goes_on_after_a_kill(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[2]

    def launch(pause: float) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        return subprocess.Popen(
            [*command, str(script), str(tmp_path / "two"), str(pause)],
            env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        )

    running = launch(0.5)
    while not list((tmp_path / "two" / "checkpoints").glob("*.json")):
        assert running.poll() is None
        time.sleep(0.02)
    for pid in [running.pid, *(int(file.read_text()) for file in tmp_path.glob("*.pid"))]:
        os.kill(pid, signal.SIGKILL)
    running.wait()
    assert not (tmp_path / "two" / "last.safetensors").exists()
    assert launch(0.0).wait(120) == 0
    in_float64(tmp_path / "one", {"average": 0.8, "checkpoint_batches": 1})
    for name in ("best.safetensors", "last.safetensors"):
        twos = load_file(tmp_path / "two" / name)
        for key, tensor in load_file(tmp_path / "one" / name).items():
            torch.testing.assert_close(twos[key], tensor, rtol=1e-9, atol=1e-11)
