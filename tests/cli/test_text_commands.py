"""check, fmt, info and compile, as they are typed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.house.tree import ROOT

BAD = """use spaces.cell_based

net mine in cell_based {
    pick c { x0, x1 -> n0 : skip + sepconv_3x3 }
}
"""
NET = """# a comment that stays
net small(classes=10) { input 3 x 8 x 8; conv(3,8)|batch_norm
 global_avg_pool | flatten | linear(classes) }
"""
COMMANDS = ("check", "fmt", "info", "compile", "train", "attack", "tables", "viz", "diff")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(robdsl: Run, command: str) -> None:
    done = robdsl(command, "--help")
    assert done.status == 0
    assert f"Example: robdsl {command} " in re.sub(r"\s+", " ", done.out)


def test_a_wrong_call_gives_two(robdsl: Run) -> None:
    assert robdsl("chekc").status == 2
    assert robdsl("compile", "robnet_small", "--emit", "exe").status == 2
    assert robdsl("compile", "robnet_small", "--set", "width").status == 2
    assert robdsl("fmt", "--edges", "--alpha", "x.rob").status == 2


class TestCheck:
    def test_all_is_well(self, robdsl: Run) -> None:
        done = robdsl("check", ROOT / "archs" / "robnet_free.rob", "robnet-large")
        assert (done.status, done.out) == (0, "2 files: all is well\n")

    def test_a_mistake_is_shown_as_the_language_page_shows_it(self, robdsl: Run) -> None:
        Path("mine.rob").write_text(BAD, encoding="utf-8")
        done = robdsl("check", "mine.rob")
        assert done.status == 1
        assert "error[R203]: unknown operation `sepconv_3x3`\n  --> mine.rob:4:36\n" in done.err
        assert "= help: this edge of `robnet_cell` offers `skip` and `sep_conv_3x3`" in done.err
        assert done.err.endswith("1 error\n")

    def test_json(self, robdsl: Run) -> None:
        Path("mine.rob").write_text(BAD, encoding="utf-8")
        done = robdsl("check", "--json", "mine.rob")
        (found,) = json.loads(done.out)
        assert (done.status, found["code"]) == (1, "R203")

    @pytest.mark.parametrize("name", ["missing.rob", "robnet_larg", "."])
    def test_what_cannot_be_read(self, robdsl: Run, name: str) -> None:
        done = robdsl("check", name)
        assert done.status == 1
        assert "Traceback" not in done.err
        assert done.err.startswith("error[R")


class TestFmt:
    def test_rewrites_in_place_and_keeps_comments(self, robdsl: Run) -> None:
        path = Path("small.rob")
        path.write_text(NET, encoding="utf-8")
        assert robdsl("fmt", "--check", path).status == 1
        assert path.read_text(encoding="utf-8") == NET
        diff = robdsl("fmt", "--diff", path)
        assert "+    conv(3, 8) | batch_norm" in diff.out
        assert robdsl("fmt", path).status == 0
        assert path.read_text(encoding="utf-8").startswith(
            "# a comment that stays\nnet small(classes=10) {\n    input"
        )
        assert robdsl("fmt", "--check", path).status == 0

    def test_line_ends_and_byte_order_marks_are_made_canonical(self, robdsl: Run) -> None:
        path = Path("windows.rob")
        path.write_bytes(b"\xef\xbb\xbfop a = relu\r\n")
        assert robdsl("fmt", "--check", path).status == 1
        assert robdsl("fmt", path).status == 0
        assert path.read_bytes() == b"op a = relu\n"

    def test_the_two_forms_of_a_choice(self, robdsl: Run) -> None:
        source = (ROOT / "archs" / "robnet_large.rob").read_text(encoding="utf-8")
        path = Path("large.rob")
        path.write_text(source, encoding="utf-8")
        assert robdsl("fmt", "--edges", path).status == 0
        assert "x0, x1 -> n0     : skip + sep_conv_3x3" in path.read_text(encoding="utf-8")
        assert robdsl("fmt", "--alpha", path).status == 0
        assert path.read_text(encoding="utf-8") == source

    def test_stdin(self) -> None:
        command = [sys.executable, "-m", "robdsl", "fmt", "-"]
        done = subprocess.run(command, input="op a=relu|relu", capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "op a = relu | relu\n")

    def test_a_broken_file_is_left_alone(self, robdsl: Run) -> None:
        path = Path("broken.rob")
        path.write_text("net {", encoding="utf-8")
        assert robdsl("fmt", path).status == 1
        assert path.read_text(encoding="utf-8") == "net {"


class TestInfo:
    def test_a_net(self, robdsl: Run) -> None:
        done = robdsl("info", "robnet_large", "--set", "classes=100")
        assert done.status == 0
        assert "6,894,640 parameters" in done.out
        assert "fits cell_based_large" in done.out

    def test_json_of_a_space(self, robdsl: Run) -> None:
        described = json.loads(robdsl("info", "cell-based", "--json").out)
        assert described["size"] == 4**14 - 1
        assert described["supernet_params"] == 7_304_086

    def test_an_unknown_parameter(self, robdsl: Run) -> None:
        done = robdsl("info", "resnet18", "--set", "clases=3")
        assert done.status == 1
        assert "did you mean `classes`?" in done.err


class TestCompile:
    def test_a_module_that_needs_only_torch(self, robdsl: Run) -> None:
        done = robdsl("compile", "robnet_small", "--set", "width=4", "--set", "layers=3", "-o", "made/net.py")
        assert done.status == 0
        assert "11,918 parameters" in done.out
        program = "import net, torch; print(tuple(net.robnet_small().eval()(torch.rand(2, 3, 32, 32)).shape))"
        shown = subprocess.run(
            [sys.executable, "-c", program], cwd="made", capture_output=True, text=True, check=True
        )
        assert shown.stdout == "(2, 10)\n"

    @pytest.mark.parametrize("kind", ["rob", "json"])
    def test_text_to_the_terminal(self, robdsl: Run, kind: str) -> None:
        done = robdsl("compile", "resnet18", "--emit", kind, "-o", "-")
        assert done.status == 0
        assert "resnet18" in done.out

    def test_never_over_its_own_source(self, robdsl: Run) -> None:
        path = Path("small.rob")
        path.write_text(NET, encoding="utf-8")
        assert robdsl("compile", path, "--emit", "rob").status == 1
        assert path.read_text(encoding="utf-8") == NET
