"""Runs the parts of a benchmark in a process of their own, so that one that hangs or breaks the GPU costs itself alone.

The process is given the names of all parts that are left, says on its standard output, a line of JSON each, which it
begins and what it found, and goes on. A part that takes too long, or that ends the process, is noted as failed, and a
new process takes the rest.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from typing import IO, Any

#: What is kept of a part: ``{"rows": [...]}`` or ``{"error": text}``, and ``seconds``.
Outcome = dict[str, Any]


def supervise(
    command: Sequence[str],
    parts: Mapping[str, float],
    keep: Callable[[str, Outcome], None],
    seconds: float,
) -> list[str]:
    """Runs parts until all are done or the time is up.

    Args:
        command: starts the process; the names of the parts are appended.
        parts: in order, with the seconds that each may take.
        keep: is called with the outcome of each part as soon as it is there.
        seconds: for all of them; what is running then is stopped and is not kept.

    Returns:
        The parts that were not finished.
    """
    end = time.monotonic() + seconds
    left = list(parts)
    while left and time.monotonic() < end:
        running: str | None = None
        began = time.monotonic()
        limit = end
        with _started([*command, *left]) as (process, lines, errors):
            while True:
                try:
                    line = lines.get(timeout=max(0.0, min(limit, end) - time.monotonic()))
                except queue.Empty:
                    _stop(process)
                    if running is None or time.monotonic() >= end:
                        return left
                    taken = time.monotonic() - began
                    keep(running, {"error": f"stopped after {taken:.0f} s", "seconds": taken})
                    left.remove(running)
                    break
                if line is None:  # the process has ended
                    status = process.wait()
                    if running is None and left and status == 0:
                        raise RuntimeError("the process ended without a word about what was left to do")
                    if running is None and left:
                        running = left[0]  # it did not even begin
                    if running is not None:
                        said = f"the process ended with {status}: {_tail(errors)}"
                        keep(running, {"error": said, "seconds": time.monotonic() - began})
                        left.remove(running)
                    break
                told = json.loads(line)
                if "begin" in told:
                    running, began = told["begin"], time.monotonic()
                    limit = began + parts[running]
                else:
                    assert running is not None
                    keep(running, told | {"seconds": round(time.monotonic() - began, 1)})
                    left.remove(running)
                    running, limit = None, end
    return left


def report(names: Sequence[str], run: Callable[[str], list[dict[str, Any]]]) -> None:
    """What the process does: runs parts one after the other and tells the one that supervises.

    What a part prints goes to the standard error. An exception is the part's outcome, unless the GPU failed: then
    nothing after it would work, and the process ends.
    """
    told, sys.stdout = sys.stdout, sys.stderr
    for name in names:
        print(json.dumps({"begin": name}), file=told, flush=True)
        try:
            outcome: Outcome = {"rows": run(name)}
        except Exception as error:
            if "CUDA error" in str(error):
                raise
            outcome = {"error": f"{type(error).__name__}: {str(error).strip()[:2000]}"}
        print(json.dumps(outcome), file=told, flush=True)


@contextmanager
def _started(
    command: Sequence[str],
) -> Iterator[tuple[subprocess.Popen[str], queue.SimpleQueue[str | None], IO[str]]]:
    """A process, its lines as they come (None at the end), and the file that it complains into; ended on the way out."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )

        def read() -> None:
            assert process.stdout is not None
            with process.stdout as out:
                for line in filter(str.strip, out):
                    lines.put(line)
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        try:
            yield process, lines, errors
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    """Ends a process and all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _tail(errors: IO[str]) -> str:
    errors.seek(0)
    lines = [line.strip() for line in errors.read()[-4000:].splitlines() if line.strip()]
    return " | ".join(lines[-3:])


def unfinished(
    parts: Mapping[str, float], known: Mapping[str, Outcome], only: Sequence[str]
) -> dict[str, float]:
    """The parts that are to be run: those not known yet, and those named by a pattern that failed before."""

    def wanted() -> Iterator[str]:
        for name in parts:
            named = any(fnmatch(name, pattern) for pattern in only)
            if (named or not only) and (name not in known or (named and "error" in known[name])):
                yield name

    return {name: parts[name] for name in wanted()}
