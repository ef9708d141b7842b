"""Weights in files: safetensors, the published checkpoints, torchvision's."""

from robdsl.weights.errors import BrokenWeightsError, MisfitError, Misfits, UnsafeWeightsError, WeightsError
from robdsl.weights.load import Loaded, load_weights
from robdsl.weights.save import save_weights, weights_file

__all__ = [
    "BrokenWeightsError",
    "Loaded",
    "MisfitError",
    "Misfits",
    "UnsafeWeightsError",
    "WeightsError",
    "load_weights",
    "save_weights",
    "weights_file",
]
