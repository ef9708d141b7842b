"""The arithmetic a model is attacked in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch

Precision = Literal["inherit", "float32", "tf32", "bf16"]
"""``"inherit"``: whatever the caller's context says (autocast, tf32 switches). ``"float32"``: no autocast, no
tf32. ``"tf32"``: no autocast, matrix products and convolutions of NVIDIA GPUs may round their operands to
tf32 (elsewhere the same as float32). ``"bf16"``: autocast to bfloat16. Images, gradients and projections keep
the images' dtype."""


@contextmanager
def arithmetic(precision: Precision, device: torch.device) -> Iterator[None]:
    """Run the body in `precision` on `device`; the switches are put back afterwards."""
    if precision == "inherit":
        yield
        return
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
        if precision == "bf16":
            yield
            return
        with _float32_products("tf32" if precision == "tf32" else "ieee"):
            yield


@contextmanager
def _float32_products(kind: Literal["tf32", "ieee"]) -> Iterator[None]:
    cuda: Any = torch.backends.cuda  # torch makes what is used below at import, unseen by its annotations
    cudnn: Any = torch.backends.cudnn
    switches = (cuda.matmul, cudnn.conv, cudnn.rnn)
    before = [switch.fp32_precision for switch in switches]
    try:
        for switch in switches:
            switch.fp32_precision = kind
        yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.fp32_precision = value
