"""lift, as it is typed."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import Run
from tests.lift.models import Odds

MODEL = """
from torch import nn

class Net(nn.Module):
    def __init__(self, classes=3, width=4, deep=False):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36 * width, classes))

    def forward(self, x):
        return self.body(x)

def broken():
    raise RuntimeError("no weights here")

number = 3
"""


@pytest.fixture
def here(robdsl: Run) -> Run:
    Path("my_net.py").write_text(MODEL, encoding="utf-8")
    return robdsl


def test_from_ones_own_file_to_a_compiled_net(here: Run) -> None:
    arguments = (
        "lift",
        "my_net:Net",
        "--input",
        "3x8x8",
        "--arg",
        "width=5",
        "--arg",
        "deep=false",
        "-o",
        "out/net.rob",
    )
    done = here(*arguments, "--name", "mine", "--json")
    assert done.status == 0, done.err
    facts = json.loads(done.out)
    assert (facts["net"], facts["weights"], facts["params"]) == ("out/net.rob", "out/net.safetensors", 683)
    assert facts["difference"] <= 1e-9
    assert here("check", "out/net.rob").status == 0
    done = here(
        "compile", "out/net.rob", "--emit", "pt2", "--weights", "out/net.safetensors", "-o", "net.pt2"
    )
    assert done.status == 0, done.err


def test_a_checkpoint_is_carried_over(here: Run) -> None:
    import robdsl

    torch.manual_seed(1)
    model = Odds().eval()
    torch.save({"state_dict": {f"module.{key}": each for key, each in model.state_dict().items()}}, "odds.pt")
    done = here("lift", "tests.lift.models:Odds", "--input", "3x16x16", "--state", "odds.pt")
    assert done.status == 0, done.err
    assert "wrote Odds.rob and Odds.safetensors" in done.out
    compiled = robdsl.compile(robdsl.load("Odds.rob")).eval()
    robdsl.load_weights(compiled, "Odds.safetensors")
    images = torch.rand(2, 3, 16, 16)
    assert torch.allclose(compiled(images), model(images), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("no_such_module:Net",), 1, "cannot import no_such_module"),
        (("my_net:Nothing",), 1, "my_net has no Nothing"),
        (("my_net:broken",), 1, "my_net:broken failed: RuntimeError: no weights here"),
        (("my_net:number",), 1, "cannot be called"),
        (("my_net:Net", "--arg", "depth=1"), 1, "TypeError"),
        (("my_net:Net", "--input", "3x9x9"), 1, "torch.fx cannot trace the model"),
        (("my_net:Net", "--input", "3x8x8", "--state", "none.pt"), 1, "none.pt"),
        (("my_net",), 2, "is not MODULE:FACTORY"),
        (("my_net:Net", "--input", "3"), 2, "is no shape"),
        (("my_net:Net", "--arg", "x"), 2, "is not NAME=VALUE"),
        (("my_net:Net", "--name", "a b"), 2, "is no name"),
        (("builtins:dict",), 1, "no torch.nn.Module"),
        (("torch.nn:ReLU6", "--input", "3x8x8"), 1, "hardtanh: 1x"),
    ],
)
def test_what_goes_wrong(here: Run, arguments: tuple[str, ...], status: int, said: str) -> None:
    done = here("lift", *arguments)
    assert done.status == status, done.err
    assert said in re.sub(r"[\s│]+", " ", done.err)
    assert not list(Path().glob("*.rob"))


@pytest.mark.slow
def test_the_example_of_help_works(robdsl: Run) -> None:
    (example,) = re.findall(r"Example: robdsl (.+?) ╭", re.sub(r"[\s│]+", " ", robdsl("lift", "--help").out))
    done = robdsl(*shlex.split(example))
    assert done.status == 0, done.err
    assert "11,689,512 parameters" in done.out
