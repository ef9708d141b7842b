"""Diagnostics as an editor shows them: the same data as on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lsprotocol import types

from robdsl.diagnostics.diagnostic import Diagnostic, Label
from robdsl.diagnostics.source import Source, Span
from robdsl.editor.analysis import Analysis
from robdsl.editor.positions import Positions
from robdsl.syntax import nodes

_SEVERITY = {"error": types.DiagnosticSeverity.Error, "warning": types.DiagnosticSeverity.Warning}


def problems(analysis: Analysis, positions: Positions) -> list[types.Diagnostic]:
    """What is wrong with a text, each mistake at its place.

    A mistake in a file that the text uses stands at the `use`, or at the call that led there.
    """
    return [_problem(each, analysis, positions) for each in analysis.diagnostics]


def _problem(diagnostic: Diagnostic, analysis: Analysis, positions: Positions) -> types.Diagnostic:
    here = _here(diagnostic, analysis)
    related = [
        types.DiagnosticRelatedInformation(
            types.Location(uri_of(label.span.source), positions.range(label.span)), label.text or "here"
        )
        for label in _related(diagnostic, here)
        if uri_of(label.span.source)
    ]
    said = [diagnostic.title, diagnostic.label, *diagnostic.notes]
    if diagnostic.help:
        said.append(f"help: {diagnostic.help}")
    return types.Diagnostic(
        positions.range(here),
        "\n".join(each for each in said if each),
        severity=_SEVERITY[diagnostic.severity],
        code=diagnostic.code.id,
        source="robdsl",
        related_information=related or None,
    )


def _here(diagnostic: Diagnostic, analysis: Analysis) -> Span:
    """The place in this text at which a mistake is shown."""
    source = analysis.source
    spans = (diagnostic.span, *(label.span for label in diagnostic.trace))
    for span in spans:
        if span.source is source:
            return span
    for use in analysis.file.tree.uses:
        if _uses(analysis, use, diagnostic.span.source):
            return use.span
    return Span(source, 0, 0)


def _uses(analysis: Analysis, use: nodes.Use, source: Source) -> bool:
    return Path(source.name).stem == use.path[-1].name and source is not analysis.source


def _related(diagnostic: Diagnostic, here: Span) -> Iterator[Label]:
    """The other places, and the calls that led to a mistake."""
    if diagnostic.span != here:
        yield Label(diagnostic.span, diagnostic.label or diagnostic.title)
    yield from diagnostic.related
    yield from (label for label in diagnostic.trace if label.span != here)


def uri_of(source: Source) -> str:
    """The address of a file; "" for a text that is none."""
    path = Path(source.name)
    try:
        return path.resolve().as_uri() if path.suffix == ".rob" else ""
    except (OSError, ValueError):
        return ""
