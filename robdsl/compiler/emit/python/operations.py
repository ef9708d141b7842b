"""An `op` of the text as a class, or as a function where arguments decide what is built."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from robdsl.compiler.emit.python.amounts import Amount, annotation
from robdsl.compiler.emit.python.conditions import split
from robdsl.compiler.emit.python.docstrings import docstring
from robdsl.compiler.emit.python.environment import Environment
from robdsl.compiler.emit.python.layers import constructor
from robdsl.compiler.emit.python.layout import Group, Item, lines, named_call
from robdsl.compiler.emit.python.library import Definition, Library
from robdsl.compiler.emit.python.names import Names
from robdsl.compiler.emit.python.specs import Instance, Layer, OpInstance, Parallel, Series, Spec, Use
from robdsl.graph.shapes import is_map
from robdsl.graph.values import ShapeValue


def define_operation(instances: Sequence[OpInstance], library: Library, names: Names) -> Definition | None:
    """The class or function of an operation; None when a person would not write one."""
    bodies = [library.plain(each.body) for each in instances]
    skeletons = [library.skeleton(body) for body in bodies]
    variants = [skeletons.index(each) for each in skeletons]
    alike = len(set(variants)) == 1
    if alike and _inline(bodies[0]):
        return None
    environment, entering = _environment(instances, names)
    writer = _OpWriter(instances, bodies, library, environment, entering)
    if alike:
        name = names.class_(instances[0].key.name, "Op")
        code = writer.class_(name)
    else:
        branches = split(environment, variants, entering)
        if branches is None:
            return None
        name = names.variable(instances[0].key.name)
        code = writer.function(name, variants, branches)
    return Definition(
        name,
        environment,
        instances[0].definition.parameters,
        frozenset([entering.text or ""]),
        {each: place for place, each in enumerate(instances)},
        code,
    )


def _inline(body: Spec) -> bool:
    """Whether an operation is so small that it is written out where it is used."""
    return isinstance(body, Use) or (isinstance(body, Layer) and not body.primitive.stateful)


def _environment(instances: Sequence[OpInstance], names: Names) -> tuple[Environment, Amount]:
    """What a constructor can speak of, and the channels that enter."""
    environment = Environment(names.inner(), len(instances))
    kind = "channels" if is_map(instances[0].in_shapes[0]) else "features"
    taken = {name for name, _ in instances[0].arguments}
    values = tuple(each.in_shapes[0][0] for each in instances)
    entering = Amount(values, environment.add(f"in_{kind}" if kind in taken else kind, values))
    add_arguments(environment, instances)
    environment.reads(instances[0].definition, lambda name: None)
    return environment, entering


def add_arguments(environment: Environment, instances: Sequence[Instance]) -> None:
    """Makes the parameters of the text known."""
    for place, (name, value) in enumerate(instances[0].arguments):
        if not isinstance(value, ShapeValue):
            environment.add(name, [each.arguments[place][1] for each in instances], word=True)


def parameter_list(environment: Environment) -> tuple[Item, ...]:
    """``width: int, stride: int``"""
    return tuple(Item(f"{name}: {annotation(environment.values[name])}") for name in environment.parameters)


@dataclass(frozen=True)
class _OpWriter:
    instances: Sequence[OpInstance]
    bodies: Sequence[Spec]
    library: Library
    environment: Environment
    entering: Amount

    def class_(self, name: str) -> list[str]:
        """A class whose instances are all built in one way."""
        composed = [body for body in self.bodies if isinstance(body, Series | Parallel)]
        if composed:
            base = "Chain" if isinstance(composed[0], Series) else "Sum"
            parts, _ = self.library.write_parts(composed, self.entering, self.environment)
            made = named_call("super().__init__", parts)
        else:
            code, _ = self.library.write(self.bodies, self.entering, self.environment)
            assert isinstance(code, Group) and isinstance(self.bodies[0], Layer)
            base = constructor(self.bodies[0])
            made = Group("super().__init__(", code.items)
        signature = Group("def __init__(", (Item("self"), *parameter_list(self.environment)))
        return [
            f"class {name}({base}):",
            *docstring(self._about(), 4),
            "",
            *lines(signature, 4, after=" -> None:"),
            *lines(made, 8),
        ]

    def function(self, name: str, variants: Sequence[int], branches: Sequence[tuple[int, str]]) -> list[str]:
        """A function that builds what the arguments call for."""
        body: list[str] = []
        for variant, condition in branches:
            places = [place for place, each in enumerate(variants) if each == variant]
            bodies = [self.bodies[place] for place in places]
            code, _ = self.library.write(bodies, self.entering.at(places), self.environment.at(places))
            body.extend([f"    if {condition}:"] if condition else [])
            body.extend(lines(code, 8 if condition else 4, "return "))
        signature = Group(f"def {name}(", parameter_list(self.environment))
        about = f"The operation `{self.instances[0].key.name}`."
        return [*lines(signature, 0, after=" -> nn.Module:"), *docstring(about, 4), *body]

    def _about(self) -> str:
        """What a class says of itself: the operation as the text writes it."""
        title = f"The operation `{self.instances[0].key.name}`"
        texts = {each.text for each in self.instances}
        text = texts.pop()
        if texts or "#" in text:
            return f"{title}."
        line = " ".join(text.split())
        if len(title) + len(line) < 74:
            return f"{title}: {line}"
        return "\n".join([f"{title}:", "", *textwrap.wrap(line, 80, break_long_words=False)])
