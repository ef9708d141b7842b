"""The real command in a bounded process, in a folder of its own where every change is seen."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROBDSL = Path(sys.executable).with_name("robdsl")
SECONDS = 60  # of CPU, where the slowest of these takes about ten on a calm machine
MEMORY = 3 << 30  # of data; torch alone takes half a gigabyte
DISK = 64 << 20  # the largest file


@dataclass(frozen=True)
class Jail:
    """A folder with what a stranger sent in ``sent/``, and an empty home and temporary folder beside it."""

    folder: Path

    @property
    def sent(self) -> Path:
        """Where commands run."""
        return self.folder / "sent"

    @property
    def canary(self) -> Path:
        """What the code of strangers makes, if it runs."""
        return self.folder / "canary"

    def file(self, name: str, content: str | bytes) -> Path:
        """Writes what a stranger sent."""
        path = self.sent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def run(self, *arguments: str, output: str | None = None, program: Path = ROBDSL) -> tuple[int, str]:
        """Runs ``robdsl ARGUMENTS``; its exit status and all that it said.

        Fails if it ran into a bound, showed a traceback or control characters, ran code of strangers, or changed
        anything but the file or folder ``output``.
        """
        for name in ("home", "tmp"):
            (self.folder / name).mkdir(exist_ok=True)
        before = self._state()
        done = subprocess.run(
            [program, *arguments],
            cwd=self.sent,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder / "home"),
                "TMPDIR": str(self.folder / "tmp"),
                "OMP_NUM_THREADS": "1",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            preexec_fn=_bounds,
            capture_output=True,
            timeout=4 * SECONDS,
            check=False,
        )
        said = (done.stdout + done.stderr).decode(errors="strict")
        assert done.returncode in (0, 1, 2), f"ended with {done.returncode}\n{said[-2000:]}"
        assert "Traceback" not in said, said[-4000:]
        assert "MemoryError" not in said
        assert all(each.isprintable() or each in "\n\t" for each in said), ascii(said[:2000])
        assert len(said) < 200_000
        assert not self.canary.exists(), "code of a stranger ran"
        allowed = None if output is None else self.sent / output
        after = self._state()
        changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        stray = {
            path
            for path in changed
            if allowed is None or not (path == allowed or path.is_relative_to(allowed))
        }
        assert not stray, f"changed {sorted(map(str, stray))}"
        return done.returncode, said

    def refused(self, *arguments: str, output: str | None = None) -> str:
        """As `run`, where the command must not succeed; what it said."""
        status, said = self.run(*arguments, output=output)
        assert status in (1, 2), said[-2000:]
        assert said.strip()
        return said

    def _state(self) -> dict[Path, bytes | str | None]:
        """Every file with what is in it, links as what they name, folders as nothing."""
        return {
            path: str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else None
            for path in self.folder.rglob("*")
        }


def _bounds() -> None:
    """Of the process to come."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (DISK, DISK))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
