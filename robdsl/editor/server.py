"""The language server: requests of the protocol, answered by the rest of this package."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path

from robdsl.diagnostics.diagnostic import RobError
from robdsl.diagnostics.source import Span
from robdsl.editor import completion, hints, hover, problems, renaming
from robdsl.editor.analysis import Analysis
from robdsl.editor.drawing import draw_cell
from robdsl.editor.positions import Positions
from robdsl.syntax.formatter import FormatError, format_source

#: The command that gives the drawing of the cell under the cursor: (uri, position) -> {net, stage, svg} or null.
DRAW_CELL = "robdsl.drawCell"

_KINDS = {
    "keyword": types.CompletionItemKind.Keyword,
    "primitive": types.CompletionItemKind.Function,
    "operation": types.CompletionItemKind.Function,
    "cell": types.CompletionItemKind.Class,
    "space": types.CompletionItemKind.Module,
    "pick": types.CompletionItemKind.Variable,
    "node": types.CompletionItemKind.Variable,
    "value": types.CompletionItemKind.Variable,
    "parameter": types.CompletionItemKind.Property,
    "attribute": types.CompletionItemKind.Property,
    "measure": types.CompletionItemKind.Function,
    "file": types.CompletionItemKind.File,
    "choice": types.CompletionItemKind.EnumMember,
}


class RobServer(LanguageServer):
    """A language server with an analysis for each open text."""

    def __init__(self) -> None:
        super().__init__("robdsl", version("robdsl"))
        self._analyses: dict[str, tuple[int | None, Analysis]] = {}

    def analysis(self, uri: str) -> Analysis:
        """The analysis of a text as it is now."""
        document = self.workspace.get_text_document(uri)
        known = self._analyses.get(uri)
        if known is None or known[0] != document.version or document.version is None:
            made = Analysis.of(document.source, _path(uri), uri)
            known = self._analyses[uri] = (document.version, made)
        return known[1]

    def forget(self, uri: str) -> None:
        """Drops what is known of a text."""
        self._analyses.pop(uri, None)

    def open_texts(self) -> dict[Path, str]:
        """The texts that are open, by path."""
        documents = self.workspace.text_documents.values()
        paths = ((_path(each.uri), each.source) for each in documents)
        return {path: source for path, source in paths if path is not None}

    @property
    def folder(self) -> Path | None:
        """The folder that the editor has open."""
        root = self.workspace.root_path
        return Path(root) if root else None

    @property
    def positions(self) -> Positions:
        """What positions count, as agreed with the client."""
        return Positions(self.workspace.position_encoding or types.PositionEncodingKind.Utf16)

    def at(self, uri: str, position: types.Position) -> tuple[Analysis, int]:
        """The analysis of a text, and the offset of a position in it."""
        analysis = self.analysis(uri)
        return analysis, self.positions.offset(analysis.source, position)

    def location(self, span: Span) -> types.Location:
        """Where a span stands, under the address by which the editor knows the text."""
        return types.Location(self.uri(span), self.positions.range(span))

    def uri(self, span: Span) -> str:
        name = span.source.name
        if name in self._analyses:
            return name  # a text without a file
        path = Path(name).resolve()
        known = (uri for uri in self._analyses if (other := _path(uri)) and other.resolve() == path)
        return next(known, from_fs_path(str(path)) or name)

    def publish(self, uri: str) -> None:
        """Sends the mistakes of a text."""
        analysis = self.analysis(uri)
        found = problems.problems(analysis, self.positions)
        document = self.workspace.get_text_document(uri)
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(uri, found, version=document.version)
        )


def _path(uri: str) -> Path | None:
    """The file that an address means, if it means one."""
    if not uri.startswith("file:"):
        return None
    path = to_fs_path(uri)
    return Path(path) if path else None


def make_server() -> RobServer:
    """A server that answers for ``.rob`` files; ``start_io()`` runs it over standard input and output."""
    server = RobServer()
    _texts(server)
    _names(server)
    _shown(server)
    return server


def _texts(server: RobServer) -> None:
    """Texts come, change and go."""

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: types.DidOpenTextDocumentParams) -> None:
        server.publish(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: types.DidChangeTextDocumentParams) -> None:
        server.publish(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def saved(params: types.DidSaveTextDocumentParams) -> None:
        for uri in list(server.workspace.text_documents):  # others may use it
            server.forget(uri)
            server.publish(uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: types.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        server.forget(uri)
        server.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))

    @server.feature(types.TEXT_DOCUMENT_FORMATTING)
    def formatting(params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
        source = server.analysis(params.text_document.uri).source
        try:
            text = format_source(source)
        except (RobError, FormatError):
            return None  # what is broken stays as it is; its mistakes are shown
        whole = Span(source, 0, len(source.text))
        return [] if text == source.text else [types.TextEdit(server.positions.range(whole), text)]


def _names(server: RobServer) -> None:
    """What names mean, and other names for it."""

    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    def definition(params: types.DefinitionParams) -> types.Location | None:
        found = renaming.definition(*server.at(params.text_document.uri, params.position))
        if isinstance(found, Path):
            start = types.Position(0, 0)
            return types.Location(from_fs_path(str(found.resolve())) or "", types.Range(start, start))
        return None if found is None else server.location(found)

    @server.feature(types.TEXT_DOCUMENT_REFERENCES)
    def references(params: types.ReferenceParams) -> list[types.Location]:
        analysis, offset = server.at(params.text_document.uri, params.position)
        found = renaming.references(analysis, offset, server.open_texts(), server.folder)
        return [server.location(each) for each in found]

    @server.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
    def prepare(params: types.PrepareRenameParams) -> types.Range | None:
        try:
            found = renaming.renameable(*server.at(params.text_document.uri, params.position))
        except renaming.CannotRename:
            return None
        return server.positions.range(found.span)

    @server.feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))
    def rename(params: types.RenameParams) -> types.WorkspaceEdit:
        analysis, offset = server.at(params.text_document.uri, params.position)
        try:
            spans = renaming.renamed(analysis, offset, params.new_name, server.open_texts(), server.folder)
        except renaming.CannotRename as error:
            raise JsonRpcInvalidParams(str(error)) from None
        return types.WorkspaceEdit(changes=_edits(server, spans, params.new_name))

    @server.feature(
        types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=list(".:|+>,({ "))
    )
    def complete(params: types.CompletionParams) -> list[types.CompletionItem]:
        items = completion.complete(*server.at(params.text_document.uri, params.position))
        return [_item(each, place) for place, each in enumerate(items)]


def _edits(server: RobServer, spans: Iterable[Span], name: str) -> dict[str, list[types.TextEdit]]:
    changes: dict[str, list[types.TextEdit]] = {}
    for span in spans:
        changes.setdefault(server.uri(span), []).append(types.TextEdit(server.positions.range(span), name))
    return changes


def _item(item: completion.Item, place: int) -> types.CompletionItem:
    about = completion.about(item)
    return types.CompletionItem(
        item.label,
        kind=_KINDS[item.kind],
        detail=item.detail or None,
        documentation=types.MarkupContent(types.MarkupKind.Markdown, about) if about else None,
        insert_text=item.text or None,
        sort_text=f"{place:04}",
    )


def _shown(server: RobServer) -> None:
    """What is known of values: shapes, sizes, drawings."""

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hovered(params: types.HoverParams) -> types.Hover | None:
        said = hover.hover(*server.at(params.text_document.uri, params.position))
        if said is None:
            return None
        text = types.MarkupContent(types.MarkupKind.Markdown, said.text)
        return types.Hover(text, server.positions.range(said.span))

    @server.feature(types.TEXT_DOCUMENT_INLAY_HINT)
    def hinted(params: types.InlayHintParams) -> list[types.InlayHint]:
        analysis, start = server.at(params.text_document.uri, params.range.start)
        end = server.positions.offset(analysis.source, params.range.end)
        return [
            types.InlayHint(
                server.positions.position(analysis.source, each.offset),
                each.text,
                kind=types.InlayHintKind.Type,
                tooltip=each.more,
            )
            for each in hints.hints(analysis, start, end)
        ]

    @server.command(DRAW_CELL)
    def draw(uri: str, position: Any) -> dict[str, str] | None:
        if isinstance(position, types.Position):
            where = position
        else:
            where = types.Position(int(position["line"]), int(position["character"]))
        made = draw_cell(*server.at(uri, where))
        return None if made is None else {"net": made.net, "stage": made.stage, "svg": made.svg}
