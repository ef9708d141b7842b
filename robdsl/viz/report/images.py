"""Plots as PNG, PDF or SVG, for papers: plotly through kaleido, which needs Chrome or Chromium."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from robdsl.viz.report.look import Plot

ImageFormat = Literal["png", "pdf", "svg"]
WIDTH = 720
_PIXELS = 3  # of a PNG, for each point


class ImagesError(Exception):
    """Plots cannot be made into images; the message says what to install."""


def images(
    plots: Sequence[Plot],
    formats: Iterable[ImageFormat],
    width: int = WIDTH,
    events: Callable[[str], None] | None = None,
) -> dict[str, bytes]:
    """Each plot in each format, by file name.

    Args:
        plots: what to draw.
        formats: ``png``, ``pdf`` or ``svg``.
        width: in points; the height is the plot's.
        events: is told the name of each file before it is made.

    Raises:
        ImagesError: kaleido or the browser is missing, or failed.
    """
    try:
        import kaleido
        from choreographer.errors import ChromeNotFoundError
    except ImportError:
        raise ImagesError("images need kaleido: pip install 'robdsl[images]'") from None
    wanted = [(plot, each) for plot in plots for each in formats]
    try:
        return asyncio.run(_made(kaleido, wanted, width, events))
    except ChromeNotFoundError:
        raise ImagesError(
            "images need Chrome or Chromium, and none was found: install it (on Debian: apt-get install chromium), "
            "or name its program in BROWSER_PATH"
        ) from None
    except (RuntimeError, OSError, ValueError, TimeoutError) as error:
        raise ImagesError(
            f"the browser that draws images failed: {str(error) or type(error).__name__}"
        ) from error


async def _made(
    kaleido: Any, wanted: Sequence[tuple[Plot, str]], width: int, events: Callable[[str], None] | None
) -> dict[str, bytes]:
    made: dict[str, bytes] = {}
    # Formulas would be set by a script from the network, and there are none.
    async with kaleido.Kaleido(n=1, page_generator=kaleido.PageGenerator(mathjax=False)) as browser:
        for plot, form in wanted:
            name = f"{plot.name}.{form}"
            if events is not None:
                events(name)
            options = {"format": form, "width": width, "height": plot.figure.layout.height}
            options["scale"] = _PIXELS if form == "png" else 1
            made[name] = await browser.calc_fig(plot.figure.to_dict(), opts=options)
    return made
