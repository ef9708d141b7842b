"""import and export, as they are typed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run

CODE = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"


def test_there_and_back(robdsl: Run) -> None:
    done = robdsl("import", CODE, "--name", "mine", "-o", "nets/mine.rob")
    assert (done.status, done.out, done.err) == (0, "", "wrote 1 net to nets/mine.rob\n")
    assert robdsl("check", "nets/mine.rob").status == 0
    assert robdsl("fmt", "--check", "nets/mine.rob").status == 0
    assert robdsl("export", "nets/mine.rob", "--as", "nas-bench-201").out == CODE + "\n"


def test_a_file_of_codes_becomes_a_file_of_nets(robdsl: Run) -> None:
    shared, free = [
        '[["01"' + ', "11"' * 13 + "]]",
        "[" + ", ".join(['["10"' + ', "11"' * 13 + "]"] * 5) + "]",
    ]
    Path("codes.py").write_text(f"import os\nlarge = {shared}\nfree = {free}\n", encoding="utf-8")
    done = robdsl("import", "codes.py", "-o", "nets.rob")
    assert done.err == "wrote 2 nets to nets.rob\n"
    text = Path("nets.rob").read_text(encoding="utf-8")
    assert text.startswith("use spaces.cell_based\nuse spaces.cell_free\n\nnet large in cell_based {\n")
    assert robdsl("check", "nets.rob").status == 0
    assert robdsl("fmt", "--check", "nets.rob").status == 0
    assert robdsl("export", "nets.rob", "--net", "large", "--as", "robnets").out == f"{shared}\n"


def test_shipped_nets_export(robdsl: Run) -> None:
    done = robdsl("export", "robnet-large", "--as", "robnets")
    assert done.out.startswith('[["11", "11", "11", "11", "11", "01",')
    assert robdsl("export", "robnet_large", "--as", "aw-nas").out.startswith(
        "DenseMicroGenotype(cell_0='init_node~2+|"
    )


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("import", "missing.py"), 1, "missing.py: No such file or directory"),
        (("import", "."), 1, "Is a directory"),
        (("import", "[['00']]"), 1, "14 strings of two bits"),
        (("import", str([["00"] * 14])), 1, "density"),
        (("import", CODE, "--name", "a b"), 2, "no name"),
        (("import", CODE, "--from", "darts"), 1, "there is no code in this text"),
        (("import", CODE, "--from", "pickle"), 2, "robnets"),
        (("export", "robnet_large", "--as", "pickle"), 2, "robnets"),
        (("export", "resnet18", "--as", "robnets"), 1, "stands in no space"),
    ],
)
def test_what_goes_wrong(robdsl: Run, arguments: tuple[str, ...], status: int, said: str) -> None:
    done = robdsl(*arguments)
    assert done.status == status
    assert said in re.sub(r"\s+", " ", done.err)
    assert "Traceback" not in done.err


def test_the_examples_of_help_work(robdsl: Run) -> None:
    for command in ("import", "export"):
        shown = re.sub(r"[\s│]+", " ", robdsl(command, "--help").out)
        (example,) = re.findall(r"Example: robdsl (.+?) ╭", shown)
        assert robdsl(*shlex.split(example)).status == 0


def test_no_torch(robdsl: Run) -> None:
    program = "import sys, robdsl.genotypes; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert robdsl("import", CODE).status == 0
