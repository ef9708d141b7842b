"""The architectures that ship: sizes, forms, and what each of them says that it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from torchvision.models.googlenet import Inception

from robdsl.diagnostics.diagnostic import RobError
from robdsl.graph.index import shipped
from robdsl.graph.load import check_file, load, load_space
from robdsl.graph.net import Net
from robdsl.syntax import nodes
from robdsl.syntax.formatter import format_source
from robdsl.syntax.parser import parse, read_source

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "archs").rglob("*.rob"))
PROGRAMS = ROOT / "tests" / "data" / "programs"
NETS = dict(shipped("net"))
SPACES = dict(shipped("space"))

#: With 10 classes for 32 x 32 images, with 1000 for ImageNet. The RobNets' are those of the published code,
#: the others' those that the paper's Table 1 rounds; robnet_small and robnet_medium are checked below.
PARAMETERS = {
    "robnet_large": 6_842_710,
    "robnet_large_v2": 33_326_666,
    "robnet_free": 5_439_790,
    "robnet_large_imagenet": 12_756_448,
    "resnet18": 11_173_962,
    "resnet50": 23_520_842,
    "wrn28_10": 36_479_194,
    "densenet121": 6_956_298,
}

#: In millions, as the paper prints them for a head of 100 classes.
PRINTED = {"robnet_small": 4.41, "robnet_large": 6.89, "robnet_large_v2": 33.42, "robnet_free": 5.49}

MILLION_MACS = {
    "robnet_large": 1030,
    "robnet_large_v2": 5095,
    "robnet_free": 780,
    "robnet_large_imagenet": 1412,
}

INPUT_EDGES = ("x0", "x1")

NAS_BENCH_201_OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

#: The second-order DARTS cells, whose net for CIFAR-10 has 3.349342 million parameters.
DARTS_V2 = {
    "normal": "4 4 | 4 4 0 | 3 4 0 0 | 3 0 6 0 0",
    "reduction": "1 1 | 0 1 3 | 1 0 3 0 | 0 1 3 0 0",
}


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- every file


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_a_shipped_file_has_neither_errors_nor_warnings(path: Path) -> None:
    assert check_file(path) == ()


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_a_shipped_file_is_canonical_and_says_where_it_comes_from(path: Path) -> None:
    source = read_source(path)
    assert format_source(source) == source.text
    assert source.text.startswith("# ")


def test_names_of_nets_and_spaces_are_unique() -> None:
    names = [
        definition.name.name
        for path in FILES
        for definition in parse(read_source(path)).definitions
        if isinstance(definition, nodes.NetDefinition)
    ]
    assert len(names) == len(set(names))


def test_every_net_and_space_that_the_documents_name_is_there() -> None:
    assert {
        *PARAMETERS,
        *("robnet_small", "robnet_medium", "robnet_resnet_pattern", "robnet_densenet_pattern"),
        *("resnet18_imagenet", "resnet50_imagenet", "densenet121_imagenet"),
        *("resnet18_denoise", "robnet_large_denoise"),
    } == set(NETS)  # fmt: skip
    assert {
        *("cell_based", "cell_free", "cell_based_imagenet", "cell_based_denoise", "nas_bench_201", "darts", "dense_rob"),
        *("cell_based_small", "cell_based_medium", "cell_based_large"),
    } == set(SPACES)  # fmt: skip


@pytest.mark.parametrize("name", sorted(NETS))
def test_a_net_stands_in_the_file_of_its_name_and_takes_classes(name: str) -> None:
    assert NETS[name].stem == name.removesuffix("_v2")
    assert load(name, classes=7).classes == 7


# --- sizes


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_parameters_are_exact(name: str) -> None:
    assert load(name).cost.params == PARAMETERS[name]


@pytest.mark.parametrize("name", sorted(PRINTED))
def test_the_paper_prints_the_size_with_a_head_of_100_classes(name: str) -> None:
    assert round(load(name, classes=100).cost.params / 1e6, 2) == PRINTED[name]


@pytest.mark.parametrize("name", sorted(MILLION_MACS))
def test_multiply_adds(name: str) -> None:
    assert round(load(name).cost.macs / 1e6) == MILLION_MACS[name]


def test_multiply_adds_of_the_supernet() -> None:
    cost = load_space("cell_based").supernet().cost
    assert (cost.params, round(cost.macs / 1e6)) == (7_304_086, 1096)
    assert load_space("cell_free").supernet().cost == cost


@pytest.mark.parametrize("ours", ["robnet_small", "robnet_medium", "robnet_large", "robnet_densenet_pattern"])
def test_shared_cells_have_the_size_that_their_operations_give(ours: str) -> None:
    convolutions, input_skips = operations(load(ours))
    expected = 1_363_222 + 577 * 90 + 409_536 * convolutions + 25_920 * input_skips
    assert load(ours, classes=100).cost.params == expected


@pytest.mark.parametrize(
    ("name", "torchvisions"),
    [
        ("resnet18_imagenet", "resnet18"),
        ("resnet50_imagenet", "resnet50"),
        ("densenet121_imagenet", "densenet121"),
    ],
)
def test_imagenet_sizes_equal_torchvisions(name: str, torchvisions: str) -> None:
    assert load(name).cost.params == torchvision_parameters(torchvisions)


@pytest.mark.parametrize("kind", ["gaussian", "dot"])
def test_denoising_adds_one_block_a_resolution(kind: str) -> None:
    embeddings = 1 if kind == "gaussian" else 0

    def blocks(*widths: int) -> int:
        return sum(width * width * (1 + embeddings) + 2 * width for width in widths)

    resnet = load("resnet18_denoise", kind=kind).cost.params - load("resnet18").cost.params
    assert resnet == blocks(64, 128, 256, 512)
    robnet = load("robnet_large_denoise", kind=kind).cost.params - load("robnet_large").cost.params
    assert robnet == blocks(4 * 36, 4 * 72, 4 * 144)


# --- what the RobNets are


def operations(net: Net) -> tuple[int, int]:
    """Convolutions, and skips from the cell's inputs, in the first cell of a net."""
    (pick, *_), (choice, *_) = net.layout.picks, net.choices
    edges = list(zip(pick.opens, choice, strict=True))
    convolutions = sum(edge.names[each] == "sep_conv_3x3" for edge, chosen in edges for each in chosen)
    skips = sum(
        edge.source in INPUT_EDGES and edge.names[each] == "skip" for edge, chosen in edges for each in chosen
    )
    return convolutions, skips


def test_ours_follow_the_papers_rule_for_a_budget() -> None:
    assert operations(load("robnet_small")) == (7, 5)
    assert operations(load("robnet_medium")) == (10, 6)
    for name in ("robnet_small", "robnet_medium"):
        net = load(name)
        (pick,), (choice,) = net.layout.picks, net.choices
        direct = [chosen for edge, chosen in zip(pick.opens, choice, strict=True) if edge.direct]
        assert direct == [(0, 1)] * 4


def test_each_of_ours_stands_in_its_budget() -> None:
    alphas = {name: load(f"robnet_{name}").alpha for name in ("small", "medium", "large")}
    for budget in alphas:
        space = load_space(f"cell_based_{budget}")
        for name, alpha in alphas.items():
            if name == budget:
                assert space.net(alpha).cost == load(f"robnet_{name}").cost
            else:
                with pytest.raises(RobError, match="count"):
                    space.net(alpha)


def test_patterns() -> None:
    net = load("robnet_resnet_pattern")
    (pick,), (choice,) = net.layout.picks, net.choices
    assert all(
        chosen == ((0, 1) if edge.direct else ()) for edge, chosen in zip(pick.opens, choice, strict=True)
    )
    (dense,) = load("robnet_densenet_pattern").choices
    assert dense == ((1,),) * 14


def test_the_imagenet_stem_feeds_the_first_cell_two_sizes() -> None:
    net = load("robnet_large_imagenet")
    first = next(stage for stage in net.stages if stage.name.startswith("robnet_cell"))
    assert [net.stages[index].shape for index in first.inputs] == [(48, 56, 56), (48, 28, 28)]


# --- spaces that were never ours


def test_nas_bench_201_has_the_benchmarks_sizes() -> None:
    space = load_space("nas-bench-201")
    (pick,) = space.picks
    assert all(edge.names == NAS_BENCH_201_OPERATIONS for edge in pick.opens)
    assert [(edge.source, edge.target) for edge in pick.opens] == [
        ("x", "a"), ("x", "b"), ("a", "b"), ("x", "out"), ("a", "out"), ("b", "out"),
    ]  # fmt: skip
    # The largest and the smallest of the benchmark: 1.531546 and 0.073306 million.
    assert space.net("3 | 3 3 | 3 3 3").cost.params == 1_531_546
    assert space.net("1 | 1 1 | 1 1 1").cost.params == 73_306


def test_darts_has_the_size_of_its_published_net() -> None:
    assert load_space("darts").net(DARTS_V2).cost.params == 3_349_342


@pytest.mark.parametrize("pick", ["normal", "reduction"])
@pytest.mark.parametrize("codes", ["4 4 | 4 4 3", "4 4 | 4 0 0"])
def test_darts_wants_two_inputs_a_node(pick: str, codes: str) -> None:
    rest = DARTS_V2[pick].split(" | ")[2:]
    alpha = DARTS_V2 | {pick: " | ".join([codes, *rest])}
    with pytest.raises(RobError, match="indegree"):
        load_space("darts").net(alpha)


@pytest.mark.parametrize("name", sorted(SPACES))
def test_a_space_has_a_supernet(name: str) -> None:
    assert load_space(name, classes=3).supernet().classes == 3


# --- other people's nets, written as programs


def torchvision_parameters(name: str) -> int:
    with torch.device("meta"):
        return count(torchvision.models.get_model(name, weights=None))


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("program", "torchvisions"),
    [("squeezenet1_0", "squeezenet1_0"), ("resnext50", "resnext50_32x4d"), ("vgg16_bn", "vgg16_bn")],
)
def test_programs_have_torchvisions_sizes(program: str, torchvisions: str) -> None:
    assert check_file(PROGRAMS / f"{program}.rob") == ()
    assert load(PROGRAMS / f"{program}.rob").cost.params == torchvision_parameters(torchvisions)


def test_an_inception_cell_has_torchvisions_size() -> None:
    with torch.device("meta"):
        module = Inception(192, 64, 96, 128, 16, 32, 32)
    net = load(PROGRAMS / "inception_cell.rob")
    assert net.stages[0].operation.cost.params == count(module)
    assert net.stages[0].shape == (256, 28, 28)


def test_a_closed_nas_bench_201_cell_is_the_one_of_the_space() -> None:
    net = load(PROGRAMS / "nas_bench_201_cell.rob")
    same = load_space("nas_bench_201").net("3 | 0 4 | 1 2 3")
    assert net.cost == same.cost
