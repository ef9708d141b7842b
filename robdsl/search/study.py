"""A study: its folder, its trials, what is known of each.

Trial k is an architecture, its facts are the trial's user attributes, its robust accuracy is the trial's value. What
comes to be known after a trial is finished (accuracy after training from scratch) is an attribute of the study,
because Optuna keeps finished trials as they are.

Reads wait for a server that is away. All that belongs together is written in one transaction, with the claim of whoever
writes it: a worker that was thought dead and wakes up changes nothing, and one that dies leaves nothing half written.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from robdsl.files import write_atomic
from robdsl.graph.net import Net, Space
from robdsl.search.bank import MAX_ROWS, STATES
from robdsl.search.errors import SearchError
from robdsl.search.leases import BEAT, GRACE, Claim, LeaseLostError, Leases
from robdsl.search.settings import Settings, Targets, read_settings, write_settings
from robdsl.search.space_file import read_space, space_text
from robdsl.search.storage import (
    Result,
    folder_url,
    only_writer,
    open_storage,
    patiently,
    reachable,
    shown,
)

_SCRATCH = "scratch/"
_LOCAL_NAME = "search"
_MAX_TEXT = 1 << 24


@dataclass(frozen=True)
class Trial:
    """One trial as it stood when it was read.

    Attributes:
        number: in the study, from 0.
        id: in the storage.
        facts: its user attributes.
        finished: whether Optuna lets nothing about it be changed any more.
    """

    number: int
    id: int
    facts: Mapping[str, Any]
    finished: bool

    @property
    def state(self) -> str:
        """One of `robdsl.search.bank.STATES`."""
        return str(self.facts.get("state", "sampled"))

    @property
    def duplicate_of(self) -> int | None:
        """The number of an earlier trial with the same hash, or None."""
        found = self.facts.get("duplicate_of")
        return None if found is None else int(found)

    @property
    def measured(self) -> bool:
        """Whether its accuracy with inherited weights is known."""
        return self.facts.get("robust_inherited") is not None


class Study:
    """A study that exists. Made by `create_study` and `open_study`."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        storage: optuna.storages.RDBStorage,
        name: str,
        *,
        beat: float = BEAT,
        grace: float = GRACE,
    ) -> None:
        """Find the study in its storage; the rest is as in `open_study`.

        Raises:
            SearchError: it is not there.
        """
        self.folder, self.settings, self.name = folder, settings, name
        self.storage = storage
        with reachable(storage.url):
            try:
                self._id = storage.get_study_id_from_name(name)
            except KeyError:
                raise SearchError(f"the storage {shown(storage.url)} has no study {name!r}") from None
        self.leases = Leases(storage.engine, self._id, beat=beat, grace=grace)

    @property
    def url(self) -> str:
        """Where the trials are, without a password."""
        return shown(self.storage.url)

    @cached_property
    def space(self) -> Space:
        """The space that is searched."""
        return read_space(self.folder / "space.rob")

    # --- what is known

    def trials(self) -> list[Trial]:
        """All trials up to the target, by number; those whose facts are not yet written included.

        Raises:
            SearchError: the storage cannot be read.
        """
        found = self.frozen()
        if len(found) > MAX_ROWS:
            raise SearchError(f"{self.url} has more than {MAX_ROWS:,} trials")
        return [_trial(each) for each in sorted(found, key=lambda each: each.number)][: self.targets().trials]

    def trial(self, like: Trial) -> Trial:
        """A trial as it is now."""
        return _trial(self._read(lambda: self.storage.get_trial(like.id)))

    def frozen(self) -> list[FrozenTrial]:
        """The trials as Optuna's samplers take them."""
        return self._read(lambda: self.storage.get_all_trials(self._id, deepcopy=False))

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the bank: a row an architecture, without draws that repeat an earlier one."""
        scratch = self.scratch()
        rows = []
        for each in self.trials():
            if "hash" not in each.facts or each.duplicate_of is not None:
                continue
            if each.state not in STATES:
                raise SearchError(f"trial {each.number} of {self.url} has the unknown state {each.state!r}")
            rows.append({**each.facts, "trial": each.number, **scratch.get(each.number, {})})
        return rows

    def scratch(self) -> dict[int, dict[str, Any]]:
        """What was found after training from scratch, by trial."""
        found = {}
        for key, value in self.attributes().items():
            number = key.removeprefix(_SCRATCH)
            if key.startswith(_SCRATCH) and number.isdecimal() and isinstance(value, dict):
                found[int(number)] = value
        return found

    def attributes(self) -> dict[str, Any]:
        """Facts of the study itself."""
        return self._read(lambda: self.storage.get_study_user_attrs(self._id))

    def targets(self) -> Targets:
        """How far it shall be taken."""
        return Targets.from_json(self.attributes().get("targets", {}))

    # --- what is to be known
    #
    # Each is written whole or not at all, and, where a claim is given, only while it holds; LeaseLostError otherwise.

    def set_attribute(self, name: str, value: Any, claim: Claim | None = None) -> None:
        """Write a fact of the study."""
        self._write(lambda storage: storage.set_study_user_attr(self._id, name, value), claim)

    def attribute_once(self, name: str, value: Any) -> Any:
        """A fact of the study that never changes: ``value``, unless another was written before."""

        def write(storage: optuna.storages.RDBStorage) -> Any:
            known = storage.get_study_user_attrs(self._id)
            if name not in known:
                storage.set_study_user_attr(self._id, name, value)
            return known.get(name, value)

        return self._write(write)

    def set_targets(self, targets: Targets) -> None:
        """Take the study further, or less far."""
        self.set_attribute("targets", targets.to_json())

    def set_scratch(self, number: int, facts: Mapping[str, Any], claim: Claim) -> None:
        """Write what training from scratch gave."""
        self.set_attribute(f"{_SCRATCH}{number}", dict(facts), claim)

    def add(self, template: FrozenTrial, number: int, claim: Claim) -> bool:
        """Add a trial whole, if ``number`` is the next; whether it was."""

        def write(storage: optuna.storages.RDBStorage) -> None:
            if storage.get_trial(storage.create_new_trial(self._id, template)).number != number:
                raise _AnotherNumber

        try:
            self._write(write, claim)
        except _AnotherNumber:
            return False
        return True

    def begin(self, trial: Trial, claim: Claim) -> None:
        """Show that somebody works on a trial."""
        self._change(trial, claim, {}, TrialState.RUNNING)

    def set_facts(self, trial: Trial, facts: Mapping[str, Any], claim: Claim) -> None:
        """Write facts of a trial that is not finished, on which nobody works for now."""
        self._change(trial, claim, facts, TrialState.WAITING)

    def finish(
        self, trial: Trial, state: TrialState, facts: Mapping[str, Any], claim: Claim | None = None
    ) -> None:
        """Write the last facts of a trial, its values, and that it is finished.

        Several workers may settle one trial without a claim, from the same facts: the first does.
        """
        values = self.values({**trial.facts, **facts}) if state is TrialState.COMPLETE else None
        self._change(trial, claim, facts, state, values)

    def _change(
        self,
        trial: Trial,
        claim: Claim | None,
        facts: Mapping[str, Any],
        state: TrialState,
        values: list[float] | None = None,
    ) -> None:
        def write(storage: optuna.storages.RDBStorage) -> None:
            if storage.get_trial(trial.id).state.is_finished():
                if claim is None:
                    return
                raise LeaseLostError(f"trial {trial.number} was finished by another worker")
            for name, value in facts.items():
                storage.set_trial_user_attr(trial.id, name, value)
            storage.set_trial_state_values(trial.id, state, values)

        self._write(write, claim)

    def _read(self, read: Callable[[], Result]) -> Result:
        return patiently(self.storage.url, read)

    def _write(
        self, write: Callable[[optuna.storages.RDBStorage], Result], claim: Claim | None = None
    ) -> Result:
        def once() -> Result:
            with only_writer(self.storage, self._id) as (connection, storage):
                if claim is not None:
                    claim.check(connection)
                return write(storage)

        return patiently(self.storage.url, once)

    def values(self, facts: Mapping[str, Any]) -> list[float]:
        """The objectives of an evaluated trial."""
        judged = "robust_inherited" if self.settings.finetune is None else "robust_finetuned"
        values = [float(facts[judged])]
        if len(self.settings.directions) > 1:
            values.append(float(facts[self.settings.against]))
        return values

    def net(self, trial: Trial) -> Net:
        """The architecture of a trial."""
        return self.space.net(trial.facts["alpha"])

    def close(self) -> None:
        """Let go of the database."""
        self.storage.remove_session()
        self.storage.engine.dispose()

    def __enter__(self) -> Study:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def create_study(
    folder: str | Path,
    settings: Settings,
    space: Space,
    targets: Targets,
    storage: str | None = None,
    name: str | None = None,
    *,
    beat: float = BEAT,
    grace: float = GRACE,
) -> Study:
    """Begin a study, or go on with the one that is there.

    Args:
        folder: made if it is not there.
        settings: what decides its results; those of a study that is there must be the same.
        space: what is searched.
        targets: how far to take it.
        storage: the URL of PostgreSQL; SQLite in the folder where None.
        name: in the storage; the folder's where None. A study in SQLite is always called ``search``.
        beat: seconds between two signs of life of a worker.
        grace: seconds without one after which its work is given to others.

    Raises:
        SearchError: another study is there, or the storage cannot be used.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        path = folder / "study.json"
        if path.exists():
            _same(folder, settings, read_settings(path))
        else:
            if any(each.name != ".lock" and not each.name.endswith(".tmp") for each in folder.iterdir()):
                raise SearchError(f"{folder} has other things in it: give a study a folder of its own")
            write_atomic(folder / "space.rob", space_text(space).encode())
            place = {
                "storage": None if storage is None else shown(storage),
                "name": name or folder.absolute().name,
            }
            write_atomic(folder / "place.json", json.dumps(place, indent=2).encode() + b"\n")
            write_settings(path, settings)
        url, known_as = _place(folder, storage, name)
        opened = open_storage(url)
        with reachable(url):
            try:
                directions = [optuna.study.StudyDirection[each.upper()] for each in settings.directions]
                opened.create_new_study(directions, known_as)
            except optuna.exceptions.DuplicatedStudyError:
                pass
        study = Study(folder, settings, opened, known_as, beat=beat, grace=grace)
        with reachable(url):
            study.leases.make_table()
        kept = study.attribute_once("settings", settings.to_json())
        _same(f"the study {known_as!r} in {study.url}", settings, Settings.from_json(kept))
    study.set_targets(targets)
    return study


def open_study(
    folder: str | Path,
    storage: str | None = None,
    name: str | None = None,
    *,
    read_only: bool = True,
    beat: float = BEAT,
    grace: float = GRACE,
) -> Study:
    """A study that is there.

    Args:
        folder: its own, or a copy with ``study.json``, ``place.json`` and ``space.rob``.
        storage: as in `create_study`. A folder is not believed about a server, so it must be named again.
        name: in the storage, where it is another than the folder says.
        read_only: change nothing.
        beat: as in `create_study`.
        grace: as in `create_study`.

    Raises:
        SearchError: there is no such study, or its storage cannot be used.
    """
    folder = Path(folder)
    settings = read_settings(folder / "study.json")
    url, known_as = _place(folder, storage, name)
    study = Study(folder, settings, open_storage(url, read_only=read_only), known_as, beat=beat, grace=grace)
    if not read_only:
        kept = study.attributes().get("settings")
        _same(f"the study {known_as!r} in {study.url}", settings, Settings.from_json(kept))
        with reachable(url):
            study.leases.make_table()
    return study


def _place(folder: Path, storage: str | None, name: str | None) -> tuple[str, str]:
    """The URL of the trials and the study's name there."""
    path = folder / "place.json"
    try:
        place = json.loads(path.read_bytes()[:_MAX_TEXT])
        kept, known_as = place["storage"], name or str(place["name"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise SearchError(f"{folder} is no study: {path.name} is missing or damaged") from None
    if storage is not None:
        return storage, known_as
    if kept is not None:
        raise SearchError(f"the trials of {folder} are in {kept}: name it with --storage or ROBDSL_STORAGE")
    return folder_url(folder / "study.db"), _LOCAL_NAME


def _same(where: object, mine: Settings, theirs: Settings) -> None:
    different = mine.differences(theirs)
    if different:
        listed = "; ".join(different[:6])
        raise SearchError(
            f"{where} is another study ({listed}): take another folder and --name, or the same settings"
        )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from what is done to a study's folder under this lock, which ends with the process."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class _AnotherNumber(Exception):
    pass


def _trial(found: FrozenTrial) -> Trial:
    return Trial(found.number, found._trial_id, found.user_attrs, found.state.is_finished())


__all__ = ["Study", "Trial", "create_study", "locked", "open_study"]
