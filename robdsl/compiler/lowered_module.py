"""The `torch.fx.GraphModule` that lowering makes.

It differs from torch's in three ways. Modules whose generated code is the same, the line that says what they are
included, share one class, hence one code object, so that `torch.compile` of each cell meets each distinct cell
once; sharing outlives copying and pickling. Every line of the code names the ``.rob`` text that asks for it, and
so does an exception that is raised there. And a pickle keeps the graph's nodes with their spans (torch's keeps
code and traces it anew).
"""

from __future__ import annotations

import copy
import linecache
import re
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Any, ClassVar, NamedTuple, Self, cast

from torch import fx, nn
from torch.fx.graph import PythonCode
from torch.fx.node import map_aggregate

#: What lowering puts into a node's ``meta``: the place in the text as ``path:line:column``, and in the form
#: in which torch's own tools show places.
ROB_SPAN, STACK_TRACE = "rob_span", "stack_trace"

#: The key in a compiled model's ``meta`` under which it keeps the `Net` that it was compiled from.
ROB_NET = "rob_net"

_ASSIGNED = re.compile(r"\s+(\w+)(?: : [^=]+)? = ")
_serial = count()


class LoweredModule(fx.GraphModule):
    """A `torch.fx.GraphModule` that shares code with its equals and knows the text that it comes from.

    Args:
        modules: by the targets of the graph's nodes, relative to this module.
        graph: what it computes.
        class_name: what `print` calls it.
        about: a line above its code that says what it is. Modules that differ in sizes alone should differ here,
            because `torch.compile` keeps only a few variants of one code object.
        idle: modules that no node calls, by path. They hold a place in the `state_dict`; their parameters
            ask for no gradient, so that `DistributedDataParallel` does not wait for one.
        write: whether its code is made now. Where passes follow, `recompile` makes it once they are through.
    """

    #: What the shared classes derive from: this class, or the one below it that says so.
    _kind: ClassVar[type[LoweredModule]]
    #: The text of each line of the generated code; set on the shared classes.
    _line_spans: Sequence[str] = ()
    _about = ""

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        graph: fx.Graph,
        class_name: str,
        about: str = "",
        idle: Mapping[str, nn.Module] | None = None,
        *,
        write: bool = True,
    ) -> None:
        super().__init__(nn.Module(), fx.Graph(), class_name)
        self._about = about
        for path, module in modules.items():
            install(self, path, module)
        for path, module in (idle or {}).items():
            install(self, path, module.requires_grad_(False))
        self._graph = graph
        graph.owning_module = self
        if write:
            self.recompile()

    def recompile(self) -> PythonCode:
        """Generates the code of this one module from its `graph`, and joins those that have the same."""
        generated = self._graph.python_code(root_module="self")
        lines = generated.src.splitlines()
        spans = _spans(lines, self._graph)
        lines = list(map(_commented, lines, spans))
        _put_above(lines, self._about)
        generated.src = "\n".join(lines) + "\n"
        self._code = generated.src
        for name in ("_lineno_map", "_prologue_start"):  # torch.compile reads them where torch.fx makes them
            if hasattr(generated, name):
                setattr(self, name, getattr(generated, name))
        self.__class__ = _shared_class(self._kind, type(self).__name__, generated, spans)
        return generated

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except Exception as error:
            self._explain(error)
            raise

    def _explain(self, error: Exception) -> None:
        """Notes on an exception which text asked for the operation that raised it."""
        line = _line_in(error.__traceback__, type(self).forward)
        span = self._line_spans[line - 1] if 0 < line <= len(self._line_spans) else ""
        if span:
            error.add_note(f"in {type(self).__name__}, at {span}")

    # --- copies

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = object.__new__(type(self))
        memo[id(self)] = made
        memo.update((id(each), each) for each in self.meta.values())  # facts, and the net itself: not copied
        nn.Module.__setstate__(made, copy.deepcopy(self._state_without_graph(), memo))
        made._graph = copy.deepcopy(self._graph)
        made._graph.owning_module = made
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        made_of = self._kind, type(self).__name__, self._about, _records(self._graph)
        return _restored, made_of, self._state_without_graph()

    def _state_without_graph(self) -> dict[str, Any]:
        state: dict[str, Any] = nn.Module.__getstate__(self)
        del state["_graph"]
        return state


LoweredModule._kind = LoweredModule


def install(owner: nn.Module, path: str, module: nn.Module) -> None:
    """Puts a module at a path, with plain modules on the way to it."""
    *above, name = path.split(".")
    for part in above:
        if part not in owner._modules:
            owner._modules[part] = nn.Module()
        owner = cast(nn.Module, owner._modules[part])
    owner.add_module(name, module)


def is_primitive(module: nn.Module) -> bool:
    """Whether a module is one that a node calls or may call, not a graph nor the plain module of a path to one."""
    return not isinstance(module, LoweredModule) and type(module) is not nn.Module


# --- classes of modules with the same code

_classes: weakref.WeakValueDictionary[object, type[LoweredModule]] = weakref.WeakValueDictionary()


def _shared_class(
    kind: type[LoweredModule], name: str, generated: PythonCode, spans: Sequence[str]
) -> type[LoweredModule]:
    """The class whose `forward` is the generated code; the same one for the same code."""
    used = tuple(sorted((key, id(value)) for key, value in generated.globals.items()))
    key = (kind, name, generated.src, tuple(spans), used)
    found = _classes.get(key)
    if found is None:
        found = _classes[key] = _new_class(kind, name, generated, spans)
    return found


def _new_class(
    kind: type[LoweredModule], name: str, generated: PythonCode, spans: Sequence[str]
) -> type[LoweredModule]:
    file = f"<robdsl {name} {next(_serial)}>"
    names = dict(generated.globals)
    exec(compile(generated.src, file, "exec", dont_inherit=True), names)  # noqa: S102  as torch.fx itself does
    # So that tracebacks, torch.compile's own among them, can show the line.
    linecache.cache[file] = (len(generated.src), None, generated.src.splitlines(keepends=True), file)
    made = type(name, (kind,), {"forward": names["forward"], "_line_spans": tuple(spans)})
    weakref.finalize(made, linecache.cache.pop, file, None)
    return made


def _spans(lines: Sequence[str], graph: fx.Graph) -> list[str]:
    """For each line of generated code the span of the node that it computes, or ""."""
    span_of = {node.name: node.meta.get(ROB_SPAN, "") for node in graph.nodes}
    assigned = map(_ASSIGNED.match, lines)
    return [span_of.get(match[1], "") if match else "" for match in assigned]


def _commented(line: str, span: str) -> str:
    return f"{line}  # {span.rpartition('/')[2]}" if span else line


def _put_above(lines: list[str], about: str) -> None:
    """Writes a comment into the blank line above the function, so that the numbers of lines stay."""
    above = next(place for place, line in enumerate(lines) if line.startswith("def ")) - 1
    if about and above >= 0 and not lines[above].strip():
        lines[above] = f"# {about}"


def _line_in(traceback: TracebackType | None, function: Any) -> int:
    """The line that a function was at when an exception passed through it; 0 when it did not."""
    while traceback is not None:
        if traceback.tb_frame.f_code is function.__code__:
            return traceback.tb_lineno
        traceback = traceback.tb_next
    return 0


# --- graphs as plain data


@dataclass(frozen=True, slots=True)
class _Value:
    """The value of an earlier node, in an argument."""

    index: int


class _Record(NamedTuple):
    op: str
    name: str
    target: Any
    args: Any
    kwargs: Any
    meta: dict[str, str]


def _records(graph: fx.Graph) -> list[_Record]:
    place = {node: _Value(index) for index, node in enumerate(graph.nodes)}

    def replaced(each: Any) -> Any:
        return place[each] if isinstance(each, fx.Node) else each

    return [
        _Record(
            op=node.op,
            name=node.name,
            target=node.target,
            args=map_aggregate(node.args, replaced),
            kwargs=map_aggregate(node.kwargs, replaced),
            meta={key: node.meta[key] for key in (ROB_SPAN, STACK_TRACE) if key in node.meta},
        )
        for node in graph.nodes
    ]


def _restored(
    kind: type[LoweredModule], class_name: str, about: str, records: Sequence[_Record]
) -> LoweredModule:
    """A module with the graph that was recorded; unpickling then gives it its state."""
    graph = fx.Graph()
    made: list[fx.Node] = []

    def replaced(each: Any) -> Any:
        return made[each.index] if isinstance(each, _Value) else each

    for record in records:
        args, kwargs = (map_aggregate(each, replaced) for each in (record.args, record.kwargs))
        node = graph.create_node(record.op, record.target, args, kwargs, record.name)
        node.meta.update(record.meta)
        made.append(node)
    return kind({}, graph, class_name, about)
