"""What differs between two nets: as data, in words, and as a picture."""

from robdsl.viz.difference.compare import CellDifference as CellDifference
from robdsl.viz.difference.compare import Difference as Difference
from robdsl.viz.difference.compare import compare as compare
from robdsl.viz.difference.picture import difference_picture as difference_picture
from robdsl.viz.difference.words import lines as lines

__all__ = ["CellDifference", "Difference", "compare", "difference_picture", "lines"]
