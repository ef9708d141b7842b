"""The names of stages: labels, numbered inside repeats, and names made up for the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Label
from robdsl.graph.values import Fault
from robdsl.syntax import nodes


class StageNames:
    """Gives every stage its name as a net is elaborated from top to bottom.

    A label names its stage; inside a `repeat` without a label it is numbered, turn by turn (``conv.0``,
    ``conv.1``). Below the turns of a labelled `repeat` (``layer1.0``) labels come after the turn's name
    (``layer1.0.conv``), other stages are numbered (``layer1.0.1``), and a stage that is the whole of the `repeat` is
    the turn (``layer1.0``). A stage without a label elsewhere is called after what it is and where it
    stands: ``robnet_cell_3``, ``stage_0``.
    """

    def __init__(self, net: nodes.NetDefinition) -> None:
        self._labels = {each.name for each in _labels(net.body)}
        self._first: dict[str, nodes.Ident] = {}
        self._counts: Counter[str] = Counter()
        self._stages = 0
        #: The name of the turn that we are in; whether one stage is the whole turn; whether labels are numbered.
        self._prefix, self._alone, self._numbered = "", False, False

    def name(self, label: nodes.Ident | None, kind: str) -> str:
        """The name of the next stage; raises `Fault` when its label names another."""
        number = self._stages
        self._stages += 1
        if label is not None:
            return self._labelled(label)
        if self._prefix and self._alone:
            return self._prefix
        if self._prefix:
            return self._counted(self._prefix)
        name = f"{kind}_{number}"
        while name in self._labels:
            name += "_"
        return name

    @contextmanager
    def turn(self, repeat: nodes.Repeat) -> Iterator[None]:
        """One turn of a `repeat`."""
        before = self._prefix, self._alone, self._numbered
        if repeat.label is None:
            self._alone, self._numbered = False, True
        else:
            self._numbered = True
            self._prefix = self._labelled(repeat.label)
            self._alone, self._numbered = _is_one_stage(repeat), False
        try:
            yield
        finally:
            self._prefix, self._alone, self._numbered = before

    def _labelled(self, label: nodes.Ident) -> str:
        name = f"{self._prefix}.{label.name}" if self._prefix else label.name
        first = self._first.setdefault(name, label)
        if first.span != label.span:
            related = [Label(first.span, "the first")]
            raise Fault(codes.STAGE_NAME.at(label.span, related=related, name=label.name))
        return self._counted(name) if self._numbered else name

    def _counted(self, name: str) -> str:
        number = self._counts[name]
        self._counts[name] += 1
        return f"{name}.{number}"


def _labels(body: tuple[nodes.NetStatement, ...]) -> Iterator[nodes.Ident]:
    for each in body:
        if isinstance(each, nodes.Stage | nodes.PickStage | nodes.Repeat) and each.label is not None:
            yield each.label
        if isinstance(each, nodes.Repeat):
            yield from _labels(each.body)


def _is_one_stage(repeat: nodes.Repeat) -> bool:
    """Whether each turn is one stage without a label of its own."""
    stages = [each for each in repeat.body if not isinstance(each, nodes.Let | nodes.Require)]
    return (
        len(stages) == 1 and isinstance(stages[0], nodes.Stage | nodes.PickStage) and stages[0].label is None
    )
