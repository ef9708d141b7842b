"""A report to files: the page, the data of each figure beside it, images for papers."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from robdsl.analysis.results import TooFew
from robdsl.analysis.study import Analysis
from robdsl.files import write_atomic
from robdsl.viz.drawing import encoded
from robdsl.viz.picture import Picture
from robdsl.viz.report.images import ImageFormat, images
from robdsl.viz.report.look import Plot
from robdsl.viz.report.page import Facts, page
from robdsl.viz.report.plotting import drawings_of, plots_of

if TYPE_CHECKING:
    import pandas as pd

DataFormat = Literal["parquet", "csv"]


@dataclass(frozen=True)
class Written:
    """The files of a report: the page (or None), data by figure, and images."""

    page: Path | None
    data: Mapping[str, Path]
    images: tuple[Path, ...]


def write_report(
    analysis: Analysis,
    path: str | Path,
    *,
    title: str = "An architecture search",
    html: bool = True,
    image_formats: Iterable[ImageFormat] = (),
    data: DataFormat = "parquet",
    command: str | None = None,
    events: Callable[[str], None] | None = None,
) -> Written:
    """Writes a report.

    Args:
        analysis: what it reports.
        path: of the page; data go into ``NAME_data/`` and images into ``NAME_figures/`` beside it.
        title: what was analyzed.
        html: whether to write the page.
        image_formats: ``png``, ``pdf`` or ``svg``, each plot and drawing in each of them.
        data: the format of the data.
        command: how the report was asked for.
        events: is told the name of each image before it is made.

    Raises:
        ImagesError: images cannot be made here.
        DrawingError: Graphviz is missing, or failed.
        OSError: a file cannot be written; each is whole or as it was.
    """
    path = Path(path)
    plots, drawings = plots_of(analysis), drawings_of(analysis)
    # What may fail comes before anything is written.
    made = _images(plots, drawings, list(image_formats), events)
    written = _write_data(analysis, path.with_name(f"{path.stem}_data"), data)
    folder = path.with_name(f"{path.stem}_figures")
    if made:
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in made.items():
        write_atomic(folder / name, content)
    if html:
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        beside = {name: f"{file.parent.name}/{file.name}" for name, file in written.items()}
        text = page(analysis, plots, drawings, Facts(title, now, command, beside))
        write_atomic(path, text.encode())
    return Written(path if html else None, written, tuple(folder / name for name in made))


def _images(
    plots: Mapping[str, Sequence[Plot]],
    drawings: Mapping[str, Picture],
    formats: list[ImageFormat],
    events: Callable[[str], None] | None,
) -> dict[str, bytes]:
    if not formats:
        return {}
    made = {
        f"{name}_cell.{form}": encoded(drawing, f".{form}")
        for name, drawing in drawings.items()
        for form in formats
    }
    every = [plot for each in plots.values() for plot in each]
    return made | (images(every, formats, events=events) if every else {})


def _write_data(analysis: Analysis, folder: Path, form: DataFormat) -> dict[str, Path]:
    written = {}
    for name, finding in analysis.findings.items():
        if isinstance(finding, TooFew):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        written[name] = folder / f"{name}.{form}"
        write_atomic(written[name], table(finding.frame(), form))
    return written


def table(frame: pd.DataFrame, form: DataFormat) -> bytes:
    """A table in a format; in CSV, a text that a spreadsheet would take for a formula is quoted."""
    if form == "parquet":
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return buffer.getvalue()
    safe = frame.copy()
    for name in frame.columns:
        if frame[name].dtype.kind not in "iufb":
            safe[name] = [_no_formula(each) for each in frame[name]]
    return str(safe.to_csv(index=False)).encode()


def _no_formula(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
