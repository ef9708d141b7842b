"""The programs on the page that says what the language is, and those that ship."""

from __future__ import annotations

from pathlib import Path

import pytest

import robdsl
from robdsl.graph.load import check_file, load, load_space
from robdsl.graph.operations import CellOperation
from tests.graph.programs import cell_of, net_of

PROGRAMS = Path(__file__).parents[1] / "data" / "programs"

LARGE = "11 11 | 11 11 11 | 01 11 01 10 | 11 01 01 01 11"


@pytest.mark.parametrize(
    "path", sorted(PROGRAMS.rglob("*.rob")), ids=lambda path: str(path.relative_to(PROGRAMS))
)
def test_each_program_of_the_page_checks(path: Path) -> None:
    found = [each.code.id for each in check_file(path)]
    # The page leaves robnet_free's other choices out: "and so on, to pick 19".
    assert found == (["R504"] if path.name == "robnet_free.rob" else [])


@pytest.mark.parametrize("file", ["robnet_large.rob", "robnet_large_edges.rob"])
def test_both_forms_of_a_choice_are_the_published_net(file: str) -> None:
    net = load(PROGRAMS / file, net="robnet_large")
    assert net.alpha == [LARGE]
    assert net.cost.params == 6_842_710
    assert net.choices == load("robnet_large").choices


def test_the_published_sizes() -> None:
    assert load("robnet_large_v2").cost.params == 33_326_666
    assert load(PROGRAMS / "robnet_large.rob", net="robnet_large_v2").cost.params == 33_326_666
    assert load("robnet_free").cost.params == 5_439_790
    assert load("robnet_large_imagenet").cost.params == 12_756_448
    assert load(PROGRAMS / "hand_designed.rob").cost.params == 11_173_962
    assert load_space("cell_based").supernet().cost.params == 7_304_086
    assert load_space("cell_free").supernet().cost.params == 7_304_086


def test_the_published_choices_of_robnet_free() -> None:
    net = load("robnet_free")
    assert [pick.name for pick in net.layout.picks] == [str(number) for number in range(20)]
    assert net.alpha[0] == "11 10 | 11 11 10 | 11 01 01 10 | 11 11 00 11 01"
    assert net.alpha[19] == "11 11 | 01 01 11 | 11 01 00 00 | 10 00 01 01 11"
    assert net.stats().density == pytest.approx(0.641, abs=5e-4)


def test_the_robnet_cell_counts_as_in_the_paper() -> None:
    """14 open edges, 4 of them direct; RobNet-large has 13 convolutions and density 22/28 (section 3)."""
    (pick,) = load_space("cell_based").picks
    assert len(pick.opens) == 14
    assert [str(edge) for edge in pick.opens if edge.direct] == [
        "`x1 -> n0`", "`n0 -> n1`", "`n1 -> n2`", "`n2 -> n3`",
    ]  # fmt: skip
    (choice,) = load("robnet_large").stats().choices
    assert choice.density == 22 / 28
    assert choice.counts == {"skip": 9, "sep_conv_3x3": 13}


def test_reductions_stand_at_a_third_and_two_thirds() -> None:
    net = load("robnet_large", layers=20)
    cells = [stage for stage in net.stages if stage.name.startswith("robnet_cell")]
    assert [index for index, cell in enumerate(cells) if dict(cell.operation.arguments)["stride"] == 2] == [
        6,
        13,
    ]
    assert {cell.shape for cell in cells} == {(144, 32, 32), (288, 16, 16), (576, 8, 8)}


def test_the_first_robnet_cell_gets_the_stem_twice() -> None:
    net = load("robnet_large")
    assert [stage.inputs for stage in net.stages[:4]] == [(-1,), (0, 0), (0, 1), (1, 2)]


def test_stride_two_sits_on_edges_from_the_inputs_only() -> None:
    """Reproduction notes: `skip` with stride 2 is a factorized reduction, else the identity."""
    space = load_space("cell_based", layers=5)
    reducing = next(stage for stage in space.supernet().stages if stage.name == "robnet_cell_2")
    assert isinstance(reducing.operation, CellOperation)
    skips = {
        (edge.source, edge.target): dict(edge.alternatives[0].arguments)["stride"]
        for edge in reducing.operation.cell.edges
        if edge.opens is not None and edge.alternatives[0] is not None
    }
    assert {pair for pair, stride in skips.items() if stride == 2} == {
        (source, target) for source in ("x0", "x1") for target in ("n0", "n1", "n2", "n3")
    }


def test_the_dense_layer_joins_what_is_new_first() -> None:
    cell = cell_of(
        (PROGRAMS / "hand_designed.rob").read_text().split("net ")[0] + _dense_layer(), "dense_layer(4)"
    )
    assert cell.nodes["out"].operands == ("y", "x")
    assert cell.out_shape == (7, 8, 8)


def _dense_layer() -> str:
    text = (PROGRAMS / "hand_designed.rob").read_text()
    return text[text.index("cell dense_layer") :]


def test_basic_takes_the_branch_that_fits() -> None:
    definitions = (PROGRAMS / "hand_designed.rob").read_text().split("net ")[0]
    same = net_of("conv(3, 16)\nbasic(16)", definitions).cost.params - 16 * 27
    assert same == 2 * 16 * 16 * 9 + 2 * 32
    wider = net_of("conv(3, 16)\nbasic(32, stride=2)", definitions)
    assert wider.cost.params - 16 * 27 == 32 * 16 * 9 + 32 * 32 * 9 + 32 * 16 + 3 * 64
    assert wider.stages[-1].shape == (32, 4, 4)


def test_arguments_become_defaults() -> None:
    """`robnet_large_v2` stands in `cell_based(width=64, layers=33)`, and takes `classes` too."""
    net = robdsl.load("robnet_large_v2", classes=100)
    assert net.parameters == {"width": 64, "layers": 33, "classes": 100}
    assert net.classes == 100
    assert net.cost.params == 33_326_666 + 90 * (4 * 4 * 64 + 1)
