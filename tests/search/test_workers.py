"""Several processes on one study: the same trials as one alone, whoever is killed and when; SQLite and PostgreSQL."""

from __future__ import annotations

import random
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from robdsl.search import open_study
from robdsl.search.study import Study
from tests.search.small import begin, outcome, work, work_alone
from tests.training.processes import start

#: How long the silent are waited for; a killed worker of this machine gives its work back at once.
GRACE = 30.0

#: More seconds than anything takes on a machine that has much else to do.
LONG = 3000

SEARCH: dict[str, Any] = {"filter": "quantile", "threshold": 0.25, "searched": "shared_space", "seed": 54}


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest) -> str | None:
    return str(request.getfixturevalue("postgres")) if request.param == "postgresql" else None


def launch(study: Study, storage: str | None, count: int) -> list[BaseProcess]:
    return [
        start(work_alone, study.folder, storage, study.name if storage else None, GRACE) for _ in range(count)
    ]


def finished(study: Study) -> dict[int, Any]:
    """The trials that Optuna holds for finished, with all that it knows of them."""
    return {each.number: each for each in study.frozen() if each.state.is_finished()}


def reference(folder: Path, trials: int) -> dict[int, dict[str, Any]]:
    """What one worker alone finds."""
    with begin(folder, trials, **SEARCH) as study:
        work(study)
        return outcome(study)


def name_of(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


@pytest.mark.parametrize(
    ("workers", "trials"), [(2, 6), pytest.param(4, 30, marks=pytest.mark.slow)], ids=["quick", "long"]
)
def test_many_find_what_one_finds(
    workers: int, trials: int, storage: str | None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    alone = reference(tmp_path / "alone", trials)
    with begin(
        tmp_path / "s", trials, storage=storage, name=name_of(request), grace=GRACE, **SEARCH
    ) as study:
        processes = launch(study, storage, workers)
        for process in processes:
            process.join(LONG)
        assert [process.exitcode for process in processes] == [0] * workers
        assert outcome(study) == alone
        assert study.leases.held() == {}
        assert [each.number for each in study.frozen()] == list(range(trials))


@pytest.mark.parametrize(
    ("storage", "kills", "trials"),
    [
        pytest.param("sqlite", 4, 6, id="sqlite-quick"),
        pytest.param("postgresql", 4, 6, id="postgresql-quick", marks=pytest.mark.slow),
        pytest.param("sqlite", 12, 24, id="sqlite-long", marks=pytest.mark.slow),
        pytest.param("postgresql", 12, 24, id="postgresql-long", marks=pytest.mark.slow),
    ],
    indirect=["storage"],
)
def test_killed_at_random_moments(
    kills: int, trials: int, storage: str | None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Two workers at a time; again and again one of them is killed and another takes its place."""
    alone = reference(tmp_path / "alone", trials)
    moments = random.Random(0)
    seen: dict[int, Any] = {}
    with begin(
        tmp_path / "s", trials, storage=storage, name=name_of(request), grace=GRACE, **SEARCH
    ) as study:
        processes = launch(study, storage, 2)
        for kill in range(kills):
            before = len(finished(study))
            # Every other time right after something was finished, else at any moment.
            deadline = time.monotonic() + (20 if kill % 2 else moments.uniform(0.05, 2.5))
            while time.monotonic() < deadline and (not kill % 2 or len(finished(study)) == before):
                time.sleep(0.02)
            victim = processes.pop(moments.randrange(2))
            victim.kill()
            victim.join()
            now = finished(study)
            assert {number: now[number] for number in seen} == seen, "a finished trial was lost or changed"
            seen = now
            processes += launch(study, storage, 1)
        for process in processes:
            process.join(LONG)
        assert [process.exitcode for process in processes] == [0, 0]
        now = finished(study)
        assert {number: now[number] for number in seen} == seen
        assert outcome(study) == alone, "no trial is lost, none doubled, each is what one worker finds"
        assert [each.number for each in study.frozen()] == list(range(trials))
    with open_study(tmp_path / "s", storage, name_of(request)) as study:
        assert study.leases.held() == {}


def test_two_start_a_study_at_once(
    storage: str | None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    processes = [start(begin_alone, tmp_path / "s", storage, name_of(request)) for _ in range(3)]
    for process in processes:
        process.join(LONG)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    with open_study(tmp_path / "s", storage, name_of(request), read_only=False) as study:
        assert study.trials() == []


def begin_alone(folder: Path, storage: str | None, name: str) -> None:
    begin(folder, 3, storage=storage, name=name, **SEARCH).close()
