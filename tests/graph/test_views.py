"""Nets as networkx graphs: what they say agrees with the sizes, and networkx's algorithms serve."""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robdsl.graph.flatten import flatten
from robdsl.graph.load import load, load_space
from robdsl.graph.net import Net
from robdsl.graph.operations import Choice
from robdsl.graph.views import input_shapes
from tests.graph.programs import net_of

NETS = (
    "robnet_large",
    "robnet_free",
    "resnet18",
    "wrn28_10",
    "densenet121",
    "resnet18_denoise",
    "robnet_large_imagenet",
)


def longest(net: Net) -> int:
    """Convolutions and linear layers on the longest path from the image to the result, by networkx."""
    graph = net.graph
    weighted = nx.DiGraph()
    weighted.add_nodes_from(graph)
    for source, target in graph.edges():
        weighted.add_edge(source, target, weight=graph.nodes[target]["depth"])
    needed = nx.ancestors(weighted, graph.graph["output"]) | {graph.graph["output"]}
    return int(nx.dag_longest_path_length(weighted.subgraph(needed)))


def idle(net: Net) -> int:
    """Learned numbers of what was chosen but does not reach the output of its stage."""
    steps = [step for stage in net.stages for step in flatten(stage.operation, input_shapes(net, stage)).idle]
    return sum(step.primitive.learned(step.in_shape) for step in steps if step.primitive is not None)


def agrees(net: Net) -> None:
    graph = net.graph
    assert nx.is_directed_acyclic_graph(graph)
    values = list(graph.nodes.values())
    assert sum(node["params"] for node in values) + idle(net) == net.cost.params == net.stats().params
    assert longest(net) == net.cost.depth
    if not idle(net):
        assert sum(node["macs"] for node in values) == net.cost.macs
    for name, node in graph.nodes.items():
        places = sorted(place for *_, place in graph.in_edges(name, data="place"))
        assert places == list(range(len(places)))
        assert (node["kind"] == "input") == (not places) == (name == "input")
        assert node["kind"] == "primitive" or node["op"] == node["kind"]
    assert sum(stage.params for stage in net.stats().stages) == net.cost.params
    assert sum(stage.macs for stage in net.stats().stages) == net.cost.macs
    cells = {cell.graph["name"]: cell for cell in net.cells}
    for stage in net.stats().stages:
        if stage.name in cells:
            cell = cells[stage.name]
            assert nx.is_directed_acyclic_graph(cell)
            edges = [data for *_, data in cell.edges(data=True)]
            assert sum(edge["params"] for edge in edges) == cell.graph["params"] == stage.params
            assert sum(edge["macs"] for edge in edges) == cell.graph["macs"] == stage.macs
            assert cell.graph["shape"] == stage.shape == cell.nodes["out"]["shape"]
            assert all(
                cell.nodes[first]["index"] + 1 == cell.nodes[second]["index"]
                for first, second in pairwise(cell.graph["order"])
            )


@pytest.mark.parametrize("name", NETS)
def test_graphs_agree_with_sizes(name: str) -> None:
    agrees(load(name))


def test_the_depths_of_known_nets() -> None:
    """Their names say it, but for WRN-28, which counts three shortcuts and leaves the linear layer out."""
    assert {name: load(name).cost.depth for name in ("resnet18", "resnet50", "densenet121", "wrn28_10")} == {
        "resnet18": 18, "resnet50": 50, "densenet121": 121, "wrn28_10": 26,
    }  # fmt: skip


def test_depth_follows_each_input_of_a_cell() -> None:
    """The younger input is deeper, but its own path through the cell is shorter."""
    definitions = """
        cell c {
            in p, q
            p -> a : conv(3) | conv(3) | conv(3)
            q -> a : relu
            a -> out
        }
        """
    net = net_of("conv(3)\nconv(3) | conv(3)\nc", definitions)
    assert net.cost.depth == longest(net) == 4


@st.composite
def _nets(draw: st.DrawFn) -> Net:
    space = _SPACE
    choices: list[Choice] = [
        tuple(draw(st.sampled_from(edge.options)) for edge in pick.opens) for pick in space.picks
    ]
    return space.choose(choices)


_SPACE = load_space(
    """
    use robnet
    cell mixed {
        in p, q
        p -> a : any { skip, conv(3) }
        q -> a : one { none, conv(1), sep_conv_3x3 }
        b = concat(a, q)
        b -> d : conv(1, 3)
        p, a -> d : any { skip, conv(3) }
        g = mul(d, d)
        dead = sum(a, p)
        g, d -> out : any { relu, conv(5) | sigmoid }
        dead -> deader : any { conv(3), skip }
    }
    space s {
        input 3 x 8 x 8
        conv(3, 3)
        repeat 4 { pick mixed }
        global_avg_pool | flatten | linear(10)
    }
    """
)


@settings(max_examples=25)
@given(_nets())
def test_graphs_of_any_choice_agree(net: Net) -> None:
    agrees(net)


def test_supernets_agree() -> None:
    agrees(_SPACE.supernet())
    agrees(load_space("cell_based", width=4, layers=5).supernet())


def test_what_the_graph_says_of_primitives() -> None:
    net = net_of("conv(3, 4, stride=2) | batch_norm(affine=false) | relu\npool: flatten | linear(5)")
    graph = net.graph
    assert list(graph) == [
        "input",
        "stage_0.conv_0",
        "stage_0.batch_norm_1",
        "stage_0.relu_2",
        "pool.flatten_0",
        "pool.linear_1",
    ]
    conv = graph.nodes["stage_0.conv_0"]
    assert conv["args"] == {
        "kernel": 3,
        "width": 4,
        "stride": 2,
        "padding": 1,
        "groups": 1,
        "dilation": 1,
        "bias": False,
    }
    assert (conv["op"], conv["kind"], conv["shape"], conv["params"], conv["macs"], conv["depth"]) == (
        "conv",
        "primitive",
        (4, 4, 4),
        108,
        1728,
        1,
    )
    assert conv["span"].text == "conv(3, 4, stride=2)" and conv["stage"] == "stage_0"
    assert (
        graph.nodes["input"]["shape"] == (3, 8, 8) and graph.nodes["input"]["span"].text == "input 3 x 8 x 8"
    )
    assert graph.graph == {"name": "test", "output": "pool.linear_1"}


def test_a_stage_may_be_called_image() -> None:
    graph = net_of("image: conv(3)\nrelu").graph
    assert list(graph) == ["input", "image", "stage_1"]


def test_identity_stages_are_no_values() -> None:
    graph = net_of("identity\nrelu | identity\nidentity").graph
    assert list(graph) == ["input", "stage_1.relu_0"] and graph.graph["output"] == "stage_1.relu_0"


def test_what_the_graph_says_of_cells() -> None:
    net = load_space("cell_based", width=4, layers=5).net("10 01 | 00 00 11 | 00 00 00 00 | 01 00 00 00 10")
    first, *_ = net.cells
    assert len(net.cells) == 5
    assert {key: first.graph[key] for key in ("name", "cell", "inputs", "sources", "pick", "alpha")} == {
        "name": "robnet_cell_1", "cell": "robnet_cell", "inputs": ("p", "q"), "sources": ("stage_0", "stage_0"), "pick": "c", "alpha": net.alpha[0],
    }  # fmt: skip
    assert first.graph["order"] == ("p", "q", "x0", "x1", "n0", "n1", "n2", "n3", "out")
    assert first.graph["arguments"] == {"width": 4, "stride": 1}
    chosen = {
        (source, target): (data["op"], data["choice"], data["direct"])
        for source, target, data in first.edges(data=True)
        if data["choice"]
    }
    assert chosen[("x1", "n0")] == ("sep_conv_3x3", (1, 1), True)
    assert chosen[("x0", "n3")] == ("sep_conv_3x3", (9, 1), False)
    assert (
        first.number_of_edges("n0", "n1") == 2
        and first.nodes["n2"]["role"] == "node"
        and first.nodes["out"]["join"] == "concat"
    )
    assert [first.edges[edge]["place"] for edge in first.in_edges("out", keys=True)] == [0, 1, 2, 3]


def test_operations_in_short() -> None:
    net = net_of(
        "c",
        "op named = relu\ncell c {\nin x\nx -> y : relu | (conv(3) + conv(1)) | named\nx -> y : named + sigmoid | relu\ny -> out\n}",
    )
    assert [data["op"] for *_, data in net.cells[0].edges(data=True)] == [
        "relu | (conv + conv) | named",
        "named + (sigmoid | relu)",
        "identity",
    ]


def test_statistics_of_choices() -> None:
    net = load("robnet_free")
    stats = net.stats()
    assert len(stats.choices) == 20 and stats.choices[3].stages == ("robnet_cell_4",)
    for cell, choice in zip(net.cells, stats.choices, strict=True):
        edges = [data for *_, data in cell.edges(data=True) if data["choice"] is not None]
        for name in ("skip", "sep_conv_3x3"):
            assert choice.counts[name] == sum(edge["op"] == name for edge in edges)
            assert choice.direct[name] == sum(edge["op"] == name and edge["direct"] for edge in edges)
        assert choice.density == len(edges) / 28
    shared = load("robnet_large").stats()
    assert len(shared.choices) == 1 and len(shared.choices[0].stages) == 20
    assert load("resnet18").stats().density is None
