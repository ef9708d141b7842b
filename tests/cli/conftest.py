"""The command as a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from robdsl.cli.main import main


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    status: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def robdsl(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """Runs ``robdsl ARGUMENTS`` in an empty folder."""
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))

    def run(*arguments: object) -> Done:
        monkeypatch.setattr("sys.argv", ["robdsl", *map(str, arguments)])
        capsys.readouterr()
        status = main()
        captured = capsys.readouterr()
        return Done(status, captured.out, captured.err)

    return run
