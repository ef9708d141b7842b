"""Data sets, their splits and the batches made of them.

Everything that attacks, training and evaluation see of data comes from here: images in [0, 1], labels, and
the facts that a figure's manifest needs (name, split, hash).
"""

from robdsl.data.augment import NO_AUGMENTATION, Augmentation
from robdsl.data.batch import Batch, Loader
from robdsl.data.dataset import SPLITS, Data, DataFacts, FolderData, ImageData, Split
from robdsl.data.device_loader import DeviceLoader
from robdsl.data.errors import (
    BrokenDataError,
    DataError,
    MissingDataError,
    MissingLibraryError,
    UnknownDataError,
)
from robdsl.data.folder_loader import FolderLoader
from robdsl.data.loader import open_loader
from robdsl.data.normalize import Normalized
from robdsl.data.plan import TrainingPlan, evaluation_batches, own_batches
from robdsl.data.ranks import Ranks, joined
from robdsl.data.registry import FACTS, canonical_name, default_root, load_data
from robdsl.data.seeds import derive_seed, generator

__all__ = [
    "FACTS",
    "NO_AUGMENTATION",
    "SPLITS",
    "Augmentation",
    "Batch",
    "BrokenDataError",
    "Data",
    "DataError",
    "DataFacts",
    "DeviceLoader",
    "FolderData",
    "FolderLoader",
    "ImageData",
    "Loader",
    "MissingDataError",
    "MissingLibraryError",
    "Normalized",
    "Ranks",
    "Split",
    "TrainingPlan",
    "UnknownDataError",
    "canonical_name",
    "default_root",
    "derive_seed",
    "evaluation_batches",
    "generator",
    "joined",
    "load_data",
    "open_loader",
    "own_batches",
]
