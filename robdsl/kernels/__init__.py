"""Triton kernels and their references in plain torch: what a compiled net and an attack spend their time in.

Each operation is a registered operator of torch (``torch.ops.robdsl``), with fakes and gradients. Tensors on a GPU go to
kernels; CPU tensors, float64 and everything else go to references that compute the same. `available` says whether
kernels can run here, and if not, why not.
"""

from __future__ import annotations

from robdsl.kernels.availability import Availability, available
from robdsl.kernels.fork import fork
from robdsl.kernels.fsp import fsp_distance, fsp_gram
from robdsl.kernels.nodes import node_sum
from robdsl.kernels.norms import norm_sum
from robdsl.kernels.pair import separable_pair
from robdsl.kernels.pgd import pgd_step_
from robdsl.kernels.pointwise_fan import pointwise_fan
from robdsl.kernels.precision import DEFAULT_PRECISION, Precision
from robdsl.kernels.separable import separable_stage, separable_statistics, separable_sum
from robdsl.kernels.separable_fan import separable_fan
from robdsl.kernels.weight_gradients import separable_weight_gradients

__all__ = [
    "DEFAULT_PRECISION", "Availability", "Precision", "available", "fork", "fsp_distance", "fsp_gram", "node_sum",
    "norm_sum", "pgd_step_", "pointwise_fan", "separable_fan", "separable_pair", "separable_stage",
    "separable_statistics", "separable_sum", "separable_weight_gradients",
]  # fmt: skip
