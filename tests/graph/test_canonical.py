"""The canonical hash, against networkx on small graphs and on texts that mean the same or do not."""

from __future__ import annotations

import random
from collections.abc import Callable

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import robdsl
from robdsl.graph import canonical_order
from robdsl.graph.canonical import TooSymmetric, hash_of
from robdsl.graph.normal_form import NormalForm

Links = list[list[tuple[int, bytes]]]


def form(labels: list[bytes], operands: Links) -> NormalForm:
    return NormalForm(tuple(labels), tuple(tuple(each) for each in operands), len(labels) - 1)


def as_graph(normal: NormalForm) -> nx.DiGraph[int]:
    graph: nx.DiGraph[int] = nx.DiGraph()
    for value, label in enumerate(normal.labels):
        graph.add_node(value, label=(label, value == normal.output))
    for value, operands in enumerate(normal.operands):
        graph.add_edges_from((operand, value, {"role": role}) for operand, role in operands)
    return graph


def renumbered(normal: NormalForm, rng: random.Random) -> NormalForm:
    """The same graph with its values in another order, operands still first."""
    graph = as_graph(normal)
    left = dict(graph.in_degree())
    ready = [value for value in left if not left[value]]
    order: list[int] = []
    while ready:
        order.append(ready.pop(rng.randrange(len(ready))))
        for user in graph.successors(order[-1]):
            left[user] -= 1
            if not left[user]:
                ready.append(user)
    new = {value: place for place, value in enumerate(order)}
    links = [[(new[operand], role) for operand, role in normal.operands[value]] for value in order]
    for each in links:
        rng.shuffle(each)
    return NormalForm(tuple(normal.labels[v] for v in order), tuple(map(tuple, links)), new[normal.output])


def layered(rng: random.Random) -> NormalForm:
    """A few layers of values that look alike, linked at random."""
    labels, before = [b"image"], [0]
    links: Links = [[]]
    chance = rng.choice((0.3, 0.5, 0.8))
    for _ in range(rng.randint(1, 3)):
        layer = []
        for _ in range(rng.randint(1, 4)):
            links.append(
                [(each, b"1") for each in before if rng.random() < chance] or [(rng.choice(before), b"1")]
            )
            labels.append(b"value")
            layer.append(len(labels) - 1)
        before = layer
    links.append([(each, b"1") for each in range(len(labels))])
    return form([*labels, b"sum"], links)


def incidence(graph: nx.Graph[int]) -> NormalForm:
    """A value for each node of a graph, and for each edge one that is made of its two nodes."""
    graph = nx.convert_node_labels_to_integers(graph)
    nodes, edges = graph.number_of_nodes(), list(graph.edges)
    links: Links = [[], *([(0, b"")] for _ in range(nodes))]
    links += [[(1 + a, b"1"), (1 + b, b"1")] for a, b in edges]
    links.append([(1 + nodes + place, b"1") for place in range(len(edges))])
    return form([b"image", *[b"conv"] * nodes, *[b"sum"] * len(edges), b"sum"], links)


def shrikhande() -> nx.Graph[int]:
    graph: nx.Graph[tuple[int, int]] = nx.Graph()
    for a in range(4):
        for b in range(4):
            graph.add_edges_from(((a, b), ((a + x) % 4, (b + y) % 4)) for x, y in ((0, 1), (1, 0), (1, 1)))
    return nx.convert_node_labels_to_integers(graph)


def test_hashes_are_equal_exactly_where_networkx_finds_an_isomorphism() -> None:
    rng = random.Random(1)
    forms = [layered(rng) for _ in range(90)]
    hashes = [hash_of(each) for each in forms]
    assert all(hash_of(renumbered(each, rng)) == known for each, known in zip(forms, hashes, strict=True))
    met = {True: 0, False: 0}
    for place, one in enumerate(forms):
        for other_place, other in enumerate(forms[:place]):
            if len(one.labels) == len(other.labels):
                same = nx.is_isomorphic(
                    as_graph(one), as_graph(other), lambda a, b: a == b, lambda a, b: a == b
                )
                assert same == (hashes[place] == hashes[other_place])
                met[same] += 1
    assert min(met.values()) > 20


ROOK = nx.line_graph(nx.complete_bipartite_graph(4, 4))


@pytest.mark.parametrize(
    "graph",
    [nx.petersen_graph(), nx.complete_graph(8), nx.cycle_graph(12), nx.frucht_graph(), ROOK, shrikhande()],
)
def test_symmetric_graphs_keep_their_hash_when_renumbered(graph: nx.Graph[int]) -> None:
    normal, rng = incidence(graph), random.Random(2)
    assert {hash_of(renumbered(normal, rng)) for _ in range(2)} == {hash_of(normal)}


def test_graphs_that_colours_cannot_tell_apart_have_different_hashes() -> None:
    triangles = nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))
    assert hash_of(incidence(triangles)) != hash_of(incidence(nx.cycle_graph(6)))
    assert hash_of(incidence(ROOK)) != hash_of(incidence(shrikhande()))


def test_hard_graphs_are_refused_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canonical_order, "MAX_WORK", 100)
    monkeypatch.setattr(canonical_order, "WORK_PER_VALUE", 1)
    with pytest.raises(TooSymmetric, match="too much work"):
        hash_of(incidence(nx.complete_graph(8)))


def net(body: str, before: str = "") -> str:
    return robdsl.load(f"{before}\nnet n {{\ninput 4 x 8 x 8\n{body}\n}}\n").hash


def cell(body: str) -> str:
    return net("c", f"cell c {{\nin x\n{body}\n}}")


SAME = {
    "names": (cell, "x -> a : conv(3)\na -> out : relu", "x -> b : conv(3)\nb -> out : relu"),
    "order of statements": (
        cell, "x -> out : conv(3)\nx -> out : conv(1)", "x -> out : conv(1)\nx -> out : conv(3)"
    ),
    "stages": (net, "conv(3) | relu", "conv(3)\nrelu"),
    "edges or a sum": (cell, "x -> out : conv(1)\nx -> out", "x -> a : conv(1)\nout = sum(a, x)"),
    "parallel or edges": (cell, "x -> out : conv(1) + relu", "x -> out : conv(1)\nx -> out : relu"),
    "nested sums": (
        cell, "x -> a : conv(1)\nx -> a\na, x -> out", "x -> a : conv(1)\na -> out\nx -> out\nx -> out"
    ),
    "depthwise": (net, "depthwise(3)", "conv(3, groups=4)"),
    "what a norm starts at": (net, "batch_norm", "batch_norm(weight=0)"),
    "zeros in a sum": (cell, "x -> out : relu\nx -> out : zero", "x -> out : relu"),
    "stateless values once": (
        cell, "x -> a : relu\nx -> b : relu\na -> out : conv(1)\nb -> out : conv(3)",
        "x -> a : relu\na -> out : conv(1)\na -> out : conv(3)",
    ),
}  # fmt: skip
DIFFERENT = {
    "arguments": (net, "conv(3)", "conv(1)"),
    "order of a chain": (net, "conv(3) | relu", "relu | conv(3)"),
    "order of a concat": (
        cell, "x -> a : relu\nx -> b : conv(1)\nout = concat(a, b)", "x -> a : relu\nx -> b : conv(1)\nout = concat(b, a)"
    ),
    "one convolution twice or two": (
        cell, "x -> a : conv(1)\na -> out\na -> out", "x -> out : conv(1)\nx -> out : conv(1)"
    ),
    "dropout is drawn anew": (
        cell, "x -> a : dropout(0.5)\na -> out\na -> out", "x -> out : dropout(0.5)\nx -> out : dropout(0.5)"
    ),
    "sum or product": (cell, "x -> a : relu\nout = sum(a, x)", "x -> a : relu\nout = mul(a, x)"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_texts_with_the_same_function_share_a_hash(name: str) -> None:
    write, one, other = SAME[name]
    assert write(one) == write(other)


@pytest.mark.parametrize("name", DIFFERENT)
def test_texts_with_different_functions_do_not(name: str) -> None:
    write, one, other = DIFFERENT[name]
    assert write(one) != write(other)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_renaming_and_reordering_a_cell_keeps_its_hash_and_a_mutation_changes_it(seed: int) -> None:
    rng = random.Random(seed)
    nodes = ["x", *(f"n{index}" for index in range(rng.randint(1, 4))), "out"]
    edges = [
        (rng.choice(nodes[:place]), nodes[place], rng.choice(("conv(1)", "conv(3)", "relu | conv(1)")))
        for place in range(1, len(nodes))
        for _ in range(rng.randint(1, 3))
    ]
    edges += [(node, "out", "conv(1)") for node in nodes[1:-1]]

    def text(name: Callable[[str], str]) -> str:
        return "\n".join(f"{name(a)} -> {name(b)} : {operation}" for a, b, operation in edges)

    known = cell(text(str))
    rng.shuffle(edges)
    names = dict(zip(nodes[1:-1], rng.sample(["k", "l", "m", "u", "v"], len(nodes) - 2), strict=True))
    assert cell(text(lambda name: names.get(name, name))) == known
    source, target, _ = edges[0]
    edges[0] = (source, target, "conv(5)")
    assert cell(text(str)) != known
