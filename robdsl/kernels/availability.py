"""Whether Triton's kernels can run here, and if not, why not."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import torch


@dataclass(frozen=True)
class Availability:
    """Whether kernels run on this machine's GPU; true in a condition if they do.

    Attributes:
        usable: whether tensors on the GPU are computed by Triton's kernels.
        reason: one sentence that says why, or why not.
    """

    usable: bool
    reason: str

    def __bool__(self) -> bool:
        return self.usable


def available() -> Availability:
    """Whether kernels can run here. Without them every operation runs through its reference in plain torch."""
    if find_spec("triton") is None:
        return Availability(False, "Triton is not installed (builds of torch for the CPU come without it)")
    if not torch.cuda.is_available():
        return Availability(False, "torch sees no CUDA device here")
    name = torch.cuda.get_device_name()
    major, minor = torch.cuda.get_device_capability()
    if torch.version.hip is None and (major, minor) < (8, 0):
        return Availability(
            False, f"{name} has compute capability {major}.{minor}, and kernels need 8.0 or more"
        )
    return Availability(True, f"kernels run on {name}, compute capability {major}.{minor}")
