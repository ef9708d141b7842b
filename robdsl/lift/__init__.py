"""From a PyTorch model to a ``.rob`` file that computes the same, its weights carried over."""

from robdsl.lift.errors import LiftError, Missing
from robdsl.lift.lift import Lifted, lift

__all__ = ["LiftError", "Lifted", "Missing", "lift"]
