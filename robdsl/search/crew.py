"""Several workers on this machine, each a process of its own."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from robdsl.attacks import MissingBackendError
from robdsl.data import DataError, load_data
from robdsl.diagnostics.diagnostic import RobError
from robdsl.files import DiskFullError
from robdsl.search.bench import Place
from robdsl.search.errors import SearchError
from robdsl.search.leases import BEAT, GRACE
from robdsl.search.scratch import retrain
from robdsl.search.settings import Settings
from robdsl.search.study import Study, open_study
from robdsl.search.work import StageName, Worker
from robdsl.training import Recipe, TrainingError
from robdsl.weights import WeightsError

#: What a worker reports in one line; anything else is a fault of the program, and shows as one.
_SPOKEN = (SearchError, DataError, TrainingError, WeightsError, DiskFullError, RobError, MissingBackendError)


@dataclass(frozen=True)
class Job:
    """What a worker process is told.

    Attributes:
        folder: of the study.
        storage, name: as in `open_study`.
        stages: to do.
        scratch: trials to train from scratch instead, and how.
        data_root: where data lie.
        device: where to compute.
        readers: reading processes for data that stays on disk.
        keep_weights: see `Place`.
        threads: of torch.
        beat, grace: see `robdsl.search.leases`.
    """

    folder: Path
    storage: str | None
    name: str | None
    stages: tuple[StageName, ...]
    data_root: Path | None = None
    device: str = "cpu"
    readers: int = 0
    keep_weights: bool = False
    threads: int = 1
    scratch: tuple[tuple[int, ...], Recipe] | None = None
    beat: float = BEAT
    grace: float = GRACE


def place_for(
    settings: Settings,
    data_root: Path | None,
    device: torch.device,
    *,
    readers: int = 4,
    keep_weights: bool = False,
) -> Place:
    """The data of a study, on a device.

    Raises:
        DataError: they are not there.
    """
    train, held = (
        load_data(settings.data, data_root, split, val_fraction=settings.val_fraction)
        for split in ("train", "val")
    )
    return Place(train, held, device, readers, keep_weights)


def run_crew(job: Job, count: int, look: Callable[[], None], every: float = 2.0) -> None:
    """Run several workers until they are done.

    They end with this process: between two pieces of work each looks whether it is still there.

    Args:
        job: of each.
        count: how many.
        look: called every few seconds meanwhile.
        every: how often, in seconds.

    Raises:
        SearchError: a worker met something that it could not go on with, or none was left to finish.
    """
    context = multiprocessing.get_context("spawn")
    processes: list[BaseProcess] = []
    ears: list[Connection] = []
    for _ in range(count):
        ear, mouth = context.Pipe(duplex=False)
        processes.append(context.Process(target=_work, args=(job, os.getpid(), mouth), daemon=True))
        processes[-1].start()
        mouth.close()
        ears.append(ear)
    try:
        while any(process.is_alive() for process in processes):
            multiprocessing.connection.wait(
                [process.sentinel for process in processes if process.is_alive()], every
            )
            look()
    finally:
        for process in processes:
            process.kill()
            process.join()
    said = [text for ear in ears if (text := _said(ear)) is not None]
    if said:
        raise SearchError(said[0])
    if all(process.exitcode != 0 for process in processes):
        codes = ", ".join(str(process.exitcode) for process in processes)
        raise SearchError(
            f"every worker was stopped (exit status {codes}) before the end; nothing finished is lost: run the same "
            "command again"
        )


def _said(ear: Connection) -> str | None:
    """What a worker that has ended had to say."""
    try:
        return str(ear.recv()) if ear.poll() else None
    except (EOFError, OSError):
        return None


def _work(job: Job, parent: int, mouth: Connection) -> None:
    torch.set_num_threads(job.threads)
    try:
        with open_study(
            job.folder, job.storage, job.name, read_only=False, beat=job.beat, grace=job.grace
        ) as study:
            place = place_for(
                study.settings,
                job.data_root,
                torch.device(job.device),
                readers=job.readers,
                keep_weights=job.keep_weights,
            )
            _do(job, study, place, lambda: os.getppid() == parent)
    except _SPOKEN as error:
        with suppress(BrokenPipeError):  # nobody may be left to be told
            mouth.send(str(error))
    except KeyboardInterrupt:
        return


def _do(job: Job, study: Study, place: Place, wanted: Callable[[], bool]) -> None:
    if job.scratch is None:
        Worker(study, place, lambda event: None, wanted).run(job.stages)
        return
    numbers, recipe = job.scratch
    rows = {row["trial"]: row for row in study.rows()}
    retrain(study, place, recipe, [rows[number] for number in numbers], lambda event: None, wanted)


def threads_each(workers: int, cores: int | None = None) -> int:
    """How many of torch's threads each of several workers should have."""
    return max(1, (cores or os.cpu_count() or 1) // max(1, workers))
