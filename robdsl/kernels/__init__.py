"""Triton kernels and their references in plain torch: what a compiled net and an attack spend their time in.

`available` says whether the kernels can run here, and if not, why not.
"""

from __future__ import annotations

from robdsl.kernels.availability import Availability, available

__all__ = ["Availability", "available"]
