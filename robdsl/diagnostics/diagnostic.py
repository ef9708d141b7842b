"""Errors as data: what is wrong, where, and what to do about it.

A `Code` is a kind of mistake with a stable number, a `Diagnostic` is one such mistake in one place. How a
diagnostic looks on a terminal, in JSON or in an editor is the business of the renderers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice
from typing import Literal

from robdsl.diagnostics.source import Span

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Code:
    """A kind of mistake: its stable number, its title (a template) and its entry in the error index."""

    id: str
    title: str
    meaning: str
    severity: Severity = "error"

    def at(
        self,
        span: Span,
        label: str = "",
        *,
        help: str | None = None,
        related: Iterable[Label] = (),
        notes: Iterable[str] = (),
        trace: Iterable[Label] = (),
        **fields: object,
    ) -> Diagnostic:
        """This mistake at ``span``; ``fields`` fill the title's template and are kept as data."""
        return Diagnostic(self, span, label, fields, tuple(related), tuple(notes), help, tuple(trace))


@dataclass(frozen=True, slots=True)
class Label:
    """A second place that has to do with a mistake, and what it has to do with it."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake in one place."""

    code: Code
    span: Span
    label: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)
    related: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: str | None = None
    #: The calls that led here, innermost first, when the fault lies inside a definition that is used elsewhere.
    trace: tuple[Label, ...] = ()

    @property
    def title(self) -> str:
        return self.code.title.format(**self.fields)

    @property
    def severity(self) -> Severity:
        return self.code.severity

    @property
    def identity(self) -> tuple[object, ...]:
        """What makes two diagnostics the same for a reader, so that one is enough."""
        return (self.code.id, self.span.source.name, self.span.start, self.span.end, self.title)


class RobError(Exception):
    """A ``.rob`` program cannot be used; ``diagnostics`` says why, errors first come, first served."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        from robdsl.diagnostics.render import render_all  # the renderer knows this module, not the other way

        return "\n" + render_all(self.diagnostics)


class Report:
    """Collects the diagnostics of one run, each once, and says when there are too many to go on."""

    #: More errors than this help nobody; the count of the rest is still known.
    LIMIT = 50

    def __init__(self) -> None:
        self._seen: dict[tuple[object, ...], Diagnostic] = {}
        self._errors = 0

    def add(self, diagnostic: Diagnostic) -> None:
        identity = diagnostic.identity
        if identity not in self._seen:
            self._seen[identity] = diagnostic
            self._errors += diagnostic.severity == "error"

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        for diagnostic in diagnostics:
            self.add(diagnostic)

    @property
    def full(self) -> bool:
        """Whether there are so many errors that it helps nobody to look for more."""
        return self._errors >= self.LIMIT

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Everything collected, but for warnings about what an error is about."""
        wrong = {each.span for each in self._seen.values() if each.severity == "error"}
        return tuple(
            each for each in self._seen.values() if each.severity == "error" or each.span not in wrong
        )

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(each for each in self._seen.values() if each.severity == "error")

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        return tuple(each for each in self._seen.values() if each.severity == "warning")

    def raise_if_errors(self) -> None:
        """Raises `RobError` with everything collected when there is at least one error."""
        if self.errors:
            raise RobError(self.diagnostics)


#: Among how many known names the nearest is looked for, so that a long list costs no more than a short one.
_KNOWN = 1000


def nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The known name that is most like ``name``; None when none is near (``likeness`` from 0 to 1: how near)."""
    alike = (each for each in known if abs(len(each) - len(name)) <= max(3, len(name)))
    near = get_close_matches(name, list(islice(alike, _KNOWN)), n=1, cutoff=likeness)
    return near[0] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The sentence that suggests the nearest known name, or None when none is near."""
    near = nearest(name, known)
    return None if near is None else f"did you mean `{near}`?"
