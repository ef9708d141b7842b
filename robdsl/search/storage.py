"""Where trials live: Optuna's storage, SQLite in a study's folder or PostgreSQL for many machines.

Optuna keeps attributes and distributions as JSON, and nothing here asks it for more: its journal storage and its
CMA-ES sampler, which unpickle what they find, are not used. A database that somebody else made is opened for reading
only, and its schema is not trusted to call functions.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote

import optuna
import sqlalchemy as sql
from optuna.storages import RDBStorage
from sqlalchemy import orm

from robdsl.search.errors import SearchError

Result = TypeVar("Result")

#: How long another process's write is waited for, or a server that is away, in seconds.
PATIENCE = 600.0

#: A server ends the transaction of a worker that has fallen silent in the middle of one, in seconds.
_SILENCE = 60

#: The largest SQLite file that is read: a stranger's is not believed to be small.
MAX_DATABASE = 4 << 30

#: What the server calls a transaction that it ended for silence: this process was stopped, or had no share of the processor.
_WAS_IDLE = "25P03"

#: Tells our locks on a server from those of others; any number would do.
_LOCKS = 0x0B0D51

_SCHEMES = ("postgresql+psycopg", "postgresql", "postgres")


def folder_url(path: Path) -> str:
    """The URL of an SQLite file."""
    return f"sqlite:///{path.absolute()}"


def open_storage(url: str, *, read_only: bool = False) -> RDBStorage:
    """The storage at a URL; its tables are made if they are not there, unless it is only read.

    Args:
        url: ``sqlite:///PATH``, or ``postgresql+psycopg://USER@HOST/DATABASE``.
        read_only: change nothing, whatever the file says.

    Raises:
        SearchError: it is no such URL, cannot be reached or is none of Optuna's.
    """
    if url.startswith("sqlite:///"):
        url, options = _sqlite(url, read_only)
    else:
        scheme, _, rest = url.partition("://")
        if scheme not in _SCHEMES:
            raise SearchError(
                f"{shown(url)} is no storage: give postgresql+psycopg://USER@HOST/DATABASE, or nothing for SQLite "
                "in the study's folder"
            )
        # Each statement sees what others have committed before it, whatever the server's default is.
        url, options = (
            f"postgresql+psycopg://{rest}",
            {"pool_pre_ping": True, "isolation_level": "READ COMMITTED"},
        )
    # Optuna says on stderr what it creates; a command has its own words for that.
    logging.getLogger("optuna").setLevel(logging.WARNING)

    def opened() -> RDBStorage:
        return RDBStorage(
            url, engine_kwargs=options, skip_table_creation=read_only, skip_compatibility_check=read_only
        )

    with reachable(url):
        try:
            storage = opened() if read_only else made(opened)
        except ImportError as error:
            raise SearchError("PostgreSQL needs psycopg: pip install 'robdsl[postgres]'") from error
    sql.event.listen(
        storage.engine, "connect", _distrust if url.startswith("sqlite") else _expect_signs_of_life
    )
    storage.engine.dispose()  # the connections that were made before
    return storage


def made(make: Callable[[], Result]) -> Result:
    """Make tables that are not there; again where another process makes the same ones at this moment."""
    for _ in range(4):
        try:
            return make()
        except (sql.exc.IntegrityError, sql.exc.ProgrammingError, sql.exc.OperationalError) as error:
            if "exist" not in str(error) and "duplicate" not in str(error).lower():
                raise
            time.sleep(random.uniform(0.05, 0.2))
    return make()


def patiently(url: str, do: Callable[[], Result], patience: float = PATIENCE) -> Result:
    """Do something with the database; again, for a while, where a server was away or put others first.

    Args:
        url: of the storage.
        do: may be done twice: a server can have done it and vanish before it says so.
        patience: in seconds.

    Raises:
        SearchError: as `reachable`.
    """
    pause, deadline = 0.05, time.monotonic() + patience
    while True:
        try:
            with reachable(url):
                return do()
        except SearchError as error:
            if not _passes(error) or time.monotonic() + pause > deadline:
                raise
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, 5.0)


@contextmanager
def only_writer(storage: RDBStorage, key: int) -> Iterator[tuple[sql.Connection, RDBStorage]]:
    """One transaction, and no other writer of the same key meanwhile: what is read in it still holds when it writes.

    Optuna looks and writes in transactions of its own, and on SQLite it looks before its transaction begins; between the
    two a trial may be finished by others.

    Args:
        storage: the storage.
        key: what is written to; on SQLite, all is.

    Yields:
        The connection, and the storage as seen through it. All is written when the block ends, or nothing.
    """
    with storage.engine.connect() as connection, connection.begin():
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(sql.select(sql.func.pg_advisory_xact_lock(_LOCKS, key)))
        sessions = orm.scoped_session(
            orm.sessionmaker(bind=connection, join_transaction_mode="create_savepoint")
        )
        inside = object.__new__(RDBStorage)
        inside.__dict__.update(storage.__dict__, scoped_session=sessions)
        try:
            yield connection, inside
        finally:
            sessions.remove()


def shown(url: str) -> str:
    """A URL without its password, to be printed and kept; of an SQLite file, its path."""
    if url.startswith("sqlite:///"):
        return unquote(url.removeprefix("sqlite:///").removeprefix("file:").partition("?mode=ro")[0])
    try:
        parts = sql.make_url(url)
        bare = sql.URL.create(
            parts.drivername, parts.username, None, parts.host, parts.port, parts.database, parts.query
        )
        return bare.render_as_string()
    except (sql.exc.ArgumentError, ValueError):
        return url.partition("://")[0] + "://..."


def _passes(error: SearchError) -> bool:
    """Whether a complaint is of a kind that time may heal: a server is away, starts again, or saw a deadlock."""
    cause = error.__cause__
    if isinstance(cause, optuna.exceptions.StorageInternalError):
        cause = cause.__cause__
    if not isinstance(cause, sql.exc.DBAPIError) or isinstance(cause.orig, sqlite3.Error):
        return False  # SQLite has waited already, inside
    return isinstance(cause, sql.exc.OperationalError | sql.exc.InterfaceError) or (
        getattr(cause.orig, "sqlstate", None) == _WAS_IDLE
    )


@contextmanager
def reachable(url: str) -> Iterator[None]:
    """Turns what the database complains of into one line."""
    try:
        yield
    except (sql.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
        orig = getattr(cause, "orig", None)
        if getattr(orig, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY_ROLLBACK:
            raise SearchError(
                f"{shown(url)} was left in the middle of a write by a process that was killed, and reading changes "
                "nothing: any command that works on the study puts it right, such as `robdsl search emit`"
            ) from error
        said = str(orig or cause).strip().partition("\n")[0]
        raise SearchError(f"the storage {shown(url)} cannot be used: {said}") from error
    except (LookupError, ValueError, RecursionError, AssertionError) as error:
        raise SearchError(f"the storage {shown(url)} is damaged or none of Optuna's: {error}") from error


def _sqlite(url: str, read_only: bool) -> tuple[str, dict[str, Any]]:
    options: dict[str, Any] = {"connect_args": {"timeout": PATIENCE}}
    if not read_only:
        return url, options
    path = Path(url.removeprefix("sqlite:///"))
    if not path.is_file():
        raise SearchError(f"{path.parent} has no trials yet: there is no {path.name}")
    if path.stat().st_size > MAX_DATABASE:
        raise SearchError(f"{path} is larger than the {MAX_DATABASE:,} bytes that are read")
    return f"sqlite:///file:{quote(str(path))}?mode=ro&uri=true", options


def _distrust(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA trusted_schema = OFF")


def _expect_signs_of_life(connection: Any, _record: Any) -> None:
    """Let the server not wait for ever for a worker whose machine is gone, with all others behind it."""
    connection.execute(f"SET idle_in_transaction_session_timeout = '{_SILENCE}s'")
    connection.execute(f"SET lock_timeout = '{PATIENCE:.0f}s'")
    connection.commit()
