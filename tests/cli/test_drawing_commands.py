"""viz and diff, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.house.tree import ROOT


class TestViz:
    def test_a_cell_by_number_and_by_name(self, robdsl: Run) -> None:
        assert robdsl("viz", "robnet_free", "--cell", "7", "-o", "pictures/a.svg").status == 0
        done = robdsl("viz", "robnet-free", "--cell", "robnet_cell_8", "-o", "b.svg")
        assert (done.status, done.out, done.err) == (0, "", "wrote b.svg\n")
        assert Path("pictures/a.svg").read_text("utf-8") == Path("b.svg").read_text("utf-8")

    def test_without_a_name_it_is_called_like_the_net(self, robdsl: Run) -> None:
        assert robdsl("viz", "robnet_small").err == "wrote robnet_small.svg\n"
        assert (
            robdsl("viz", ROOT / "archs" / "robnet_small.rob", "--cell", "0").err
            == "wrote robnet_small_0.svg\n"
        )

    def test_a_space_is_drawn_with_all_that_it_offers(self, robdsl: Run) -> None:
        assert robdsl("viz", "nas-bench-201", "--cell", "0", "-o", "a.svg").status == 0
        assert "nor_conv_3x3" in Path("a.svg").read_text("utf-8")

    def test_what_the_net_left_out(self, robdsl: Run) -> None:
        done = robdsl("viz", "resnet18", "--supernet", "-o", "a.svg")
        assert done.status == 1 and "resnet18 is in no space" in done.err
        assert robdsl("viz", "robnet_small", "--supernet", "--cell", "0", "-o", "a.svg").status == 0
        assert Path("a.svg").read_text("utf-8").count('data-label="skip"') == 14

    def test_a_net_too_large_to_open_says_so(self, robdsl: Run) -> None:
        source = "use spaces.cell_based\nnet large in cell_based(width=4, layers=230) { pick c = 11 11 | 11 11 11 | 01 11 01 10 | 11 01 01 01 11 }\n"
        Path("large.rob").write_text(source, encoding="utf-8")
        done = robdsl("viz", "large.rob")
        assert done.status == 0
        assert done.err.startswith("note: large has 2,070 nodes in 230 cells, too many to open them all")

    @pytest.mark.parametrize(
        ("arguments", "status", "said"),
        [
            (["robnet_free", "--cell", "20", "-o", "a.svg"], 1, "no cell `20`: they are numbered 0 to 19"),
            (["robnet_free", "-o", "a.gif"], 2, "ends in .svg"),
            (["robnet_free", "--cell", "1", "--all-cells"], 2, "one cell is drawn, or all"),
            (["missing.rob"], 1, "missing.rob"),
        ],
    )
    def test_wrong_calls(self, robdsl: Run, arguments: list[str], status: int, said: str) -> None:
        done = robdsl("viz", *arguments)
        assert done.status == status and said in " ".join(done.err.replace("│", " ").split())
        assert not list(Path().iterdir())

    def test_all_cells_of_a_net_without_cells(self, robdsl: Run) -> None:
        Path("a.rob").write_text("net a { input 3 x 4 x 4; global_avg_pool | flatten | linear(2) }", "utf-8")
        done = robdsl("viz", "a.rob", "--all-cells")
        assert done.status == 1 and "a has no cells" in done.err
        assert robdsl("viz", "a.rob").status == 0


class TestDiff:
    def test_in_words(self, robdsl: Run) -> None:
        done = robdsl("diff", "robnet_small", "robnet_medium")
        assert done.status == 0
        assert "cells 0–19 (robnet_cell)\n" in done.out and "  + x0 -> n2: skip\n" in done.out

    def test_the_exit_status_tells_where_it_is_asked_to(self, robdsl: Run) -> None:
        assert robdsl("diff", "robnet_small", "robnet_medium", "--exit-code").status == 1
        assert robdsl("diff", "robnet_small", "robnet-small", "--exit-code").status == 0

    def test_json(self, robdsl: Run) -> None:
        read = json.loads(robdsl("diff", "robnet_small", "robnet_medium", "--json").out)
        assert (read["before"], read["after"], read["differs"]) == ("robnet_small", "robnet_medium", True)

    def test_a_drawing(self, robdsl: Run) -> None:
        done = robdsl("diff", "robnet_small", "robnet_medium", "-o", "a.svg")
        assert done.err == "wrote a.svg\n"
        assert "only in robnet_medium" in Path("a.svg").read_text("utf-8")
        assert robdsl("diff", "robnet_small", "robnet_medium", "-o", "a.html").status == 2

    def test_nets_of_one_file_and_settings_for_both(self, robdsl: Run) -> None:
        done = robdsl(
            "diff", "robnet_large", ROOT / "archs" / "robnet_large.rob", "--net-b", "robnet_large_v2"
        )
        assert "  width: 36 -> 64\n  layers: 20 -> 33\n" in done.out
        done = robdsl("diff", "resnet18", "resnet50", "--set", "classes=7")
        assert "linear, 7, " in done.out
