"""``robdsl analyze``: the paper's figures from a study, as a page and as data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import err, fail, out, show_json
from .progress import Line
from .running import JsonOption, SeedOption, command_line

if TYPE_CHECKING:
    from robdsl.analysis import Analysis
    from robdsl.viz.report import Written

_FORMATS = ("html", "png", "pdf", "svg")


def analyze(
    study: Annotated[
        Path, typer.Argument(help="A study's folder, or its exported .parquet or .jsonl.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The page; data and images go beside it.")
    ] = Path("report.html"),
    format_: Annotated[
        str, typer.Option("--format", help="What to write: html, and of each figure png, pdf or svg.")
    ] = "html",
    data: Annotated[
        str, typer.Option(help="How the data behind the figures are written: parquet or csv.")
    ] = "parquet",
    accuracy: Annotated[
        str | None,
        typer.Option(
            help="What counts as robust accuracy: robust_inherited, robust_finetuned or robust_scratch.",
            show_default="after finetuning, unless few were finetuned",
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            help="Nets for Figure 1: tables.json of `robdsl tables`, or a list of name, params, robust.",
            show_default=False,
        ),
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(
            help="The .rob file of the space, where a table's space is not shipped.", show_default=False
        ),
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Make the paper's Figures 1 and 3 to 7 from a search, finished or running, each with how sure one may be of it.

    A figure for which there are too few architectures says how many are missing.

    Example: robdsl analyze runs/search-digits -o report.html --format html,png --data csv
    """
    formats = [each.strip() for each in format_.split(",")]
    unknown = [each for each in formats if each not in _FORMATS]
    if unknown:
        raise typer.BadParameter(f"`{unknown[0]}` is none of {', '.join(_FORMATS)}", param_hint="--format")
    if data not in ("parquet", "csv"):
        raise typer.BadParameter(f"`{data}` is neither parquet nor csv", param_hint="--data")
    if accuracy is not None and accuracy not in ("robust_inherited", "robust_finetuned", "robust_scratch"):
        known = "robust_inherited, robust_finetuned, robust_scratch"
        raise typer.BadParameter(f"`{accuracy}` is none of {known}", param_hint="--accuracy")

    from robdsl.analysis import StudyError
    from robdsl.search import SearchError
    from robdsl.viz import DrawingError
    from robdsl.viz.report import ImagesError, write_report

    try:
        with Line() as line:
            found = _analyzed(study, space, accuracy, reference, seed, line)
            line.passing("writing")
            output.parent.mkdir(parents=True, exist_ok=True)
            written = write_report(
                found,
                output,
                title=study.absolute().name,
                html="html" in formats,
                image_formats=[form for form in ("png", "pdf", "svg") if form in formats],
                data="csv" if data == "csv" else "parquet",
                command=command_line(),
                events=lambda name: line.passing(f"drawing {name}"),
            )
    except (StudyError, SearchError, ImagesError, DrawingError) as error:
        raise typer.Exit(fail(str(error))) from None
    if as_json:
        show_json({**found.to_json(), "files": _files(written)})
    else:
        _print(found, written)


def _analyzed(
    study: Path, space: Path | None, accuracy: str | None, reference: Path | None, seed: int, line: Line
) -> Analysis:
    from robdsl.analysis import TITLES, analyze, bank, read_references
    from robdsl.analysis.bank import open_space
    from robdsl.search import read_bank

    line.passing(f"reading {study}")
    references = read_references(reference) if reference is not None else ()
    frame = read_bank(study)
    kept = study / "space.rob"
    file = space if space is not None else kept if kept.is_file() else None
    found = bank(frame, open_space(file, frame) if file is not None and len(frame) else None)
    titles = list(TITLES)
    return analyze(
        found,
        accuracy=accuracy,
        references=references,
        seed=seed,
        events=lambda name: line.passing(
            f"{TITLES[name].lower()} ({titles.index(name) + 1} of {len(titles)})"
        ),
    )


def _files(written: Written) -> dict[str, object]:
    return {
        "page": None if written.page is None else str(written.page),
        "data": {name: str(path) for name, path in written.data.items()},
        "images": [str(path) for path in written.images],
    }


def _print(found: Analysis, written: Written) -> None:
    from robdsl.analysis import TITLES

    for name, finding in found.findings.items():
        _, figure, number = name.partition("figure_")
        title = f"Figure {number}: {TITLES[name]}" if figure else TITLES[name]
        out.print(f"[bold]{title}[/]")
        out.print(f"  {finding.sentence}", markup=False)
    if written.page is not None:
        err.print(f"wrote {written.page}", markup=False)
    for what, paths in (("data", list(written.data.values())), ("images", list(written.images))):
        if paths:
            err.print(f"wrote {len(paths)} files of {what} into {paths[0].parent}/", markup=False)
