"""Counting and drawing the nets of a space, against going through all of them."""

from __future__ import annotations

import math
import random
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

import robdsl
from robdsl.diagnostics.diagnostic import RobError
from robdsl.graph.net import Net, Space, broken_rules
from robdsl.graph.operations import Choice
from robdsl.graph.sampling import Counter, Uncountable, uniform_below

Choices = tuple[Choice, ...]


def everything(space: Space) -> Iterator[Choices]:
    """All choices, whether they obey the rules or not."""
    return product(*(tuple(product(*(edge.options for edge in pick.opens))) for pick in space.picks))


def obeying(space: Space) -> list[Choices]:
    """The choices that break no rule, by checking the net of each."""

    def breaks(choices: Choices) -> bool:
        return any(broken_rules(Net("net", space.layout, choices), lambda index: None))

    return [choices for choices in everything(space) if not breaks(choices)]


def exact_chances(space: Space, monkeypatch: pytest.MonkeyPatch) -> dict[Choices, Fraction]:
    """The exact distribution of draws, by following every way that the random numbers can fall."""
    counter = Counter(space.layout)
    way: tuple[int, ...] = ()
    taken: list[list[Fraction]] = []

    def decide(chances: list[Fraction]) -> int:
        assert sum(chances) == 1
        taken.append(chances)
        return (
            way[len(taken) - 1]
            if len(taken) <= len(way)
            else next(i for i, chance in enumerate(chances) if chance)
        )

    def weighted(weights: Iterable[int], total: int, below: object) -> int:
        return decide([Fraction(weight, total) for weight in weights])

    for module in ("counting", "path_counting", "tied_picks"):
        monkeypatch.setattr(f"robdsl.graph.{module}.weighted", weighted)
    monkeypatch.setattr(
        "robdsl.graph.sampling.uniform_below", lambda rng: lambda n: decide([Fraction(1, n)] * n)
    )
    found: dict[Choices, Fraction] = {}
    ways: list[tuple[int, ...]] = [()]
    while ways:
        way = ways.pop()
        taken.clear()
        drawn = counter.draw()
        went = [*way]
        for place in range(len(way), len(taken)):
            first = next(i for i, chance in enumerate(taken[place]) if chance)
            ways += [(*went, i) for i, chance in enumerate(taken[place]) if chance and i != first]
            went.append(first)
        chance = math.prod(chances[i] for chances, i in zip(taken, went, strict=True))
        found[drawn] = found.get(drawn, Fraction(0)) + chance
    return found


# --- random small spaces

OPERATIONS = """
op one_by_one(stride=1) = conv(1, stride=stride)
op three_by_three(stride=1) = conv(3, stride=stride)
op deep(stride=1) = conv(3, stride=stride) | conv(3)
op pool = max_pool(3, 1, 1)
"""
ALTERNATIVES = ("identity", "relu", "one_by_one", "three_by_three", "deep", "pool")
COMPARE = ("<", "<=", ">", ">=", "==", "!=")


@st.composite
def cells(draw: st.DrawFn, name: str, inputs: int) -> tuple[str, list[str], list[str]]:
    """A cell with a few open edges: its text, what it offers, and nodes that open edges go to."""
    entering = ["p", "q"][:inputs]
    inner = [f"n{index}" for index in range(draw(st.integers(0, 2)))]
    before = list(entering)
    lines, offered, targets = [f"in {', '.join(entering)}"], set(), set()
    for node in [*inner, "out"]:
        for source in draw(st.lists(st.sampled_from(before), min_size=1, max_size=2)):
            kind = draw(st.sampled_from(("any", "one", "closed")))
            operations = draw(st.lists(st.sampled_from(ALTERNATIVES), min_size=1, max_size=2, unique=True))
            if kind == "closed":
                lines.append(f"{source} -> {node} : {operations[0]}")
                continue
            none = ["none"] if kind == "one" and draw(st.booleans()) else []
            lines.append(f"{source} -> {node} : {kind} {{ {', '.join([*none, *operations])} }}")
            offered.update(operations)
            targets.add(node)
        before.append(node)
    if not targets:
        lines.append("p -> out : any { relu, one_by_one }")
        offered.update(("relu", "one_by_one"))
        targets.add("out")
    body = "\n    ".join(lines)
    return f"cell {name} {{\n    {body}\n}}", sorted(offered), sorted(targets)


@st.composite
def small_spaces(draw: st.DrawFn) -> Space:
    made = {"two": draw(cells("two", 2)), "single": draw(cells("single", 1))}
    stages, named = ["conv(1, 2)"], {}
    for _ in range(draw(st.integers(1, 3))):
        cell = draw(st.sampled_from(sorted(made)))
        kind = draw(st.sampled_from(("pick", "named", "chain")))
        if kind == "pick":
            stages.append(f"pick {cell}")
        else:
            named[f"{cell[0]}"] = cell
            call = cell[0]
            stages.append(f"{call} | conv(1) + relu" if kind == "chain" and cell == "single" else call)
    declared = [f"pick {name} : {cell}" for name, cell in named.items()]
    numbers = [
        (str(index), each.split()[1]) for index, each in enumerate(s for s in stages if s.startswith("pick"))
    ]
    targets = [
        *numbers,
        *named.items(),
        *((cell, cell) for cell in {*named.values(), *(c for _, c in numbers)}),
    ]
    measures = []
    for target, cell in targets:
        _, offered, into = made[cell]
        measures.append(f"density({target})")
        measures += [
            f"{function}({target}, {op})" for function in ("count", "direct", "skips") for op in offered
        ]
        measures += [f"indegree({target}.{node})" for node in into]
    measures += ["params", "macs", "depth"]

    def condition() -> str:
        measure = draw(st.sampled_from(measures))
        bound = {
            "params": st.integers(8, 120),
            "macs": st.integers(100, 2000),
            "depth": st.integers(1, 8),
        }.get(measure, st.integers(0, 3))
        if measure.startswith("density"):
            return f"{measure} {draw(st.sampled_from(COMPARE[:4]))} 0.{draw(st.integers(1, 9))}"
        if draw(st.booleans()) and measure not in ("params", "macs", "depth"):
            other = draw(
                st.sampled_from([each for each in measures if each not in ("params", "macs", "depth")])
            )
            measure = f"{measure} {draw(st.sampled_from('+-'))} {other}"
        return f"{measure} {draw(st.sampled_from(COMPARE))} {draw(bound)}"

    rules = []
    for _ in range(draw(st.integers(0, 3))):
        rule = condition()
        if draw(st.booleans()):
            rule = f"{rule} {draw(st.sampled_from(('and', 'or')))} {condition()}"
        rules.append(f"require {rule}")
    body = "\n    ".join(["input 1 x 4 x 4", *declared, *stages, *rules])
    cells_text = "\n".join(text for text, _, _ in made.values())
    return robdsl.load_space(f"{OPERATIONS}{cells_text}\nspace small {{\n    {body}\n}}\n")


def small_enough(space: Space, most: int) -> bool:
    return math.prod(len(edge.options) for pick in space.picks for edge in pick.opens) <= most


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@given(space=small_spaces(), seed=st.integers(0, 2**32))
def test_counts_and_draws_agree_with_going_through_all(space: Space, seed: int) -> None:
    if not small_enough(space, 1500):
        return
    allowed = set(obeying(space))
    counter = Counter(space.layout)
    assert counter.total == space.size() == len(allowed)
    rng = random.Random(seed)
    if allowed:
        assert all(counter.draw(rng) in allowed for _ in range(20))
    else:
        with pytest.raises(ValueError, match="no net"):
            counter.draw(rng)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[
        HealthCheck.filter_too_much,
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
    ],
)
@given(space=small_spaces())
def test_every_choice_has_exactly_the_same_chance(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    if not small_enough(space, 1500):
        return
    allowed = obeying(space)
    if 0 < len(allowed) <= 200:
        assert exact_chances(space, monkeypatch) == dict.fromkeys(allowed, Fraction(1, len(allowed)))


MIX = """
cell mix(stride=1) {
    in p, q
    p -> x   : if p.height > q.height then one_by_one(2) else relu
    x -> a   : any { skip(stride), three_by_three(stride) }
    q -> a   : one { none, one_by_one(stride), deep(stride) }
    a -> out : one { identity, one_by_one }
    q -> out : one { zero(stride), one_by_one(stride) }
}

op skip(stride) = if stride == 1 then identity else one_by_one(stride)
"""


def mixed(*rules: str) -> Space:
    """Two picks, one of them of cells that differ, under rules."""
    required = "\n".join(f"require {rule}" for rule in rules)
    stages = "conv(1, 2)\nc\nc(2)\npick mix\nc\nglobal_avg_pool | flatten | linear(2)"
    return robdsl.load_space(
        f"{OPERATIONS}{MIX}\nspace mixed {{\ninput 2 x 8 x 8\npick c : mix\n{stages}\n{required}\n}}"
    )


@pytest.mark.parametrize(
    "rules",
    [
        (),
        ("density(c) > 0.5",),
        ("density(mix) > 0.4",),
        ("count(c, one_by_one) == count(0, one_by_one)",),
        ("params <= 100",),
        ("params in 60..110", "macs <= 1.4k"),
        ("depth <= 5",),
        ("depth in 4..6", "indegree(mix.a) == 2"),
        ("depth > 12 or params < 20", "count(c, skip) + count(0, skip) == 1"),
        ("macs <= 350",),
        ("params == 18 and depth == 3",),
        ("macs < 300",),
    ],
)
def test_rules_of_every_kind(rules: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    space = mixed(*rules)
    allowed = obeying(space)
    assert space.size() == len(allowed)
    assert (len(allowed) < 48**2) == bool(rules)
    if 0 < len(allowed) <= 200:
        assert exact_chances(space, monkeypatch) == dict.fromkeys(allowed, Fraction(1, len(allowed)))


def test_a_space_with_nothing_to_choose_has_one_net_or_none() -> None:
    text = "space still {{\ninput 1 x 2 x 2\nconv(1, 3)\nrequire params {}\n}}"
    assert robdsl.load_space(text.format("== 3")).size() == 1
    assert robdsl.load_space(text.format("== 3")).sample(0).alpha == []
    assert robdsl.load_space(text.format("> 3")).size() == 0
    with pytest.raises(ValueError, match="no net of the space `still` obeys its rules"):
        robdsl.load_space(text.format("> 3")).sample(0)


# --- the spaces of the paper


def test_sizes_of_the_spaces_of_the_paper() -> None:
    assert robdsl.load_space("cell_based").size() == 4**14 - 1 == 268_435_455
    assert robdsl.load_space("cell_free").size() == (4**14 - 1) ** 20


def convolutions(low: int, high: int) -> int:
    """How many cells have that many convolutions on their 14 edges, skips as they may."""
    return sum(math.comb(14, count) for count in range(low, high + 1)) * 2**14


def test_budgets_split_the_cell_based_space() -> None:
    sizes = [robdsl.load_space(f"cell_based_{name}").size() for name in ("small", "medium", "large")]
    assert sizes == [convolutions(0, 7) - 1, convolutions(8, 10), convolutions(11, 14)]
    assert sum(sizes) == 4**14 - 1


def test_the_size_of_darts() -> None:
    """Two inputs a node, seven operations on each: Liu et al. 2019, section 3.1."""
    a_cell = math.prod(math.comb(sources, 2) for sources in (2, 3, 4, 5)) * 7**8
    assert robdsl.load_space("darts").size() == a_cell**2


def test_a_budget_of_parameters_in_the_cell_based_space() -> None:
    """Parameters depend on the number of convolutions, and of skips where a cell reduces: on the eight edges from x0, x1."""
    space = robdsl.load_space(
        "use spaces.cell_based\nspace lean in cell_based {\n    require params <= 5.5M\n}\n"
    )
    whole = robdsl.load_space("cell_based")
    reducing = [place for place, edge in enumerate(whole.picks[0].opens) if edge.source in ("x0", "x1")]
    assert len(reducing) == 8
    wanted = 0
    for convs, skips in product(range(15), range(9)):
        if (convs, skips) == (0, 0):
            wanted += 2**6 - 1  # the cell without any edge breaks `density(c) > 0`
            continue
        with_skip = set(reducing[:skips])
        example = tuple((0,) * (place in with_skip) + (1,) * (place < convs) for place in range(14))
        if whole.choose([example]).cost.params <= 5_500_000:
            wanted += math.comb(14, convs) * math.comb(8, skips) * 2**6
    assert space.size() == wanted
    rng = random.Random(0)
    assert all(space.sample(rng).cost.params <= 5_500_000 for _ in range(100))


def test_a_budget_of_parameters_over_twenty_picks() -> None:
    space = robdsl.load_space(
        "use spaces.cell_free\nspace lean in cell_free {\n    require params <= 3.5M\n}\n"
    )
    unbound = robdsl.load_space("cell_free")
    share = Fraction(space.size(), unbound.size())
    rng = random.Random(0)
    within = sum(unbound.sample(rng).cost.params <= 3_500_000 for _ in range(300))
    assert stats.binomtest(within, 300, float(share)).pvalue > 1e-4
    assert space.sample(1).cost.params <= 3_500_000


# --- draws


def chi_square(seen: Tally[int], expected: dict[int, Fraction]) -> float:
    """The p-value of draws under the intended distribution; classes that hardly occur are joined."""
    total = seen.total()
    assert set(seen) <= set(expected)
    rare = {key for key, chance in expected.items() if chance * total < 10}
    kept = [key for key in expected if key not in rare]
    observed = [seen[key] for key in kept]
    wanted = [float(expected[key] * total) for key in kept]
    if sum(expected[key] for key in rare) * total >= 5:
        observed.append(sum(seen[key] for key in rare))
        wanted.append(float(sum(expected[key] for key in rare) * total))
    else:
        wanted = [each * sum(observed) / sum(wanted) for each in wanted]
    return float(stats.chisquare(observed, wanted).pvalue)


def test_draws_from_a_small_space_are_uniform() -> None:
    space = mixed("count(c, one_by_one) + count(0, one_by_one) == 2", "depth <= 7")
    counter = Counter(space.layout)
    place = {choices: index for index, choices in enumerate(obeying(space))}
    rng = random.Random(7)
    seen = Tally(place[counter.draw(rng)] for _ in range(100_000))
    assert chi_square(seen, dict.fromkeys(place.values(), Fraction(1, len(place)))) > 1e-4


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("cell_based", 0, 14),
        ("cell_based_small", 0, 7),
        ("cell_based_medium", 8, 10),
        ("cell_based_large", 11, 14),
    ],
)
def test_draws_have_the_exact_marginals_of_each_budget(name: str, low: int, high: int) -> None:
    counter = Counter(robdsl.load_space(name).layout)
    rng = random.Random(11)
    drawn = [counter.draw(rng)[0] for _ in range(100_000)]
    empty = int(low == 0)  # the cell without any edge breaks `density(c) > 0`
    total = convolutions(low, high) - empty
    convs = {
        count: Fraction(math.comb(14, count) * 2**14 - (empty if count == 0 else 0), total)
        for count in range(low, high + 1)
    }
    assert chi_square(Tally(sum(1 in chosen for chosen in choice) for choice in drawn), convs) > 1e-4
    skips = {
        count: Fraction(
            math.comb(14, count) * convolutions(low, high) // 2**14 - (empty if count == 0 else 0), total
        )
        for count in range(15)
    }
    assert chi_square(Tally(sum(0 in chosen for chosen in choice) for choice in drawn), skips) > 1e-4
    edges = Tally(chosen for choice in drawn for chosen in choice[13:14])
    expected = sum(count * convs[count] for count in convs) / 14
    assert stats.binomtest(edges[(1,)] + edges[(0, 1)], len(drawn), float(expected)).pvalue > 1e-4


def test_picks_of_the_cell_free_space_are_independent() -> None:
    counter = Counter(robdsl.load_space("cell_free").layout)
    rng = random.Random(3)
    drawn = [counter.draw(rng) for _ in range(4_000)]
    pairs = Tally((len(net[3][0]) > 0) * 2 + (len(net[17][13]) == 2) for net in drawn)
    expected = {0: Fraction(3, 16), 1: Fraction(1, 16), 2: Fraction(9, 16), 3: Fraction(3, 16)}
    assert chi_square(pairs, expected) > 1e-4


def test_the_same_seed_gives_the_same_net() -> None:
    space = robdsl.load_space("cell_free", width=8)
    assert space.sample(5).alpha == space.sample(5).alpha == space.sample(random.Random(5)).alpha
    assert space.sample(5).alpha != space.sample(6).alpha
    numbers = [space.sample(np.random.default_rng(5)).alpha for _ in range(2)]
    assert numbers[0] == numbers[1] != space.sample(np.random.default_rng(6)).alpha
    assert space.sample().alpha != space.sample().alpha


@pytest.mark.parametrize("n", [2, 6, 255, 256, 257, 10**40 + 1])
@pytest.mark.parametrize("source", [random.Random, np.random.default_rng])
def test_random_integers_of_any_size_are_uniform(n: int, source: Callable[[int], random.Random]) -> None:
    below = uniform_below(source(2))
    drawn = [below(n) for _ in range(20_000)]
    assert 0 <= min(drawn) <= max(drawn) < n
    parts = min(n, 7)
    seen = Tally(each * parts // n for each in drawn)
    sizes = [-(-(part + 1) * n // parts) - -(-part * n // parts) for part in range(parts)]
    assert chi_square(seen, {part: Fraction(size, n) for part, size in enumerate(sizes)}) > 1e-4


# --- what cannot be counted


def test_a_choice_of_many_alternatives() -> None:
    offered = ", ".join(f"conv({2 * index + 1})" for index in range(12))
    cell = f"cell wide {{\nin x\nx -> out : any {{ {offered} }}\n}}"
    space = robdsl.load_space(
        f"{cell}\nspace s {{\ninput 1 x 4 x 4\npick wide\npick wide\nrequire count(0, conv(3)) == 1\n}}"
    )
    assert space.size() == 2**11 * 2**12
    assert {space.sample(seed).alpha[0][1] for seed in range(9)} == {"1"}


def test_rules_that_tie_everything_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robdsl.graph.tied_picks.MAX_STATES", 10_000)
    text = "use spaces.cell_free\nspace tied in cell_free {\n    require params <= 5.5M and macs <= 700M\n}\n"
    with pytest.raises(Uncountable, match="the rules tie 20 picks together"):
        robdsl.load_space(text).size()


def test_a_rule_without_a_value_is_an_error_of_the_text() -> None:
    space = mixed("6 // count(c, skip) > 3")
    with pytest.raises(RobError, match="division by zero"):
        space.size()
