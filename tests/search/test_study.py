"""What a study's folder and storage hold, what is refused, and what strangers may put there."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from robdsl.search import SearchError, open_study, read_bank
from robdsl.search.heritage import adopt_heritage
from robdsl.search.settings import Settings
from robdsl.search.storage import open_storage, shown
from tests.search.small import begin, recipe, settings, space, work


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose trials are drawn, and no more."""
    folder = tmp_path_factory.mktemp("study") / "s"
    with begin(folder, 3) as study:
        work(study, ("sample",))
    return folder


@pytest.fixture
def copied(drawn: Path, tmp_path: Path) -> Path:
    shutil.copytree(drawn, tmp_path / "s")
    return tmp_path / "s"


def test_the_folder_tells_all(drawn: Path) -> None:
    assert {each.name for each in drawn.iterdir() if not each.name.startswith(".")} == {
        "study.json", "place.json", "space.rob", "study.db",
    }  # fmt: skip
    with open_study(drawn) as study:
        assert study.settings == settings()
        assert study.space.size() == space().size()
        assert [pick.opens for pick in study.space.picks] == [pick.opens for pick in space().picks]
        assert study.space.net(space().sample(5).alpha).hash == space().sample(5).hash


def test_a_trial_may_be_finished_by_two_at_once(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second looks before the first has finished, and writes after it."""
    with open_study(copied, read_only=False) as study:
        stale = study.trials()[0]
        study.finish(stale, TrialState.PRUNED, {"state": "rejected"})
        monkeypatch.setattr(study, "trial", lambda like: like)
        study.finish(stale, TrialState.PRUNED, {"state": "rejected"})
        assert study.trials()[0].state == "rejected"
        study.finish(stale, TrialState.FAIL, {"state": "failed"})
        assert study.trials()[0].state == "rejected"


def test_settings_survive_json() -> None:
    for each in (
        settings(),
        settings(finetune=None, sampler="nsga2"),
        settings(filter="value", threshold=1.5),
    ):
        assert Settings.from_json(json.loads(json.dumps(each.to_json()))) == each


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sampler": "best"}, "sampler must be one of"),
        ({"filter": "quantile", "threshold": 1.0}, "quantile"),
        ({"filter": "quantile", "threshold": 0.1, "sampler": "tpe"}, "filter by a value"),
        ({"deeper": 0.0}, "deeper"),
        ({"val_fraction": 1.0}, "held out"),
        ({"images": 0}, "images"),
        ({"attack": "pgd20,fgsm"}, "one attack"),
        ({"attack": "nonsense"}, "no attack"),
    ],
)
def test_settings_make_sense(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        settings(**changes)


def test_another_search_in_the_folder_is_refused(copied: Path) -> None:
    with pytest.raises(SearchError, match=r"seed is 0 there and 1 here"):
        begin(copied, 3, seed=1)
    with pytest.raises(SearchError, match=r"finetune.lr is 0.05 there and 0.1 here"):
        begin(copied, 3, recipe_for_finetuning=recipe(lr=0.1))
    (copied.parent / "full").mkdir()
    (copied.parent / "full" / "thesis.tex").write_text("")
    with pytest.raises(SearchError, match="other things in it"):
        begin(copied.parent / "full", 3)


def test_where_there_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="is no study"):
        open_study(tmp_path)
    with pytest.raises(SearchError, match="is no study"):
        read_bank(tmp_path)


def test_a_folder_is_not_believed_about_a_server(copied: Path) -> None:
    """It would have us connect to wherever it says."""
    (copied / "place.json").write_text('{"storage": "postgresql+psycopg://me@elsewhere/db", "name": "s"}')
    with pytest.raises(
        SearchError, match=r"in postgresql\+psycopg://me@elsewhere/db: name it with --storage"
    ):
        read_bank(copied)


def test_only_known_storages(tmp_path: Path) -> None:
    for url in ("mysql://me@here/db", "redis://here", "file.log", "sqlite+other:///x"):
        with pytest.raises(SearchError, match="no storage"):
            open_storage(url)
    with pytest.raises(SearchError, match="cannot be used"):
        open_storage(f"postgresql+psycopg://me@/db?host={tmp_path}")


def test_passwords_are_not_shown() -> None:
    assert "secret" not in shown("postgresql+psycopg://me:secret@here/db")
    assert shown("postgresql+psycopg://me:secret@here/db") == "postgresql+psycopg://me@here/db"


@pytest.mark.parametrize("name", ["study.json", "place.json"])
@pytest.mark.parametrize("content", ["", "[]", "{}", "[" * 100_000, '{"version": 1}', "\x00\xff"])
def test_damaged_files_are_told(name: str, content: str, copied: Path) -> None:
    (copied / name).write_text(content)
    with pytest.raises(SearchError):
        read_bank(copied)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE trial_user_attributes SET value_json = '[' WHERE key = 'alpha'",
        "UPDATE trial_user_attributes SET value_json = '\"x\"' WHERE key = 'params'",
        "UPDATE trial_user_attributes SET value_json = '\"asleep\"' WHERE key = 'state'",
        "UPDATE trials SET state = 'ASLEEP'",
        "DELETE FROM studies",
        "DROP TABLE trials",
        "UPDATE study_user_attributes SET value_json = '[1]' WHERE key = 'targets'",
    ],
)
def test_damaged_trials_are_told(sql: str, copied: Path) -> None:
    with sqlite3.connect(copied / "study.db") as database:
        database.execute(sql)
    database.close()
    with pytest.raises(SearchError):
        read_bank(copied)


def test_reading_writes_nothing_and_runs_nothing(copied: Path) -> None:
    """Neither a trigger nor a view that calls functions gets its way, and a pickle is but text."""
    with sqlite3.connect(copied / "study.db") as database:
        database.execute("CREATE TRIGGER t AFTER UPDATE ON trials BEGIN DELETE FROM trials; END")
        database.execute(
            "INSERT INTO study_system_attributes (study_id, key, value_json) VALUES (1, 'cma:optimizer', '\"80049503\"')"
        )
    database.close()
    before = {each: each.read_bytes() for each in copied.iterdir()}
    assert len(read_bank(copied)) == 3
    assert {each: each.read_bytes() for each in copied.iterdir()} == before
    (copied / "study.db").write_bytes(b"no database at all")
    with pytest.raises(SearchError):
        read_bank(copied)
    (copied / "study.db").unlink()
    with pytest.raises(SearchError, match="no trials yet"):
        read_bank(copied)


def test_a_supernet_serves_another_study(tmp_path: Path) -> None:
    with begin(tmp_path / "one", 2) as one, begin(tmp_path / "two", 2, sampler="predictor") as two:
        with pytest.raises(SearchError, match="no trained supernet"):
            adopt_heritage(two, one.folder)
        work(one, ("supernet",))
        adopt_heritage(two, one.folder)
        assert two.attributes()["supernet"]["weights"] == one.attributes()["supernet"]["weights"]
        work(two)
        assert all(each.state == "evaluated" for each in two.trials())
        three = begin(tmp_path / "three", 2, searched="wide_space")
        with three, pytest.raises(SearchError, match="other stages"):
            adopt_heritage(three, one.folder)
        four = begin(tmp_path / "four", 2, data_hashes={"train": "0", "val": "1"})
        with four, pytest.raises(SearchError, match="trained on other images"):
            adopt_heritage(four, one.folder)


def test_weights_that_were_changed_are_not_those_of_the_study(tmp_path: Path) -> None:
    with begin(tmp_path / "s", 1) as study:
        work(study, ("supernet", "sample"))
        weights = tmp_path / "s" / "supernet" / "last.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
        with pytest.raises(SearchError, match="not the supernet"):
            work(study, ("filter",))
        weights.unlink()
        with pytest.raises(SearchError, match="trained elsewhere"):
            work(study, ("filter",))
