"""Drawings of cells and nets, and of the difference between two.

`draw` writes a picture of a net to a file; `cell_drawing` makes one of a single cell, to be put into a page or report.
"""

from robdsl.viz.cells import cell_drawing as cell_drawing
from robdsl.viz.drawing import FORMATS as FORMATS
from robdsl.viz.drawing import draw as draw
from robdsl.viz.overlay import OverlayError as OverlayError
from robdsl.viz.overlay import read_overlay as read_overlay
from robdsl.viz.picture import Picture as Picture
from robdsl.viz.rendering import DrawingError as DrawingError
from robdsl.viz.subject import Overlay as Overlay

__all__ = [
    "FORMATS",
    "DrawingError",
    "Overlay",
    "OverlayError",
    "Picture",
    "cell_drawing",
    "draw",
    "read_overlay",
]
