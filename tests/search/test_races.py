"""What two workers, or one that was thought dead, do at the same moment: each moment is made here, none is waited for."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sql
import torch
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from robdsl.search import Place, SearchError, emit, open_study, status_of
from robdsl.search.events import StageProgress
from robdsl.search.leases import Claim, LeaseLostError
from robdsl.search.pieces import Pieces
from robdsl.search.scratch import _one
from robdsl.search.storage import made, only_writer, patiently
from robdsl.search.study import Study, locked
from robdsl.search.work import Worker
from robdsl.training.folder import RunFolder
from tests.search.small import begin, blobs, outcome, recipe, work
from tests.search.test_workers import SEARCH

FACTS: dict[str, Any] = {
    "natural_inherited": 0.5,
    "robust_inherited": 0.25,
    "examples": 24,
    "fsp": [1.0, 2.0],
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose trials are drawn and measured, and no more; one repeats another."""
    folder = tmp_path_factory.mktemp("races") / "s"
    with begin(folder, 6, **SEARCH) as study:
        work(study, ("supernet", "sample"))
        assert any(each.duplicate_of is not None for each in study.trials())
        bench = Worker(study, place(), lambda event: None)._bench
        for trial in study.trials():
            if trial.duplicate_of is None:
                with study.leases.claimed(f"filter/{trial.number}") as claim:
                    assert claim is not None
                    bench.measure(trial, claim)
        states = {each.state for each in study.frozen()}
        assert TrialState.RUNNING not in states, "nobody works on what is measured"
    return folder


@pytest.fixture
def study(measured: Path, tmp_path: Path) -> Iterator[Study]:
    shutil.copytree(measured, tmp_path / "s")
    with open_study(tmp_path / "s", read_only=False) as study:
        yield study


def place() -> Place:
    return Place(blobs(), blobs(24, 1), torch.device("cpu"), 0)


def a_trial(study: Study) -> Any:
    return next(each for each in study.trials() if each.measured and not each.finished)


def steal(study: Study, work: str) -> None:
    """Another worker takes a claim over."""
    with study.storage.engine.begin() as connection:
        connection.execute(
            sql.text("UPDATE robdsl_leases SET owner = 'elsewhere' WHERE work = :w"), {"w": work}
        )


def test_a_worker_that_dies_while_it_writes_leaves_nothing(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = outcome(study)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RDBStorage, "set_trial_state_values", die)
    with pytest.raises(KeyboardInterrupt):
        study.finish(a_trial(study), TrialState.PRUNED, {"state": "rejected", **FACTS})
    assert outcome(study) == before


def test_who_was_thought_dead_writes_nothing(study: Study) -> None:
    trial, before, known = a_trial(study), outcome(study), study.attributes()
    template = study.frozen()[0]
    with study.leases.claimed("finetune/1") as claim:
        assert claim is not None
        steal(study, "finetune/1")
        writes: tuple[Callable[[Claim], object], ...] = (
            lambda held: study.begin(trial, held),
            lambda held: study.set_facts(trial, FACTS, held),
            lambda held: study.finish(trial, TrialState.COMPLETE, {"robust_finetuned": 1.0}, held),
            lambda held: study.set_attribute("supernet", {}, held),
            lambda held: study.set_scratch(0, {}, held),
            lambda held: study.add(template, len(before), held),
        )
        for write in writes:
            with pytest.raises(LeaseLostError):
                write(claim)
    assert outcome(study) == before and study.attributes() == known
    assert {each.state for each in study.frozen()} <= {
        TrialState.RUNNING,
        TrialState.WAITING,
        TrialState.FAIL,
    }


def test_what_is_finished_is_not_begun_again(study: Study) -> None:
    """The claim was won after another worker had finished the trial, and the look at it was before."""
    trial = a_trial(study)
    study.finish(trial, TrialState.PRUNED, {"state": "rejected"})
    with study.leases.claimed(f"finetune/{trial.number}") as claim:
        assert claim is not None
        with pytest.raises(LeaseLostError, match="finished by another"):
            study.begin(trial, claim)
        with pytest.raises(LeaseLostError, match="finished by another"):
            study.set_facts(trial, FACTS, claim)
    assert study.frozen()[trial.number].state is TrialState.PRUNED
    assert study.trials()[trial.number].state == "rejected"


def test_no_claim_is_taken_while_its_result_is_written(study: Study) -> None:
    with study.leases.claimed("finetune/1") as claim:
        assert claim is not None
        with open_study(study.folder, read_only=False, grace=-1.0) as other:  # to it all are silent
            took: list[bool] = []
            thread = threading.Thread(target=lambda: took.append(other.leases._take("finetune/1")))
            with only_writer(study.storage, 1) as (connection, _):
                claim.check(connection)
                thread.start()
                thread.join(0.3)
                assert thread.is_alive() and not took
            thread.join()
            assert took == [True]


def test_a_trial_has_the_number_that_was_meant(study: Study) -> None:
    template, count = study.frozen()[0], len(study.frozen())
    with study.leases.claimed("sample") as claim:
        assert claim is not None
        assert study.add(template, count, claim)
        assert not study.add(template, count, claim), "another has added one meanwhile"
        assert len(study.frozen()) == count + 1


def test_the_threshold_is_found_once(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second worker looks before the first has written, and sees more trials than it did."""
    first = Worker(study, place(), lambda event: None)._limit()
    with open_study(study.folder, read_only=False) as other:
        second = Worker(other, place(), lambda event: None)
        second._settle_duplicates()
        monkeypatch.setattr(other, "attributes", dict)
        monkeypatch.setattr(other, "targets", study.targets)
        monkeypatch.setattr("robdsl.search.work.threshold_at", lambda scores, quantile: 1e9)
        assert second._limit() == first
    assert study.attributes()["filter"]["threshold"] == first


def test_draws_that_repeat_have_no_say_in_the_threshold(study: Study) -> None:
    repeated = [each for each in study.trials() if each.duplicate_of is not None]
    for each in repeated:
        study.finish(each, TrialState.PRUNED, FACTS)
    worker = Worker(study, place(), lambda event: None)
    worker._limit()
    assert study.attributes()["filter"]["architectures"] == sum(
        each.measured and each.duplicate_of is None for each in study.trials()
    )


def test_a_folder_that_a_silent_worker_still_holds(study: Study) -> None:
    """It was stopped, its claims lapsed, and its lock on the folder holds as long as it lives."""
    shutil.copytree(study.folder, study.folder.parent / "alone")
    with open_study(study.folder.parent / "alone", read_only=False) as alone:
        work(alone)
        expected = outcome(alone)
    chosen = [each.number for each in study.trials() if each.measured]
    with RunFolder(study.folder / "work" / str(chosen[0]), {}).locked():
        work(study)
        assert outcome(study) == expected
        assert not list((study.folder / "work").iterdir())
        row = study.rows()[0]
        with RunFolder(study.folder / "scratch" / str(row["trial"]), {}).locked():
            examiner = Worker(study, place(), lambda event: None)._bench.examiner
            assert not _one(study, place(), recipe(), row, examiner, lambda event: None)
        assert _one(study, place(), recipe(), row, examiner, lambda event: None)


def test_a_folder_that_another_has_cleared_away(study: Study) -> None:
    told: list[Any] = []
    pieces = Pieces(study, told.append, lambda: True)
    trial = a_trial(study)

    def vanished(_: Any, claim: Claim) -> dict[str, Any]:
        if lost:
            steal(study, f"finetune/{trial.number}")
        raise FileNotFoundError(2, "gone")

    lost = True
    assert not pieces.first_of([trial], "finetune", lambda now: True, vanished)
    with study.storage.engine.begin() as connection:
        connection.execute(sql.text("DELETE FROM robdsl_leases"))
    lost = False
    with pytest.raises(FileNotFoundError):
        pieces.first_of([trial], "finetune", lambda now: True, vanished)
    assert not [each for each in told if isinstance(each, StageProgress)]


def test_one_emits_after_the_other(study: Study) -> None:
    thread = threading.Thread(target=emit, args=(study,))
    with locked(study.folder):
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
    thread.join(30)
    assert (study.folder / "emitted").is_dir()


# --- databases that are away, or put others first


def complaint(kind: type[sql.exc.DBAPIError], orig: Exception) -> sql.exc.DBAPIError:
    return kind("SELECT 1", {}, orig)


def test_a_server_may_be_away_for_a_while() -> None:
    away = [
        complaint(sql.exc.OperationalError, psycopg.errors.DeadlockDetected("deadlock detected")),
        complaint(sql.exc.OperationalError, psycopg.OperationalError("connection refused")),
        complaint(sql.exc.InternalError, psycopg.errors.IdleInTransactionSessionTimeout("was idle")),
        complaint(sql.exc.InterfaceError, psycopg.InterfaceError("connection is closed")),
    ]
    left = list(away)

    def do() -> str:
        if left:
            raise left.pop()
        return "done"

    assert patiently("postgresql+psycopg://me@here/db", do) == "done" and not left
    left = list(away)
    with pytest.raises(SearchError, match="connection is closed"):
        patiently("postgresql+psycopg://me@here/db", do, patience=0.0)


@pytest.mark.parametrize(
    "lasting",
    [
        complaint(sql.exc.OperationalError, sqlite3.OperationalError("database is locked")),  # it has waited
        complaint(sql.exc.ProgrammingError, psycopg.errors.UndefinedTable("there is no such table")),
    ],
)
def test_what_lasts_is_said_at_once(lasting: sql.exc.DBAPIError) -> None:
    calls = 0

    def do() -> None:
        nonlocal calls
        calls += 1
        raise lasting

    with pytest.raises(SearchError, match=r"locked|no such table"):
        patiently("postgresql+psycopg://me@here/db", do)
    assert calls == 1


def test_two_make_the_same_tables() -> None:
    """PostgreSQL tells the second by an index of its own, or that the table exists."""
    complaints = [
        complaint(sql.exc.IntegrityError, psycopg.errors.UniqueViolation("duplicate key value pg_type")),
        complaint(sql.exc.ProgrammingError, psycopg.errors.DuplicateTable('"studies" already exists')),
    ]

    def make() -> str:
        if complaints:
            raise complaints.pop()
        return "made"

    assert made(make) == "made"


def test_a_connection_that_the_server_ends(postgres: str, tmp_path: Path) -> None:
    """In the middle of a write; and between two, to all of them."""
    with begin(tmp_path / "s", 2, storage=postgres, name="ended") as study:
        calls = 0

        def write(storage: RDBStorage) -> None:
            nonlocal calls
            calls += 1
            storage.set_study_user_attr(study._id, "one", calls)
            if calls == 1:
                session = storage.scoped_session()
                pid = session.execute(sql.text("SELECT pg_backend_pid()")).scalar_one()
                end_of(postgres, f"pid = {pid}")
                session.execute(sql.text("SELECT 1"))

        with study.leases.claimed("sample") as claim:
            study._write(write, claim)
            assert study.attributes()["one"] == 2
            end_of(postgres, "pid <> pg_backend_pid() AND application_name = ''")
            assert study.attributes()["one"] == 2
            study.set_attribute("two", 2, claim)
        assert status_of(study).working == {}


def end_of(url: str, which: str) -> None:
    engine = sql.create_engine(url)
    with engine.connect() as connection:
        connection.execute(
            sql.text(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND {which}"
            )
        )
    engine.dispose()


def test_a_database_that_was_left_in_the_middle_of_a_write(study: Study, tmp_path: Path) -> None:
    """As kill -9 leaves it; who only reads cannot put it right, and says who can."""
    left = tmp_path / "left"
    shutil.copytree(study.folder, left)
    database = sqlite3.connect(left / "study.db")
    database.execute("PRAGMA cache_size = 1")
    database.execute("BEGIN IMMEDIATE")
    database.execute("UPDATE trial_user_attributes SET value_json = '0'")
    database.execute("CREATE TABLE big AS SELECT zeroblob(100000) AS x")
    killed = tmp_path / "killed"
    shutil.copytree(left, killed)
    database.rollback()
    database.close()
    with pytest.raises(SearchError, match="robdsl search emit"), open_study(killed) as reader:
        reader.trials()
    with open_study(killed, read_only=False) as writer:
        assert outcome(writer) == outcome(study)
    with open_study(killed) as reader:
        assert outcome(reader) == outcome(study)
