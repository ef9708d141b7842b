"""Where trials live: Optuna's storage, SQLite in a study's folder or PostgreSQL for many machines.

Optuna keeps attributes and distributions as JSON, and nothing here asks it for more: its journal storage and its
CMA-ES sampler, which unpickle what they find, are not used. A database that somebody else made is opened for reading
only, and its schema is not trusted to call functions.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import optuna
import sqlalchemy as sql

from robdsl.search.errors import SearchError

#: How long SQLite waits for another process's write, in seconds.
_PATIENCE = 120

#: The largest SQLite file that is read: a stranger's is not believed to be small.
MAX_DATABASE = 4 << 30

_SCHEMES = ("postgresql+psycopg", "postgresql", "postgres")


def folder_url(path: Path) -> str:
    """The URL of an SQLite file."""
    return f"sqlite:///{path.absolute()}"


def open_storage(url: str, *, read_only: bool = False) -> optuna.storages.RDBStorage:
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
        url, options = f"postgresql+psycopg://{rest}", {"pool_pre_ping": True}
    # Optuna says on stderr what it creates; a command has its own words for that.
    logging.getLogger("optuna").setLevel(logging.WARNING)
    with reachable(url):
        try:
            storage = optuna.storages.RDBStorage(
                url, engine_kwargs=options, skip_table_creation=read_only, skip_compatibility_check=read_only
            )
        except ImportError as error:
            raise SearchError("PostgreSQL needs psycopg: pip install 'robdsl[postgres]'") from error
    if url.startswith("sqlite"):
        sql.event.listen(storage.engine, "connect", _distrust)
        storage.engine.dispose()  # the connections that were made before
    return storage


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


@contextmanager
def reachable(url: str) -> Iterator[None]:
    """Turns what the database complains of into one line."""
    try:
        yield
    except (sql.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
        said = str(getattr(cause, "orig", None) or cause).strip().partition("\n")[0]
        raise SearchError(f"the storage {shown(url)} cannot be used: {said}") from error
    except (LookupError, ValueError, RecursionError, AssertionError) as error:
        raise SearchError(f"the storage {shown(url)} is damaged or none of Optuna's: {error}") from error


def _sqlite(url: str, read_only: bool) -> tuple[str, dict[str, Any]]:
    options: dict[str, Any] = {"connect_args": {"timeout": _PATIENCE}}
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
