"""A plain client of the language server, as an editor is one: JSON-RPC over the pipes of a process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class ServerError(Exception):
    """The server answered with an error."""


class Client:
    """Starts the server and speaks to it; answers are plain JSON.

    Args:
        folder: the folder that the editor has open.
        encodings: what the client says that positions may count.
    """

    def __init__(self, folder: Path, encodings: tuple[str, ...] = ("utf-16",)) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "robdsl", "lsp", "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
        )
        self._number = 0
        self._versions: dict[str, int] = {}
        self.diagnostics: dict[str, list[dict[str, Any]]] = {}
        self.capabilities = self.ask(
            "initialize",
            processId=None,
            rootUri=folder.as_uri(),
            capabilities={"general": {"positionEncodings": list(encodings)}},
        )["capabilities"]
        self.tell("initialized")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.ask("shutdown", _bare=True)
            self.tell("exit", _bare=True)
            assert self._process.wait(20) == 0
        else:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    # --- messages

    def ask(self, method: str, *, _bare: bool = False, **params: Any) -> Any:
        """Sends a request and waits for its answer; what comes before it is taken in."""
        self._number += 1
        self._send({"id": self._number, "method": method, **({} if _bare else {"params": params})})
        while True:
            message = self._receive()
            if message.get("id") == self._number and "method" not in message:
                if "error" in message:
                    raise ServerError(message["error"]["message"])
                return message["result"]
            self._take(message)

    def tell(self, method: str, *, _bare: bool = False, **params: Any) -> None:
        """Sends a notification."""
        self._send({"method": method, **({} if _bare else {"params": params})})

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("method") == "textDocument/publishDiagnostics":
            self.diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif message.get("method") in ("window/logMessage", "window/showMessage"):
            raise AssertionError(message["params"]["message"])  # it has nothing to say but answers

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(data) + data)
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None and self._process.stderr is not None
        length = None
        while (line := self._process.stdout.readline().strip()) or length is None:
            if not line and self._process.poll() is not None:
                raise AssertionError(self._process.stderr.read().decode())
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        message = json.loads(self._process.stdout.read(length))
        assert isinstance(message, dict)
        return message

    # --- what an editor does

    def open(self, path: Path, text: str | None = None) -> str:
        """Opens a text; its address."""
        uri = path.as_uri()
        self._versions[uri] = 1
        text = path.read_text(encoding="utf-8") if text is None else text
        self.tell(
            "textDocument/didOpen", textDocument={"uri": uri, "languageId": "rob", "version": 1, "text": text}
        )
        return uri

    def change(self, uri: str, *changes: dict[str, Any]) -> None:
        """Changes a text: ranges with new texts, or the whole text."""
        self._versions[uri] += 1
        document = {"uri": uri, "version": self._versions[uri]}
        self.tell("textDocument/didChange", textDocument=document, contentChanges=list(changes))

    def about(self, method: str, uri: str, line: int, character: int, **more: Any) -> Any:
        """Asks about a position, counted from 0."""
        position = {"line": line, "character": character}
        return self.ask(f"textDocument/{method}", textDocument={"uri": uri}, position=position, **more)

    def problems(self, uri: str) -> list[dict[str, Any]]:
        """The diagnostics of a text as it is now."""
        self.about("hover", uri, 0, 0)  # answers come in order, so what was sent before is there
        return self.diagnostics[uri]


def place(text: str, words: str, at: str | None = None) -> tuple[int, int]:
    """The line and character where some words stand; of ``at`` within them, where it is given."""
    offset = text.index(words) + (words.index(at) if at is not None else 0)
    line = text.count("\n", 0, offset)
    return line, offset - (text.rfind("\n", 0, offset) + 1)
