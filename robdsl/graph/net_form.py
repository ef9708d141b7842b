"""The form of nets and spaces: which statements stand where, and the names of picks and `let`s."""

from __future__ import annotations

from collections.abc import Iterator

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, Label, did_you_mean
from robdsl.graph.index import use_for
from robdsl.graph.names import NameChecker, Place, is_open_cell
from robdsl.graph.primitives import signatures
from robdsl.graph.program import Bound
from robdsl.graph.values import subexpressions
from robdsl.syntax import nodes


class NetForm:
    """Checks one net or space; names in operations and expressions are the checker's business."""

    def __init__(self, net: nodes.NetDefinition, checker: NameChecker) -> None:
        self._net, self._checker, self._file = net, checker, checker.file
        self._image: nodes.Image | None = None
        self._first_stage: nodes.NetStatement | None = None
        self._lets: dict[str, nodes.Ident] = {}

    def check(self) -> Iterator[Diagnostic]:
        """What is wrong."""
        yield from self._metas()
        if self._net.base is not None:
            yield from self._inside(self._net.base)
        else:
            yield from self._alone()

    def _metas(self) -> Iterator[Diagnostic]:
        first: dict[str, nodes.Meta] = {}
        for each in self._net.body:
            if isinstance(each, nodes.Meta):
                if each.key.name in first:
                    related = [Label(first[each.key.name].key.span, "first here")]
                    yield codes.NAME_TAKEN.at(each.key.span, related=related, name=each.key, what="a `meta`")
                first.setdefault(each.key.name, each)

    # --- in a space

    def _inside(self, base: nodes.Call) -> Iterator[Diagnostic]:
        net, scope = self._net, self._file.scope
        if net.parameters:
            whole = net.parameters[0].span.to(net.parameters[-1].span)
            where = f"give values where it says `in {base.callee}`"
            yield codes.OWN_PARAMETERS.at(whole, kind=net.kind, help=where)
        space = scope.get(base.callee.name)
        if space is not None and space.kind != "space":
            label = f"this is {'an' if space.kind == 'operation' else 'a'} {space.kind}"
            yield codes.UNKNOWN_SPACE.at(base.callee.span, label, name=base.callee)
        elif space is None and self._checker.unknown(base.callee.name):
            near = did_you_mean(
                base.callee.name, [each.name for each in scope.values() if each.kind == "space"]
            )
            help = use_for(base.callee.name, "space") or near
            yield codes.UNKNOWN_SPACE.at(base.callee.span, name=base.callee, help=help)
        for argument in base.arguments:
            self._checker.expression(argument.value, inside=False)
        choices = (nodes.PickBits, nodes.PickEdges)
        allowed = (*choices, nodes.Meta) if net.kind == "net" else (nodes.Require, nodes.Meta)
        for statement in net.body:
            if not isinstance(statement, allowed):
                where = f"a {net.kind} in a space"
                closes = "choices of a space are made by a `net`" if isinstance(statement, choices) else None
                yield codes.MISPLACED_STATEMENT.at(
                    statement.span, what=_what(statement), where=where, help=closes
                )
            elif isinstance(statement, nodes.Require):
                self._checker.expression(statement.condition, inside=False, measures=True)

    # --- with stages of its own

    def _alone(self) -> Iterator[Diagnostic]:
        yield from self._picks()
        self._lets = {
            each.name.name: each.name
            for each in reversed(list(_everywhere(self._net.body)))
            if isinstance(each, nodes.Let)
        }
        yield from self._statements(self._net.body, top=True)
        if self._image is None:
            help = "begin it with `input 3 x 32 x 32`"
            yield codes.NO_IMAGE.at(self._net.name.span, name=self._net.name, help=help)
        if self._first_stage is None:
            yield codes.NO_STAGE.at(self._net.name.span, name=self._net.name)

    def _picks(self) -> Iterator[Diagnostic]:
        """Named picks are known everywhere in the net."""
        picks: dict[str, Bound] = {}
        first: dict[str, nodes.Ident] = {}
        for each in _everywhere(self._net.body):
            if not isinstance(each, nodes.PickDeclaration):
                continue
            name = each.name.name
            if name in self._file.scope:
                related = [Label(self._file.scope[name].definition.name.span, "defined here")]
                yield codes.PICK_NAME.at(each.name.span, related=related, name=each.name)
            elif name in signatures():
                yield codes.PRIMITIVE_NAME.at(each.name.span, name=each.name)
            elif name in first or name in self._checker.values:
                related = [Label(first[name].span, "a pick")] if name in first else []
                what = "a pick" if name in first else "a parameter"
                yield codes.NAME_TAKEN.at(each.name.span, related=related, name=each.name, what=what)
            first.setdefault(name, each.name)
            cell = self._picked(each.cell)
            if isinstance(cell, Bound):
                picks.setdefault(name, cell)
            else:
                self._checker.excused.add(name)
                yield from cell
        self._checker.picks = picks

    def _picked(self, ident: nodes.Ident) -> Bound | list[Diagnostic]:
        """The open cell of that name, or what is wrong with it."""
        scope = self._file.scope
        bound = scope.get(ident.name)
        if bound is None and not self._checker.unknown(ident.name):
            return []
        if bound is None or bound.kind != "cell":
            cells = [each.name for each in scope.values() if each.kind == "cell"]
            help = use_for(ident.name, "cell") or did_you_mean(ident.name, cells)
            return [
                codes.UNKNOWN_OPERATION.at(ident.span, "a pick chooses for a cell", name=ident, help=help)
            ]
        if not is_open_cell(bound):
            return [codes.NOTHING_TO_PICK.at(ident.span, name=ident)]
        return bound

    def _statements(self, body: tuple[nodes.NetStatement, ...], *, top: bool) -> Iterator[Diagnostic]:
        for each in body:
            if isinstance(each, nodes.Stage | nodes.PickStage):
                self._first_stage = self._first_stage or each
            match each:
                case nodes.Image():
                    yield from self._check_image(each, top=top)
                case nodes.Stage():
                    yield from self._early(each)
                    self._checker.operation(each.operation, Place.STAGE)
                case nodes.PickStage():
                    yield from self._early(each)
                    yield from self._pick_stage(each)
                case nodes.Repeat():
                    yield from self._early(each.count)
                    self._checker.expression(each.count, inside=False)
                    yield from self._statements(each.body, top=False)
                case nodes.PickDeclaration():
                    if self._net.kind == "net":
                        yield codes.PICK_OUTSIDE.at(each.span)
                    elif not top:
                        yield codes.MISPLACED_STATEMENT.at(each.span, what=_what(each), where="a `repeat`")
                case nodes.Let():
                    yield from self._let(each)
                case nodes.Require():
                    yield from self._early(each.condition)
                    self._checker.expression(each.condition, inside=False, measures=True)
                case nodes.Meta() if top:
                    pass
                case _:
                    where = f"a {self._net.kind} of its own" if top else "a `repeat`"
                    choice = isinstance(each, nodes.PickBits | nodes.PickEdges)
                    help = "what chooses is a `net ... in` a space" if choice else None
                    yield codes.MISPLACED_STATEMENT.at(each.span, what=_what(each), where=where, help=help)

    def _check_image(self, image: nodes.Image, *, top: bool) -> Iterator[Diagnostic]:
        before = self._image or self._first_stage
        if before is not None:
            what = "the first is here" if isinstance(before, nodes.Image) else "a stage stands before it"
            yield codes.SECOND_IMAGE.at(image.span, related=[Label(before.span, what)])
        elif not top:
            yield codes.SECOND_IMAGE.at(image.span, "not inside a `repeat`")
        self._image = self._image or image
        for cross in image.crosses:
            if cross.name != "x":
                help = "put `x` between the sizes, with spaces around it"
                yield codes.IMAGE_FORM.at(cross.span, help=help)
        for size in (image.channels, image.height, image.width):
            yield from self._early(size)
            self._checker.expression(size, inside=False)

    def _let(self, let: nodes.Let) -> Iterator[Diagnostic]:
        yield from self._early(let.value)
        self._checker.expression(let.value, inside=False, measures=True)
        name = let.name.name
        if name in self._checker.values or name in self._checker.picks:
            what = (
                "a pick"
                if name in self._checker.picks
                else "a `let`"
                if name in self._lets
                else "a parameter"
            )
            yield codes.NAME_TAKEN.at(let.name.span, name=let.name, what=what)
        self._checker.values.add(name)

    def _early(self, tree: nodes.Node) -> Iterator[Diagnostic]:
        """A `let` is known from its line on."""
        for each in subexpressions(tree):
            if not isinstance(each, nodes.Name) or each.name in self._checker.values:
                continue
            if each.name in self._lets:
                related = [Label(self._lets[each.name].span, "it is named here")]
                yield codes.TOO_EARLY.at(each.span, related=related, name=each.name)

    def _pick_stage(self, stage: nodes.PickStage) -> Iterator[Diagnostic]:
        if self._net.kind == "net":
            yield codes.PICK_OUTSIDE.at(stage.span)
            return
        cell = self._picked(stage.cell.callee)
        if isinstance(cell, Bound):
            self._checker.arguments(stage.cell, cell.definition.parameters)
        else:
            yield from cell


def _everywhere(body: tuple[nodes.NetStatement, ...]) -> Iterator[nodes.NetStatement]:
    for each in body:
        yield each
        if isinstance(each, nodes.Repeat):
            yield from _everywhere(each.body)


def _what(statement: nodes.Node) -> str:
    match statement:
        case nodes.Stage() | nodes.Repeat() | nodes.PickStage():
            return "a stage"
        case nodes.PickBits() | nodes.PickEdges():
            return "a choice"
        case nodes.PickDeclaration():
            return "a pick of a cell"
        case nodes.Image():
            return "`input`"
        case nodes.Meta():
            return "`meta`"
        case nodes.Let():
            return "`let`"
    return "`require`"
