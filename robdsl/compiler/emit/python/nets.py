"""The class of the net itself: a module for each stage, loops where stages repeat, and how they feed each other."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from robdsl.compiler.emit.python.amounts import Amount, literal
from robdsl.compiler.emit.python.docstrings import docstring
from robdsl.compiler.emit.python.environment import Environment
from robdsl.compiler.emit.python.layout import (
    WIDTH,
    Code,
    Group,
    Item,
    Repeated,
    call,
    flat,
    lines,
    named_call,
    tuple_of,
)
from robdsl.compiler.emit.python.library import Library
from robdsl.compiler.emit.python.names import Names
from robdsl.compiler.emit.python.specs import Spec
from robdsl.compiler.emit.python.wiring import Branch, Built, Count, Run, branches, counts, runs

#: Rows of a loop that are longer than this become a table of their own.
INLINE_ROWS = 50
#: A chain of stages that needs more lines than this is a loop over all of them.
LONG_BODY = 8


@dataclass
class NetWriter:
    """Writes the class of a net.

    Attributes:
        stages: all of them, in order.
        tables: constants that stand before the class.
    """

    stages: Sequence[Built]
    library: Library
    names: Names
    tables: list[str] = field(default_factory=list)
    init: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)

    def write(self, name: str, about: str) -> list[str]:
        """The lines of the class."""
        self.window = max(stage.arity for stage in self.stages)
        self.in_order = all(isinstance(each, Branch) or len(each.path) == 1 for each in self._entries())
        for is_branch, group in groupby(self._entries(), key=lambda each: isinstance(each, Branch)):
            entries = list(group)
            if is_branch:
                for each in entries:
                    if isinstance(each, Branch):
                        self._branch(each)
            else:
                self._stretch([each for each in entries if isinstance(each, Built)])
        return [
            f"class {name}(nn.Module):",
            *docstring(about, 4),
            "",
            "    def __init__(self) -> None:",
            "        super().__init__()",
            *self.init,
            "",
            f"    def forward(self, {'x' if self.window == 1 else 'image'}: Tensor) -> Tensor:",
            *self._returning(),
        ]

    def _entries(self) -> Iterator[Branch | Built]:
        """The stages in order; those below a dotted name as one where one module can hold them all."""
        held: dict[Built, Branch] = {}
        for each in branches(self.stages):
            if isinstance(each, Branch) and each.sequential and not self._seen_from_outside(each):
                held.update(dict.fromkeys(each.stages, each))
        for stage in self.stages:
            branch = held.get(stage)
            if branch is None:
                yield stage
            elif branch.stages[0] is stage:
                yield branch

    def _seen_from_outside(self, branch: Branch) -> bool:
        """Whether a later stage is fed more than the last output of a branch."""
        last = branch.stages[-1].number
        inner = {stage.number for stage in branch.stages[:-1]}
        later = self.stages[last + 1 : last + 1 + self.window]
        return any(
            max(0, number) in inner
            for stage in later
            for number in range(stage.number - stage.arity, stage.number)
        )

    # --- modules

    def _module(self, spec: Spec | None) -> Code:
        """Code that builds one stage."""
        if spec is None:
            return "nn.Identity()"
        code, _ = self.library.write([spec], Amount((spec.in_shape[0],)), Environment(self.names.inner(), 1))
        return code

    def _branch(self, branch: Branch) -> None:
        self.init.extend(lines(self._below(branch), 8, f"self.{branch.name} = "))
        stages = branch.stages
        self._step(
            _access((branch.name,)), stages[0].arity, stages[0].number == 0, self._kept(stages[-1:]), 8
        )

    def _below(self, branch: Branch) -> Code:
        """Code that builds the modules below a dotted name."""
        parts = [
            self._below(each) if isinstance(each, Branch) else self._module(each.spec)
            for each in branch.below
        ]
        if branch.names != tuple(map(str, range(len(parts)))):
            return named_call("Chain", list(zip(branch.names, parts, strict=True)))
        items: list[Item] = []
        for _, same in groupby(parts, key=flat):
            alike = list(same)
            if len(alike) > 2:
                items.append(Item(Repeated(alike[0], f"for _ in range({len(alike)})")))
            else:
                items.extend(map(Item, alike))
        return Group("nn.Sequential(", tuple(items))

    def _stretch(self, stages: Sequence[Built]) -> None:
        """Stages that are modules of their own."""
        first = 1 if stages[0].number == 0 and self.window > 1 else 0
        for stage in stages[:first]:
            self._alone(stage)
        for run in runs(stages[first:], self._skeleton):
            if run.turns > 1:
                self._loop(run)
            else:
                self._alone(run.stages[0])

    def _skeleton(self, stage: Built) -> Hashable:
        return None if stage.spec is None else self.library.skeleton(stage.spec)

    def _alone(self, stage: Built) -> None:
        access = None
        if stage.spec is not None:
            access = _access(stage.path)
            self.init.extend(_registration(".".join(stage.path), self._module(stage.spec), 8))
        self._step(access, stage.arity, stage.number == 0, self._kept([stage]), 8)

    # --- loops

    def _loop(self, run: Run) -> None:
        environment = Environment(self.names.inner(), run.turns)
        found = [count for column in run.columns if (count := counts(column)) is not None]
        index, numbers, span = _index(found, run.turns, environment.names)
        built: list[tuple[str, Code]] = []
        called: list[tuple[str | None, tuple[Built, ...]]] = []
        for column, count, number in zip(run.columns, found, numbers, strict=True):
            specs = [stage.spec for stage in column if stage.spec is not None]
            name = count.name(number)
            if specs:
                entering = Amount(tuple(spec.in_shape[0] for spec in specs))
                code, _ = self.library.write(specs, entering, environment)
                built.append((name, code))
            called.append((name if specs else None, column))
        if built:
            self.init.extend(self._built(run, environment, index, span, built))
        before = len(self.body)
        for path, column in called:
            if path is not None:
                self.body.append(f'            stage = self.get_submodule(f"{path}")')
            self._step("stage" if path else None, column[0].arity, False, self._kept(column), 12)
        if len(self.body) > before:  # stages that hand on what they are given have no lines
            self.body.insert(before, f"        for {index} in {_range(span)}:")

    def _built(
        self, run: Run, environment: Environment, index: str, span: range, built: Sequence[tuple[str, Code]]
    ) -> list[str]:
        """A loop that builds modules, with what differs from turn to turn."""
        columns = environment.parameters
        if not columns:
            return [f"        for {index} in {_range(span)}:", *_registrations(built)]
        values = [environment.values[name] for name in columns]
        rows: Code = tuple_of(
            literal(row[0]) if len(row) == 1 else tuple_of(map(literal, row))
            for row in zip(*values, strict=True)
        )
        if len(columns) == 1:
            rows = _counting(values[0]) or rows
        text = flat(rows)
        if len(text) > INLINE_ROWS:
            text = self._table(run, columns, rows)
        header = _header(index, columns[0] if len(columns) == 1 else f"({', '.join(columns)})", text, span)
        if len(header) <= WIDTH:
            return [header, *_registrations(built)]
        row = environment.names.variable("row")
        header = _header(index, row, text, span)
        if len(header) > WIDTH:
            header = _header(index, row, self._table(run, columns, rows), span)
        name, code = built[0]
        passed = [item.before + flat(item.code) for item in code.items] if isinstance(code, Group) else []
        if len(built) == 1 and isinstance(code, Group) and passed == [*columns]:
            return [header, *_registrations([(name, Group(code.head, (Item(row, "*"),)))])]
        line = f"            {', '.join(columns)} = {row}"
        assigned = [line] if len(line) <= WIDTH else lines(tuple_of(columns), 12, after=f" = {row}")
        return [header, *assigned, *_registrations(built)]

    def _table(self, run: Run, columns: Sequence[str], rows: Code) -> str:
        """A constant for what differs from turn to turn."""
        stem = run.columns[0][0].form[0].rstrip("#_").upper()
        name = self.names.variable(f"{stem}S")
        self.tables.extend([f"# Of each: {', '.join(columns)}.", *lines(rows, 0, f"{name} = "), ""])
        return name

    # --- forward

    def _kept(self, stages: Sequence[Built]) -> bool:
        """Whether the stage after one of these is fed more than its output."""
        following = [self.stages[stage.number + 1] for stage in stages if stage.number + 1 < len(self.stages)]
        return any(stage.arity > 1 for stage in following)

    def _step(self, access: str | None, arity: int, first: bool, kept: bool, indent: int) -> None:
        """Writes the call of a stage; ``access`` is None for a stage that hands on what it is given."""
        margin = " " * indent
        if self.window == 1:
            self.body.extend([f"{margin}x = {access}(x)"] if access else [])
            return
        if first:
            arguments = ", ".join(["image"] * arity)
            latest = "image"
        elif self.window == 2:
            arguments, latest = ("last" if arity == 1 else "previous, last"), "last"
        else:
            arguments, latest = ("outputs[-1]" if arity == 1 else f"*outputs[-{arity}:]"), "outputs[-1]"
        if access is None and not (first or kept or self.window > 2):
            return
        value = f"{access}({arguments})" if access else latest
        if self.window > 2:
            made = f"outputs = [{value}] * {self.window}" if first else f"outputs = [*outputs[1:], {value}]"
        elif first:
            made = f"previous = last = {value}" if kept else f"last = {value}"
        else:
            made = f"previous, last = last, {value}" if kept else f"last = {value}"
        self.body.append(margin + made)

    def _returning(self) -> list[str]:
        """The body of `forward`, with its return."""
        if self.window == 1 and self.in_order and len(self.body) > LONG_BODY:
            return ["        for stage in self.children():", "            x = stage(x)", "        return x"]
        result = "x" if self.window == 1 else "last" if self.window == 2 else "outputs[-1]"
        before = f"        {result} = "
        if self.body and self.body[-1].startswith(before):
            return [*self.body[:-1], f"        return {self.body[-1].removeprefix(before)}"]
        return [*self.body, f"        return {result}"]


def _access(path: Sequence[str]) -> str:
    """An expression for the module at a path."""
    if len(path) == 1:
        return f"self.{path[0]}"
    return f'self.get_submodule("{".".join(path)}")'


def _registration(name: str, code: Code, indent: int, *, formatted: bool = False) -> list[str]:
    """Puts a module at its path, which is perhaps the inside of an f-string."""
    quoted = f'f"{name}"' if formatted else f'"{name}"'
    if "." in name:
        return lines(call("place", "self", quoted, code), indent)
    if formatted:
        return lines(call("self.add_module", quoted, code), indent)
    return lines(code, indent, f"self.{name} = ")


def _registrations(built: Sequence[tuple[str, Code]]) -> list[str]:
    """The lines of a loop that put modules at their paths."""
    return [line for name, code in built for line in _registration(name, code, 12, formatted=True)]


def _index(found: Sequence[Count], turns: int, names: Names) -> tuple[str, list[str], range]:
    """The variable of a loop, the number of each column as an expression of it, and the range that it goes through."""
    steps = {count.step for count in found}
    first = found[0].start
    if len(steps) == 1 and (step := steps.pop()) > 0:
        index = names.variable("index")
        numbers = [_sum(index, count.start - first) for count in found]
        return index, numbers, range(first, first + turns * step, step)
    index = names.variable("turn")
    numbers = [_sum(index if count.step == 1 else f"{count.step} * {index}", count.start) for count in found]
    return index, numbers, range(turns)


def _sum(text: str, number: int) -> str:
    if number == 0:
        return text
    return f"{text} {'+' if number > 0 else '-'} {abs(number)}"


def _header(index: str, target: str, rows: str, span: range) -> str:
    """The first line of a loop over rows."""
    if span.step == 1:
        start = f", start={span.start}" if span.start else ""
        return f"        for {index}, {target} in enumerate({rows}{start}):"
    return f"        for {index}, {target} in zip({_range(span)}, {rows}, strict=True):"


def _range(span: range) -> str:
    if span.step != 1:
        return f"range({span.start}, {span.stop}, {span.step})"
    return f"range({span.start}, {span.stop})" if span.start else f"range({span.stop})"


def _counting(values: Sequence[object]) -> str | None:
    """``range(64, 256, 32)`` for numbers that go up in equal steps."""
    numbers = [value for value in values if type(value) is int]
    if len(numbers) != len(values) or len(numbers) < 3:
        return None
    step = numbers[1] - numbers[0]
    span = range(numbers[0], numbers[-1] + 1, step) if step > 0 else range(0)
    return _range(span) if list(span) == numbers else None
