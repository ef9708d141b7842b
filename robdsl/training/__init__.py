"""Natural and adversarial training: resumable at any moment, the same on one process and on several."""

from robdsl.training.average import WeightAverage
from robdsl.training.errors import (
    CheckpointError,
    FolderTakenError,
    MissingExtraError,
    NonFiniteError,
    TrainingError,
)
from robdsl.training.events import (
    BatchDone,
    CheckpointRefused,
    EpochDone,
    Event,
    Finished,
    Listener,
    Started,
    tell,
)
from robdsl.training.methods import Method, Outcome, Step, make_method
from robdsl.training.norms import CrossRankBatchNorm, shared_norms
from robdsl.training.optimizer import make_optimizer
from robdsl.training.presets import recipe_for
from robdsl.training.recipe import METHODS, MethodName, Recipe
from robdsl.training.schedule import rate_at
from robdsl.training.tensorboard import TensorBoard
from robdsl.training.train import TrainResult, train

__all__ = [
    "METHODS",
    "BatchDone",
    "CheckpointError",
    "CheckpointRefused",
    "CrossRankBatchNorm",
    "EpochDone",
    "Event",
    "Finished",
    "FolderTakenError",
    "Listener",
    "Method",
    "MethodName",
    "MissingExtraError",
    "NonFiniteError",
    "Outcome",
    "Recipe",
    "Started",
    "Step",
    "TensorBoard",
    "TrainResult",
    "TrainingError",
    "WeightAverage",
    "make_method",
    "make_optimizer",
    "rate_at",
    "recipe_for",
    "shared_norms",
    "tell",
    "train",
]
