"""A canonical order of the values of a net: the same for isomorphic graphs, whatever their values are called.

1. Values get colours that say what they are, what they are made of and what they are for: colour refinement, down and
   up along the levels of the graph until no class splits. In most nets no two values share a colour, and the order
   of colours is the order.
2. What is left falls into pieces that touch each other only in ways that their colours tell, such as parallel branches.
   Each piece is put in order by itself; equal pieces may stand in any order.
3. In a piece where every value has a double, one double is set apart and the rest refined, for each in turn, and the least
   result is taken. Doubles that a symmetry already met maps to each other are tried once, and whether a double is the
   same as one that was tried is seen from a single way down (after McKay and Piperno, "Practical graph
   isomorphism, II", 2014, section 2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise
from typing import Literal

from robdsl.graph.normal_form import NormalForm

#: How many values may be coloured, all rounds together: for each value of the net, and in any case.
WORK_PER_VALUE = 32
MAX_WORK = 3_000_000
#: How often doubles may be set apart within one another.
MAX_DEPTH = 150

#: A value, and what it is for another one: how often it occurs, or where.
_Link = tuple[bytes, int]
_Links = Mapping[int, Sequence[_Link]]
_Colours = dict[int, bytes]
#: What must be found: the least order; any of those that the least class of doubles leads to; any that can be reached.
_Wanted = Literal["least", "fair", "any"]


class TooSymmetric(Exception):
    """A net has so many doubles, so entangled, that no canonical order is found with bounded work.

    Parallel branches, grids of them and whatever else people write are far from it; graphs made to be hard reach it.
    """


def canonical_order(form: NormalForm) -> list[int]:
    """The values of a net in an order that isomorphic graphs share.

    Raises:
        TooSymmetric: a bound was hit.
    """
    users: list[list[_Link]] = [[] for _ in form.labels]
    operands: list[list[_Link]] = []
    levels: list[int] = []
    for value, made_of in enumerate(form.operands):
        operands.append([(_role(role), operand) for operand, role in made_of])
        for role, operand in operands[-1]:
            users[operand].append((role, value))
        levels.append(1 + max((levels[operand] for operand, _ in made_of), default=0))
    values = sorted(range(len(levels)), key=levels.__getitem__)
    colours = {value: _digest(label) for value, label in enumerate(form.labels)}
    colours[form.output] = _digest(b"out", colours[form.output])
    whole = _Part(values, dict(enumerate(operands)), dict(enumerate(users)))
    search = _Search(max(MAX_WORK, WORK_PER_VALUE * len(values)))
    search.refine(whole, colours)
    return search.solve(whole, colours, "least").order


def _digest(*parts: bytes) -> bytes:
    return blake2b(b"".join(parts), digest_size=16).digest()


@lru_cache(maxsize=4096)
def _role(role: bytes) -> bytes:
    """A role, in as many bytes as any other."""
    return blake2b(role, digest_size=8).digest()


@dataclass(frozen=True, eq=False)
class _Part:
    """Some of the values, and links among them.

    Attributes:
        values: by level: what a value is made of comes before it.
        operands, users: the links. What is linked in one way for all values of two colours may be left out.
    """

    values: Sequence[int]
    operands: _Links
    users: _Links


@dataclass(frozen=True, eq=False)
class _Solution:
    """A part in order.

    Attributes:
        swaps: symmetries of the part that were met: where each value goes that does not stay.
        certain: whether all doubles of each class that was tried are the same, so that any choice leads to this solution.
        fair: whether all doubles of each least class are.
    """

    order: list[int]
    swaps: list[dict[int, int]]
    certain: bool = True
    fair: bool = True


class _Search:
    def __init__(self, work: int) -> None:
        self._work = work
        self._depth = 0

    def refine(self, part: _Part, colours: _Colours) -> None:
        """Splits colours until values of one colour have operands and users of the same colours."""
        values, classes = part.values, 0
        while True:
            self._spend(len(values))
            _recolour(values, part.operands, colours)
            _recolour(values[::-1], part.users, colours)
            sizes = Counter([colours[value] for value in values])
            alone = sum(size == 1 for size in sizes.values())
            if len(sizes) == classes or alone == len(values):
                return
            values = [value for value in values if sizes[colours[value]] > 1]
            classes = len(sizes) - alone

    def _spend(self, values: int) -> None:
        self._work -= values
        if self._work < 0:
            raise TooSymmetric(
                "the net is too symmetric for a canonical hash: finding one takes too much work"
            )

    def solve(self, part: _Part, colours: _Colours, wanted: _Wanted) -> _Solution:
        """Puts a part in order whose colours are refined."""
        self._spend(len(part.values))
        classes: dict[bytes, list[int]] = {}
        for value in part.values:
            classes.setdefault(colours[value], []).append(value)
        order = [classes[colour][0] for colour in sorted(classes) if len(classes[colour]) == 1]
        if len(order) == len(part.values):
            return _Solution(order, [])
        pieces = _pieces(part, colours, classes)
        if len(pieces[0].values) == len(part.values):
            return self._set_apart(pieces[0], colours, classes, wanted)
        solved = [(piece, self.solve(piece, colours, wanted)) for piece in pieces]
        forms = sorted(
            (_form(piece, each.order, colours), place) for place, (piece, each) in enumerate(solved)
        )
        swaps = [swap for _, each in solved for swap in each.swaps]
        for (form, place), (next_form, next_place) in pairwise(forms):
            if form == next_form:
                pairs = zip(solved[place][1].order, solved[next_place][1].order, strict=True)
                swaps.append({a: b for pair in pairs for a, b in (pair, pair[::-1])})
        order += [value for _, place in forms for value in solved[place][1].order]
        certain = all(each.certain for _, each in solved)
        return _Solution(order, swaps, certain, all(each.fair for _, each in solved))

    def _set_apart(
        self, part: _Part, colours: _Colours, classes: Mapping[bytes, list[int]], wanted: _Wanted
    ) -> _Solution:
        """A part in which every value has a double: orders with one double set apart."""
        colour = max(classes, key=lambda each: (len(classes[each]), each))
        doubles = classes[colour]
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise TooSymmetric(
                f"the net is too symmetric for a canonical hash: doubles in doubles, {MAX_DEPTH} deep"
            )
        if wanted == "least":
            solution = self._least(part, colours, doubles)
        else:
            apart = [
                self._apart(part, colours, each) for each in (doubles if wanted == "fair" else doubles[:1])
            ]
            solution = self.solve(part, min(apart, key=_trace), wanted)
        self._depth -= 1
        return solution

    def _apart(self, part: _Part, colours: _Colours, double: int) -> _Colours:
        """The colours of a part, refined after one value was set apart from its doubles."""
        apart = {value: colours[value] for value in part.values}
        apart[double] = _digest(b"apart", apart[double])
        self.refine(part, apart)
        return apart

    def _least(self, part: _Part, colours: _Colours, doubles: Sequence[int]) -> _Solution:
        """The least solution over the doubles with the least trace; one is tried of those that a symmetry makes the same."""
        orbits = _Orbits(doubles)
        swaps: list[dict[int, int]] = []
        least = b""
        tried: dict[bytes, _Solution] = {}
        seen: list[int] = []
        for double in doubles:
            if any(orbits.same(double, each) for each in seen):
                continue
            seen.append(double)
            apart = self._apart(part, colours, double)
            trace = _trace(apart)
            if tried and trace > least:
                continue
            if trace != least:
                least, tried = trace, {}
            same = self._met(part, colours, apart, tried)
            if same is None:
                solution = self.solve(part, apart, "least")
                swaps += solution.swaps
                for swap in solution.swaps:
                    orbits.join(swap)
                same = tried.setdefault(_form(part, solution.order, colours), solution), solution.order
            swap = {a: b for a, b in zip(same[0].order, same[1], strict=True) if a != b}
            if swap:
                swaps.append(swap)
                orbits.join(swap)
        solution = tried[min(tried)]
        fair = len(tried) == 1 and solution.fair
        certain = fair and solution.certain and all(orbits.same(each, doubles[0]) for each in doubles)
        return _Solution(solution.order, swaps, certain, fair)

    def _met(
        self, part: _Part, colours: _Colours, apart: _Colours, tried: Mapping[bytes, _Solution]
    ) -> tuple[_Solution, list[int]] | None:
        """The solution that a part with one double set apart has in common with one that was tried, and its order here.

        It is found on a single way down, which is sure to lead there as long as solutions are fair. None if there is no such
        solution, or no way to be sure.
        """
        if not tried or not all(each.fair for each in tried.values()):
            return None
        certain = all(each.certain for each in tried.values())
        order = self.solve(part, apart, "any" if certain else "fair").order
        same = tried.get(_form(part, order, colours))
        return None if same is None else (same, order)


def _trace(colours: _Colours) -> bytes:
    """What colours say of a part, whichever values bear them."""
    return _digest(*sorted(colours.values()))


def _recolour(values: Sequence[int], links: _Links, colours: _Colours) -> None:
    """Colours values, in turn, by their colours and those of what they are linked to."""
    for value in values:
        linked = links[value]
        if len(linked) == 1:
            ((role, other),) = linked
            colours[value] = _digest(colours[value], role, colours[other])
        else:
            colours[value] = _digest(
                colours[value], *sorted([role + colours[other] for role, other in linked])
            )


def _form(part: _Part, order: Sequence[int], colours: _Colours) -> bytes:
    """Equal for two orders of parts if and only if one part can be laid over the other by them."""
    number = {value: place for place, value in enumerate(order)}
    rows = []
    for value in order:
        links = sorted((number[operand], role) for role, operand in part.operands[value])
        rows.append(b"%b%b" % (colours[value], b"".join(b"%d:%b" % link for link in links)))
    return _digest(b"\n".join(rows))


def _pieces(part: _Part, colours: _Colours, classes: Mapping[bytes, Sequence[int]]) -> list[_Part]:
    """What a part falls into without values that are alone in their colour, and without links that their colours tell."""
    values = [value for value in part.values if len(classes[colours[value]]) > 1]
    operands: dict[int, list[_Link]] = {value: [] for value in values}
    users: dict[int, list[_Link]] = {value: [] for value in values}
    leader = {value: value for value in values}

    def find(value: int) -> int:
        while leader[value] != value:
            leader[value] = leader[leader[value]]
            value = leader[value]
        return value

    for role, operand, user in _telling(part, colours, classes, values):
        operands[user].append((role, operand))
        users[operand].append((role, user))
        leader[find(operand)] = find(user)
    groups: dict[int, list[int]] = {}
    for value in values:
        groups.setdefault(find(value), []).append(value)
    return [
        _Part(each, {value: operands[value] for value in each}, {value: users[value] for value in each})
        for each in groups.values()
    ]


def _telling(
    part: _Part, colours: _Colours, classes: Mapping[bytes, Sequence[int]], values: Sequence[int]
) -> Iterator[tuple[bytes, int, int]]:
    """Links (role, operand, user) that are not what is usual between values of their colours.

    Where most values of two colours are linked, it is the missing links that tell.
    """
    between: dict[tuple[bytes, bytes], dict[bytes, list[tuple[int, int]]]] = {}
    for user in values:
        for role, operand in part.operands[user]:
            if len(classes[colours[operand]]) > 1:
                roles = between.setdefault((colours[operand], colours[user]), {})
                roles.setdefault(role, []).append((operand, user))
    for (above, below), roles in between.items():
        linked = {pair for pairs in roles.values() for pair in pairs}
        absent = len(classes[above]) * len(classes[below]) - len(linked)
        usual = max(roles, key=lambda role: (len(roles[role]), role))
        if absent < len(roles[usual]):
            missing = _role(b"no " + usual)
            for operand in classes[above]:
                for user in classes[below]:
                    if (operand, user) not in linked:
                        yield missing, operand, user
            del roles[usual]
        for role, pairs in roles.items():
            for operand, user in pairs:
                yield role, operand, user


class _Orbits:
    """Which values symmetries map to each other."""

    def __init__(self, values: Sequence[int]) -> None:
        self._leader = {value: value for value in values}

    def join(self, swap: Mapping[int, int]) -> None:
        for value in self._leader:
            there = self._find(swap.get(value, value))
            self._leader[there] = self._find(value)

    def same(self, a: int, b: int) -> bool:
        return self._find(a) == self._find(b)

    def _find(self, value: int) -> int:
        while self._leader[value] != value:
            value = self._leader[value]
        return value
