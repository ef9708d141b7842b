"""Who works on what: claims in the study's database that end with the worker that made them.

Optuna's own heartbeat serves ``study.optimize`` only, not ask and tell, and its retry makes a new trial of another
number for one that was lost. Here a trial keeps its number, and a piece of work (``finetune/17``) is claimed by
inserting a row whose key is the work: the database lets one worker do that. The worker renews its claim every few
seconds. A claim is open to others when it was not renewed for a while, or at once when its worker ran on this
machine and is gone.

All times are the database's own, so that workers' clocks need not agree. Where that clock is put back, what it wrote
before then lies in the future, and counts as silence too.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import sqlalchemy as sql

from robdsl.search.errors import SearchError
from robdsl.search.storage import made, patiently

#: Seconds between two renewals, and after how many without one a claim is open to others.
BEAT = 10.0
GRACE = 60.0

_TABLE = sql.Table(
    "robdsl_leases",
    sql.MetaData(),
    sql.Column("study_id", sql.Integer, primary_key=True),
    sql.Column("work", sql.String(128), primary_key=True),
    sql.Column("owner", sql.String(256), nullable=False),
    sql.Column("renewed", sql.Double, nullable=False),
)


class LeaseLostError(SearchError):
    """Another worker has taken the work over: this one was silent for too long."""


class Leases:
    """The claims of one study, as one worker (a process) makes them."""

    def __init__(
        self, engine: sql.Engine, study_id: int, *, beat: float = BEAT, grace: float = GRACE
    ) -> None:
        """Use a database; its table of claims is made if it is not there.

        Args:
            engine: of the database.
            study_id: whose claims.
            beat: seconds between two renewals.
            grace: seconds without one after which others may take the work.
        """
        self._engine, self._study = engine, study_id
        self.url = engine.url.render_as_string(hide_password=False)
        self._beat, self._grace = beat, grace
        self.owner = own_name()
        self._now = _NOW[engine.dialect.name]

    def make_table(self) -> None:
        """Make the table of claims, if it is not there."""
        made(lambda: _TABLE.create(self._engine, checkfirst=True))

    def held(self) -> dict[str, str]:
        """The claims that are alive: owner by work.

        Raises:
            SearchError: the storage cannot be read.
        """
        here = sql.and_(_TABLE.c.study_id == self._study, sql.not_(self._silent()))

        def read() -> list[tuple[str, str]]:
            with self._engine.connect() as connection:
                rows = connection.execute(sql.select(_TABLE.c.work, _TABLE.c.owner).where(here)).all()
                return [(work, owner) for work, owner in rows]

        return {work: owner for work, owner in patiently(self.url, read) if not is_gone(owner)}

    @contextmanager
    def claimed(self, work: str) -> Iterator[Claim | None]:
        """Claim a piece of work for the length of a ``with`` block; None where another worker has it.

        Raises:
            SearchError: the storage cannot be used.
        """
        if not patiently(self.url, lambda: self._take(work)):
            yield None
            return
        claim = Claim(self, work, self._beat)
        try:
            yield claim
        finally:
            claim.end()

    def _take(self, work: str) -> bool:
        row = {"study_id": self._study, "work": work, "owner": self.owner, "renewed": self._now}
        try:
            with self._engine.begin() as connection:
                connection.execute(_TABLE.insert().values(**row))
            return True
        except sql.exc.IntegrityError:
            return self._take_over(work)

    def _take_over(self, work: str) -> bool:
        """Take a claim whose worker has gone or fallen silent; one of several that try gets it."""
        mine = sql.and_(_TABLE.c.study_id == self._study, _TABLE.c.work == work)
        with self._engine.begin() as connection:
            found = connection.execute(sql.select(_TABLE.c.owner, _TABLE.c.renewed).where(mine)).one_or_none()
            if found is None:
                return False  # given back in this moment; whoever asks next may have it
            open_to_all = self._silent()
            if is_gone(found.owner):
                open_to_all = sql.and_(_TABLE.c.owner == found.owner, _TABLE.c.renewed == found.renewed)
            taken = connection.execute(
                _TABLE.update().where(mine, open_to_all).values(owner=self.owner, renewed=self._now)
            )
            return taken.rowcount == 1

    def renew(self, work: str, within: sql.Connection | None = None) -> bool:
        """Renew a claim, in a transaction of its own or within one; False where it is no longer ours."""
        with self._engine.begin() if within is None else nullcontext(within) as connection:
            renewed = connection.execute(_TABLE.update().where(self._own(work)).values(renewed=self._now))
            return renewed.rowcount == 1

    def give_back(self, work: str) -> None:
        """End a claim, if it is ours; where the database does not answer, it ends by itself, in silence."""

        def remove() -> None:
            with self._engine.begin() as connection:
                connection.execute(_TABLE.delete().where(self._own(work)))

        with suppress(SearchError):
            patiently(self.url, remove)

    def _silent(self) -> sql.ColumnElement[bool]:
        """Whether a claim was not renewed for too long, by what the clock says now."""
        return sql.or_(_TABLE.c.renewed < self._now - self._grace, _TABLE.c.renewed > self._now + self._grace)

    def _own(self, work: str) -> sql.ColumnElement[bool]:
        return sql.and_(_TABLE.c.study_id == self._study, _TABLE.c.work == work, _TABLE.c.owner == self.owner)


class Claim:
    """A piece of work that this worker has; renewed by a thread until it ends."""

    def __init__(self, leases: Leases, work: str, beat: float) -> None:
        self._leases, self._work = leases, work
        self._over, self._lost = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._renew, args=(beat,), daemon=True, name=f"claim {work}")
        self._thread.start()

    def check(self, within: sql.Connection | None = None) -> None:
        """Make sure that the work is still ours.

        Args:
            within: the transaction that writes its result, in which nobody else can take the work over.

        Raises:
            LeaseLostError: it is not; the result belongs to whoever has it now.
        """
        if not self._leases.renew(self._work, within):
            self._lost.set()
            self.notice()

    def holds(self) -> bool:
        """Whether the work is still ours."""
        try:
            patiently(self._leases.url, self.check)
        except LeaseLostError:
            return False
        return True

    def notice(self) -> None:
        """As `check`, at no cost, by what the last renewal said.

        Raises:
            LeaseLostError: the work was not ours any more.
        """
        if self._lost.is_set():
            raise LeaseLostError(f"{self._work} was taken over by another worker")

    def end(self) -> None:
        """Stop renewing, and give the work back."""
        self._over.set()
        self._thread.join()
        self._leases.give_back(self._work)

    def _renew(self, beat: float) -> None:
        while not self._over.wait(beat):
            try:
                if not self._leases.renew(self._work):
                    self._lost.set()
                    return
            except sql.exc.SQLAlchemyError:
                continue  # the database is away for a moment; `check` has the last word


def own_name() -> str:
    """Machine, process, when it began, and whose numbers count it: no two workers share it, nor does a later one."""
    return f"{socket.gethostname()}/{_boot()}/{os.getpid()}/{_began(os.getpid())}/{_namespace()}"


def is_gone(owner: str) -> bool:
    """Whether a worker is known to have ended: it ran on this machine, and its process is no more.

    Machines may share a name, and containers on one machine count processes apart: of those nothing is known here, nor
    of what ran before a machine was started anew.
    """
    host, boot, pid, began, namespace = (*owner.split("/"), *[""] * 4)[:5]
    here = (socket.gethostname(), _boot(), _namespace())
    if (host, boot, namespace) != here or not boot or not pid.isdecimal() or began == "?":
        return False
    return _began(int(pid)) not in (began, "?")


def _boot() -> str:
    """Tells one run of the machine (or container) from the next; "" where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _namespace() -> str:
    """Tells the process numbers of one container from those of another; "" where the system does not say."""
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return ""


def _began(pid: int) -> str:
    """When a process began, in ticks since the machine did; "gone" where there is none, "?" where nobody knows."""
    if not Path("/proc/self/stat").exists():
        return "?"
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "?" if _is_hidden(pid) else "gone"
    return "gone" if fields[0] in ("Z", "X") else fields[19]


def _is_hidden(pid: int) -> bool:
    """Whether there is a process that the system does not tell us about, as of other users."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


_NOW: dict[str, sql.ColumnElement[float]] = {
    "sqlite": sql.literal_column("((julianday('now') - 2440587.5) * 86400.0)", sql.Double),
    "postgresql": sql.literal_column("extract(epoch from clock_timestamp())::double precision", sql.Double),
}
"""The database's time in seconds, by its kind."""
