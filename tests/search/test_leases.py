"""One worker has a piece of work, until it gives it back, dies or falls silent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql

from robdsl.search.leases import LeaseLostError, Leases, is_gone, own_name

CLAIM_AND_WAIT = """
import sys, time
import sqlalchemy as sql
from robdsl.search.leases import Leases
leases = Leases(sql.create_engine(sys.argv[1]), 1)
leases._take("finetune/3")
print("claimed", flush=True)
time.sleep(60)
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sql.Engine]:
    engine = sql.create_engine(f"sqlite:///{tmp_path / 'study.db'}", connect_args={"timeout": 30})
    Leases(engine, 1).make_table()
    yield engine
    engine.dispose()


def worker(engine: sql.Engine, name: str, **options: Any) -> Leases:
    leases = Leases(engine, 1, **options)
    leases.owner = name
    return leases


def test_one_has_it_until_it_is_given_back(engine: sql.Engine) -> None:
    one, other = worker(engine, "elsewhere/1"), worker(engine, "elsewhere/2")
    with one.claimed("finetune/3") as claim:
        assert claim is not None
        assert one.held() == {"finetune/3": "elsewhere/1"}
        with other.claimed("finetune/3") as second:
            assert second is None
        with other.claimed("finetune/4") as another:
            assert another is not None
        claim.check()
    assert one.held() == {}
    with other.claimed("finetune/3") as now:
        assert now is not None


def test_studies_do_not_meet(engine: sql.Engine) -> None:
    with Leases(engine, 1).claimed("supernet") as one, Leases(engine, 2).claimed("supernet") as two:
        assert one is not None and two is not None


def test_the_silent_one_loses_it_to_just_one(engine: sql.Engine) -> None:
    silent = worker(engine, "elsewhere/1", beat=3600, grace=0.2)
    with silent.claimed("finetune/3") as claim:
        assert claim is not None
        time.sleep(0.3)
        others = [worker(engine, f"elsewhere/{n}", beat=3600, grace=0.2) for n in (2, 3, 4)]
        assert [each._take("finetune/3") for each in others] == [True, False, False]
        with pytest.raises(LeaseLostError):
            claim.check()
    assert silent.held() == {"finetune/3": "elsewhere/2"}, "who lost it cannot give it back"


def test_who_renews_keeps_it(engine: sql.Engine) -> None:
    one, other = worker(engine, "elsewhere/1", beat=0.05, grace=0.4), worker(engine, "elsewhere/2", grace=0.4)
    with one.claimed("finetune/3"):
        time.sleep(0.8)
        with other.claimed("finetune/3") as second:
            assert second is None


def test_a_killed_worker_of_this_machine_loses_it_at_once(engine: sql.Engine) -> None:
    command = [sys.executable, "-c", CLAIM_AND_WAIT, str(engine.url)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "claimed\n"
        mine = Leases(engine, 1)
        with mine.claimed("finetune/3") as claim:
            assert claim is None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert mine.held() == {}
        with mine.claimed("finetune/3") as claim:
            assert claim is not None


def test_a_claim_from_the_future_is_open(engine: sql.Engine) -> None:
    """The database's clock was put back after the last renewal."""
    one, other = worker(engine, "elsewhere/1", beat=3600), worker(engine, "elsewhere/2", beat=3600)
    with one.claimed("finetune/3"):
        with engine.begin() as connection:
            connection.execute(sql.text("UPDATE robdsl_leases SET renewed = renewed + 3600"))
        assert other.held() == {}
        with other.claimed("finetune/3") as second:
            assert second is not None


def test_who_lost_it_notices_without_asking(engine: sql.Engine) -> None:
    one, other = worker(engine, "elsewhere/1", beat=3600, grace=-1), worker(engine, "elsewhere/2", grace=-1)
    with one.claimed("finetune/3") as claim:
        assert claim is not None
        assert other._take("finetune/3")
        claim.notice()  # nothing is known of it yet
        assert not claim.holds()
        with pytest.raises(LeaseLostError):
            claim.notice()


def test_who_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = own_name()
    assert not is_gone(mine)
    host, boot, pid, began, namespace = mine.split("/")
    assert is_gone(f"{host}/{boot}/{pid}/{int(began) - 1}/{namespace}"), "another process had our number"
    assert is_gone(f"{host}/{boot}/{2**22 + 1}/1/{namespace}"), "there is no such process"
    assert is_gone(f"{host}/{boot}/{10**30}/1/{namespace}")
    assert not is_gone(f"elsewhere/{boot}/{pid}/1/{namespace}"), "nobody here knows"
    assert not is_gone(f"{host}/another/{pid}/1/{namespace}"), "a machine of our name, or ours before"
    assert not is_gone(f"{host}/{boot}/{2**22 + 1}/1/another"), "a container counts its own processes"
    assert not is_gone("nonsense")

    def refused(pid: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)
    assert not is_gone(f"{host}/{boot}/{2**22 + 1}/1/{namespace}"), "a process of others, which we cannot see"
