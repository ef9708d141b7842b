"""What elaboration says of mistakes, and how much it may do; the bounds keep any text from doing harm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, Label, Report
from robdsl.diagnostics.source import Span
from robdsl.graph.values import Fault, Poisoned, Value, Word, is_name, kind_of, show_value

#: How many operations and edges elaboration may make.
MAX_WORK = 50_000
#: For how many of them one counts that fails.
FAILURE = 10

Arguments = tuple[tuple[str, Value], ...]
_Some = TypeVar("_Some")


class Reporter:
    """Collects the mistakes of one elaboration, with the calls that led to them."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self._trace: list[tuple[Span, str, Arguments]] = []
        self._work = 0
        self._wrong: set[tuple[str, str]] = set()

    def add(self, diagnostic: Diagnostic) -> None:
        """Reports a mistake, with the calls that led to it; not what another one explains."""
        if self._explained(diagnostic):
            return
        calls = reversed(self._trace[-8:])
        trace = tuple(Label(span, f"in `{shown_call(name, arguments)}`") for span, name, arguments in calls)
        self.report.add(replace(diagnostic, trace=trace))

    def _explained(self, diagnostic: Diagnostic) -> bool:
        """Whether a mistake is the consequence of another that was reported.

        That is a parameter with a wrong value that was seen under another name, or a recursion that goes too deep over
        one more way.
        """
        if diagnostic.code is codes.CALL_DEPTH:
            call = str(self._trace[0][0] if self._trace else diagnostic.span)
            known = (diagnostic.code.id, call) in self._wrong
            self._wrong.add((diagnostic.code.id, call))
            return known
        got, name = str(diagnostic.fields.get("got")), diagnostic.span.text
        if diagnostic.code not in (codes.WRONG_TYPE, codes.OUT_OF_RANGE) or not is_name(name):
            return False
        value = (diagnostic.code.id, got)
        known = value in self._wrong and got != kind_of(Word(name))
        self._wrong.add(value)
        return known

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Turns a `Fault` into a report; what depends on it is `Poisoned`."""
        try:
            yield
        except Fault as fault:
            self.add(fault.diagnostic)
            raise Poisoned from None

    @contextmanager
    def inside(self, span: Span, name: str, arguments: Arguments) -> Iterator[None]:
        """Within a call that leads to what is reported."""
        self._trace.append((span, name, arguments))
        try:
            yield
        finally:
            self._trace.pop()

    @property
    def latest_call(self) -> Span:
        """Where the innermost call stands."""
        return self._trace[-1][0]

    @property
    def spent(self) -> bool:
        """Whether so much was done, or so much is wrong, that nothing more is looked at."""
        return self._work > MAX_WORK or self.report.full

    def failed(self) -> None:
        """Counts what failed, which is work too."""
        self._work += FAILURE

    def work(self, span: Span, amount: int = 1) -> None:
        """Counts what elaboration makes; raises `Fault` when it is too much, `Poisoned` when that was said before."""
        if self._work > MAX_WORK:
            raise Poisoned
        self._work += amount
        if self._work > MAX_WORK:
            raise Fault(codes.TOO_MANY_OPERATIONS.at(span, bound=f"{MAX_WORK:,}"))

    def each(self, makers: Iterable[Callable[[], _Some]]) -> tuple[_Some, ...]:
        """What each of several functions makes; a mistake in one does not hide those in the others.

        Raises:
            Poisoned: one of them failed, which was reported.
        """
        made: list[_Some] = []
        failed = False
        for make in makers:
            try:
                with self.reporting():
                    made.append(make())
            except Poisoned:
                failed = True
                self.failed()  # a recursion may branch here
                if self.spent:
                    break
        if failed:
            raise Poisoned
        return tuple(made)


def shown_call(name: str, arguments: Arguments) -> str:
    """``conv(3, width=8)`` with the values that were bound."""
    shown = ", ".join(f"{parameter}={show_value(value)}" for parameter, value in arguments)
    return f"{name}({shown})" if shown else name
