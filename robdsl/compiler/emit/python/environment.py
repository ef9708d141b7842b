"""Constructor parameters, found by comparing all the places where a class is used.

What the text writes as an expression of its parameters is written as that expression. Else a number that is the same
everywhere is written as it is, and one that varies becomes a parameter of its own. No arithmetic is ever made up, and
whatever is written holds for every place where the class is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from robdsl.compiler.emit.python.amounts import Amount, Values, constant, literal, same
from robdsl.compiler.emit.python.helpers import names_in
from robdsl.compiler.emit.python.names import Names, plain
from robdsl.compiler.emit.python.source_text import Said, SourceText
from robdsl.graph.values import Value
from robdsl.syntax import nodes


@dataclass
class Environment:
    """What can be spoken of inside a constructor, or in a branch of it that only some instances take.

    Attributes:
        names: what means something already.
        count: how many instances there are.
        places: those that take this branch.
        values: by parameter, its value in each instance of all. Only those in `used` become parameters.
        words: the parameters that are arguments in the text, as opposed to sizes of inputs, with their names there.
        text: what the definition says; None outside of definitions.
        heights: by input, the height of its maps in each instance, where all are maps.
    """

    names: Names
    count: int
    places: Sequence[int] = ()
    values: dict[str, Values] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    text: SourceText | None = None
    heights: Mapping[str, Sequence[int]] = field(default_factory=dict)
    used: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.places = self.places or range(self.count)

    def at(self, places: Sequence[int]) -> Environment:
        """The environment in a branch that only these instances take."""
        return replace(self, places=places)

    def add(self, name: str, values: Sequence[Value], *, word: bool = False) -> str:
        """Makes values known under a name like the given one; they become a parameter when they are used.

        Args:
            name: the parameter's, or nearly so.
            values: one for each instance that gets here; what the others are given does not matter.
            word: whether it is a parameter of the text.
        """
        parameter = self.names.variable(name)
        whole = [values[0]] * self.count
        for place, value in zip(self.places, values, strict=True):
            whole[place] = value
        self.values[parameter] = tuple(whole)
        if word:
            self.words[parameter] = name
        return parameter

    def use(self, code: str) -> str:
        """Says that code is written, so that the parameters in it are needed."""
        self.used.update(dict.fromkeys(sorted(names_in(code) & self.values.keys())))
        return code

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters that were used, in the order in which they became known."""
        return tuple(name for name in self.values if name in self.used)

    @property
    def known(self) -> dict[str, Values]:
        """The values of the instances that get here, those of the text first."""
        ordered = sorted(self.values, key=lambda name: name not in self.words)
        return {name: tuple(self.values[name][place] for place in self.places) for name in ordered}

    def reads(self, definition: nodes.Definition, channels: Callable[[str], Amount | None]) -> None:
        """Gives the environment the text of its definition; ``channels`` are those of its inputs and nodes."""
        parameters = {name: parameter for parameter, name in self.words.items()}
        self.text = SourceText(definition, parameters, self.values, channels)

    def said(self, expression: nodes.Expr | None, entering: Amount | None = None) -> Said | None:
        """What an expression of the text is in code; None where there is none, or it cannot be said."""
        if expression is None or self.text is None:
            return None
        return self.text.say(expression, self.places, entering)

    def word_for(self, values: Values) -> Amount | None:
        """A parameter of the text that has these values."""
        found = next((name for name in self.words if same(self.values[name], values)), None)
        return None if found is None else Amount(values, found)

    def write(self, values: Sequence[Value], name: str, said: Said | None = None) -> str:
        """Code for a setting.

        Args:
            values: one for each instance that gets here.
            name: what a parameter of its own would be called.
            said: what the text has for it.
        """
        return self._written(tuple(values), name, said, None).text or ""

    def amount(
        self, values: Sequence[Value], name: str, said: Said | None = None, hint: Amount | None = None
    ) -> Amount:
        """As `write`, for channels or features, which may be those of another value: ``hint``."""
        return self._written(tuple(values), name, said, hint or Amount(()))

    def _written(self, wanted: Values, name: str, said: Said | None, hint: Amount | None) -> Amount:
        if said is not None and same(said.values, wanted):
            return Amount(wanted, self.use(said.code), said.binds)
        if hint is not None and hint.text is not None and same(hint.values, wanted):
            return Amount(wanted, self.use(hint.text), hint.binds)
        if constant(wanted):
            return Amount(wanted, literal(wanted[0]))
        for known, value in self.known.items():
            alike = hint is not None if known in self.words else known.startswith(plain(name))
            if alike and same(value, wanted):
                return Amount(wanted, self.use(known))
        return Amount(wanted, self.use(self.add(name, wanted)))
