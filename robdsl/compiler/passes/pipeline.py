"""Pipelines: plain lists of passes, which print as a text that reads back as the same list."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.passes.base import Mode, Pass, graphs_of, recompile
from robdsl.compiler.passes.catalog import PASSES

#: What is told after each pass: the pass, the model as it is then, and the seconds that the pass took.
Watcher = Callable[[Pass, LoweredModule, float], None]

_PASS = re.compile(r"\s*(?P<name>[a-z][a-z0-9-]*)\s*(?:\{(?P<options>[^{}]*)\})?\s*(?P<end>,|$)")


class PipelineError(ValueError):
    """A text that names no pipeline, or passes where they do not hold."""


def format_pipeline(pipeline: Sequence[Pass]) -> str:
    """The text of a pipeline: ``zeros, merge-pointwise{least=3}``; options with their usual value are left out."""
    return ", ".join(map(_format, pipeline))


def _format(each: Pass) -> str:
    given = [
        f"{field.name}={_show(value)}"
        for field in fields(each)
        if (value := getattr(each, field.name)) != field.default
    ]
    return each.name + ("{" + ", ".join(given) + "}" if given else "")


def _show(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse_pipeline(text: str) -> tuple[Pass, ...]:
    """The pipeline that a text names; the empty text is the empty pipeline.

    Raises:
        PipelineError: it names an unknown pass or option, or a value that is none.
    """
    found: list[Pass] = []
    place = 0
    while text[place:].strip():
        match = _PASS.match(text, place)
        if match is None:
            raise PipelineError(
                f"cannot read the pipeline from `{text[place:].strip()}`: write pass, pass{{option=value}}, ..."
            )
        found.append(_made(match["name"], match["options"] or ""))
        place = match.end()
        if match["end"] and not text[place:].strip():
            raise PipelineError("the pipeline ends in a comma: name one more pass, or leave it out")
    return tuple(found)


def as_pipeline(given: Sequence[Pass] | str) -> tuple[Pass, ...]:
    """A pipeline as it is, or the one that a text names.

    Raises:
        PipelineError: the text names none, or what is given is no pass.
    """
    if isinstance(given, str):
        return parse_pipeline(given)
    for each in given:
        if not isinstance(each, Pass):
            raise PipelineError(
                f'`{each}` is not a pass: write names in one text, such as "zeros, dead", or give passes themselves'
            )
    return tuple(given)


def _made(name: str, options: str) -> Pass:
    kind = PASSES.get(name)
    if kind is None:
        raise PipelineError(f"there is no pass `{name}`; there are {', '.join(PASSES)}")
    kinds: Mapping[str, object] = {
        field.name: field.default for field in fields(kind) if field.default is not MISSING
    }
    given: dict[str, Any] = {}
    for option in filter(None, (each.strip() for each in options.split(","))):
        key, equals, value = (each.strip() for each in option.partition("="))
        if not equals or key not in kinds or key in given:
            known = ", ".join(kinds) or "none"
            raise PipelineError(f"`{name}` cannot take `{option}`; its options are: {known}")
        given[key] = _value(name, key, value, kinds[key])
    return kind(**given)


def _value(name: str, key: str, text: str, usual: object) -> object:
    if isinstance(usual, bool):
        if text not in ("true", "false"):
            raise PipelineError(f"`{key}` of `{name}` is true or false, not `{text}`")
        return text == "true"
    assert isinstance(usual, int), "options are flags and counts so far"
    if not text.isdecimal():
        raise PipelineError(f"`{key}` of `{name}` is a whole number, not `{text}`")
    return int(text)


def check_mode(pipeline: Sequence[Pass], mode: Mode) -> None:
    """Refuses, for models that train, passes that hold in evaluation only.

    Raises:
        PipelineError: there is one.
    """
    for each in pipeline:
        if mode == "train" and each.mode != "train":
            raise PipelineError(f"`{each.name}` holds in evaluation only: freeze with it, do not compile")


def run_pipeline(
    model: LoweredModule, pipeline: Sequence[Pass], watch: Watcher | None = None, *, written: bool = True
) -> None:
    """Rewrites a model in place, pass by pass.

    Args:
        model: is changed; `robdsl.compiler.passes.rebuilt` makes one that may be.
        pipeline: the passes, in order.
        watch: is told after each pass. The code is made anew for it each time, which is otherwise done once.
        written: whether the model has code; without, that of every graph is made, be it changed or not.
    """
    changed = [] if written else list(graphs_of(model))
    for each in pipeline:
        started = time.perf_counter()
        changed += each.run(model)
        seconds = time.perf_counter() - started
        if watch is not None:
            recompile(changed)
            changed = []
            watch(each, model, seconds)
    recompile(changed)
