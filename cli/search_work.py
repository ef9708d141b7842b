"""What the commands of a search share: carrying out stages, and showing how they go."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import fail, out, plural, show_json
from .progress import Line, show_training
from .running import clock, is_first

if TYPE_CHECKING:
    from robdsl.search import Place, Study
    from robdsl.search.comparison import Comparison, Group
    from robdsl.search.crew import Job
    from robdsl.search.events import Event
    from robdsl.search.status import Status

StudyArgument = Annotated[Path, typer.Argument(help="A study's folder.", show_default=False)]
StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        envvar="ROBDSL_STORAGE",
        show_envvar=True,
        help="postgresql+psycopg://USER@HOST/DATABASE.",
        show_default="SQLite in the folder",
    ),
]
NameOption = Annotated[
    str | None, typer.Option("--name", help="The study's name in that storage.", show_default="the folder's")
]
WorkersOption = Annotated[int, typer.Option("--workers", help="Processes that share the work.", min=1)]
KeepOption = Annotated[bool, typer.Option("--keep-weights", help="Keep every finetuned net's weights.")]
ReadersOption = Annotated[
    int, typer.Option("--readers", help="Reading processes for data that stays on disk.")
]
EmitOption = Annotated[
    int, typer.Option("--emit", help="How many of the best are written as .rob files.", min=0)
]

_STAGES = ("supernet", "sample", "filter", "finetune", "evaluate", "emit")

#: Seconds between two looks at the study for its state as a whole.
_LOOK = 5.0


@contextmanager
def spoken() -> Iterator[None]:
    """Turns what is wrong with a study into one line and exit status 1."""
    from robdsl.search import SearchError

    try:
        yield
    except SearchError as error:
        raise typer.Exit(fail(str(error))) from None


def carry_out(
    study: Study,
    place: Place,
    stages: Sequence[str] | None,
    *,
    workers: int,
    emit: int,
    storage: str | None,
    data_root: Path | None,
    as_json: bool,
) -> None:
    """Do stages of a study, in this process or in several, and show what came of it."""
    from robdsl.search import emit as write_best
    from robdsl.search.status import status_of

    asked = [str(each) for each in stages or _STAGES]
    unknown = [each for each in asked if each not in _STAGES]
    if unknown:
        raise typer.BadParameter(f"`{unknown[0]}` is not one of {', '.join(_STAGES)}", param_hint="--stage")
    at_work: tuple[Any, ...] = tuple(each for each in asked if each != "emit")
    with spoken(), Line() as line:
        show = Show(study, line)
        if at_work and workers == 1:
            from robdsl.search import Worker

            Worker(study, place, show).run(at_work)
        elif at_work:
            from robdsl.search.crew import run_crew

            run_crew(job_for(study, place, at_work, workers, storage, data_root), workers, show.look)
        files = write_best(study, emit) if "emit" in asked else []
    if not is_first():
        return
    status = status_of(study)
    if as_json:
        show_json({**status.to_json(), "folder": str(study.folder), "emitted": [str(each) for each in files]})
        return
    show_status(status)
    for path in files:
        out.print(f"emitted: {path}", markup=False)


def job_for(
    study: Study,
    place: Place,
    stages: tuple[Any, ...],
    workers: int,
    storage: str | None,
    data_root: Path | None,
) -> Job:
    """What each of several workers here is told; a usage error where they cannot share the device."""
    from robdsl.search.crew import Job, threads_each

    if place.device.type == "cuda" and place.device.index is not None:
        raise typer.BadParameter(
            "several workers share one GPU only where you start them one by one with `worker`"
        )
    return Job(
        folder=study.folder,
        storage=storage,
        name=study.name if storage is not None else None,
        stages=stages,
        data_root=data_root,
        device=str(place.device),
        readers=place.readers,
        keep_weights=place.keep_weights,
        threads=threads_each(workers),
    )


class Show:
    """Shows events of this process, and now and then the study as a whole."""

    def __init__(self, study: Study, line: Line) -> None:
        self._study, self._line = study, line
        self._looked = -_LOOK
        self._tail = ""

    def __call__(self, event: Event) -> None:
        from robdsl.search.events import StageDone, StageProgress, Training, TrialDone

        match event:
            case Training(what=what, event=inner):
                self._line.prefix = f"{what}: "
                show_training(self._line, inner)
                self._line.prefix = ""
            case StageProgress(stage=stage, done=done, total=total):
                if time.monotonic() - self._looked >= _LOOK:
                    self._look()
                self._line.passing(f"{stage}: {done:,}/{total:,}{self._tail}")
            case StageDone(stage=stage):
                self._look()
                self._line.lasting(f"{stage}: done{self._tail}")
            case TrialDone():
                pass

    def look(self) -> None:
        """Shows the study as a whole, for workers elsewhere."""
        if time.monotonic() - self._looked >= _LOOK:
            status = self._look()
            self._line.passing(f"{progress_line(status)}{self._tail}")

    def retrained(self, numbers: Sequence[int]) -> None:
        """Shows how many of some trials were trained from scratch, by workers elsewhere."""
        if time.monotonic() - self._looked >= _LOOK:
            self._looked = time.monotonic()
            done = len(set(numbers) & set(self._study.scratch()))
            self._line.passing(f"retrain: {done}/{len(numbers)}")

    def _look(self) -> Status:
        from robdsl.search.status import status_of

        status = status_of(self._study, with_correlations=False)
        said = [] if status.best is None else [f"best so far {_found(status)}"]
        if status.seconds_left:
            said.append(f"{clock(status.seconds_left)} left")
        self._tail = "".join(f"; {each}" for each in said)
        self._looked = time.monotonic()
        return status


def progress_line(status: Status) -> str:
    """How far a study is, in one line."""
    if not status.supernet:
        if "supernet" not in status.working:
            return "the supernet is not trained yet"
        now = status.training
        far = "" if now is None else f": epoch {now.epoch + 1}/{now.epochs}, {clock(now.seconds_left)} left"
        return f"the supernet is being trained{far}"
    said = [f"{status.drawn:,} of {status.target:,} drawn", f"{status.measured:,} measured"]
    said += [f"{count:,} {state}" for state, count in status.states.items() if state != "sampled"]
    return ", ".join(said)


def show_status(status: Status) -> None:
    """A study in a few lines."""
    out.print(f"{status.name} in {status.url}: {progress_line(status)}", markup=False)
    if status.duplicates:
        out.print(f"{plural(status.duplicates, 'draw')} repeated an earlier one and cost nothing")
    for work, owner in status.working.items():
        host, _, pid, *_ = (*owner.split("/"), "?", "?")
        out.print(f"at work: {work} on {host}, process {pid}", markup=False)
    for why, count in status.failures.items():
        out.print(f"failed: {count:,}, as {why}", markup=False)
    if status.best is not None:
        out.print(f"best: {_found(status)}, {status.best.params:,} parameters")
    show_correlations(status)
    if not status.finished:
        out.print(f"time left: {clock(status.seconds_left)}")


def show_correlations(status: Status) -> None:
    """How far the ways of judging agree."""
    for pair, each in status.correlations.items():
        one, other = pair.split("-")
        if each.tau == each.tau:
            out.print(
                f"Kendall's tau of robust accuracy, {one} and {other}: {each.tau:.2f} "
                f"(95% interval {each.low:.2f} to {each.high:.2f}, {each.count} architectures)"
            )


def show_comparison(compared: Comparison) -> None:
    """The best and those around the median, trained from scratch."""
    for which, each in (("the best", compared.best), ("those around the median", compared.median)):
        out.print(f"{which}, from scratch: {_mean(each)}")
    clear = "no interval of one architecture"
    if compared.low == compared.low:
        clear = f"95% interval {100 * compared.low:+.1f} to {100 * compared.high:+.1f}"
    out.print(f"difference: {100 * compared.difference:+.1f} points ({clear})")


def _mean(group: Group) -> str:
    interval = (
        f"95% interval {100 * group.low:.1f} to {100 * group.high:.1f}, " if group.low == group.low else ""
    )
    return (
        f"robust {100 * group.mean:.1f}% in the mean ({interval}{plural(group.count, 'architecture')}, "
        f"{group.correct} of {group.examples} images, {group.params:,.0f} parameters)"
    )


def _found(status: Status) -> str:
    best = status.best
    assert best is not None
    return (
        f"trial {best.trial}: robust {100 * best.robust:.1f}%, natural {100 * best.natural:.1f}% "
        f"({best.when}, {best.examples} images)"
    )
