"""How exactly a product on the GPU is to be made, and how wrong it may then be."""

from __future__ import annotations

from typing import Literal, cast, get_args

import torch

Precision = Literal["ieee", "tf32x3", "tf32", "bf16"]
"""Of products of float32 operands. ``"ieee"``: as float32, without tensor cores. ``"tf32x3"``: each operand in two tf32
parts and three products on tensor cores, nearly as exact. ``"tf32"``: operands in 11 significant bits.
``"bf16"``: to 8. Sums are float32 always. Operands that are float16 or bfloat16 are multiplied as they are."""

DEFAULT_PRECISION: Precision = "tf32x3"

_UNIT = 2.0**-24
#: By how much an operand may change when it is brought into its format. Hardware may cut tf32 where others round it.
_OPERAND = {"ieee": 0.0, "tf32x3": 2.0**-21, "tf32": 2.0**-10, "bf16": 2.0**-8, "fp16": 2.0**-11}


def check_precision(precision: str) -> Precision:
    """The precision, if it is one.

    Raises:
        ValueError: it is none.
    """
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}, not {precision!r}")
    return cast(Precision, precision)


def product_kind(precision: str, dtype: torch.dtype) -> str:
    """What a kernel's products are made in: half types as they are, float32 as `precision` says."""
    if dtype == torch.float16:
        return "fp16"
    return "bf16" if dtype == torch.bfloat16 else precision


def tile_kind(precision: str, dtype: torch.dtype) -> str:
    """What tiles are measured by: as `product_kind`, but float32 maps that are multiplied as bfloat16 are ``fp32-bf16``.

    Their tiles take more of the chip than those of bfloat16 maps.
    """
    kind = product_kind(precision, dtype)
    return "fp32-bf16" if kind == "bf16" and dtype == torch.float32 else kind


def operand_bound(kind: str) -> float:
    """An upper bound of ``|brought into its format - operand| / |operand|``, for `relative_bound`'s kinds."""
    return _OPERAND[kind]


def relative_bound(kind: str, terms: int) -> float:
    """An upper bound of ``|computed - exact| / sum |a_i b_i|`` for a sum of `terms` products.

    Rounding two operands errs by (1 + u)^2 - 1 where u is half a unit in the last place of their format: 2^-8 for
    bfloat16, 2^-11 for float16; for tf32, whose low bits hardware may cut off, a whole unit, 2^-10. With tf32x3 the
    product of the two small parts is dropped (2^-22) and each small part, 2^-11 of its operand, is itself brought
    into tf32 (2 * 2^-21). The sum of `terms` float32 numbers in any order errs
    by at most (terms - 1) u, and the products by u each (Higham 2002, section 3.1), u = 2^-24; tensor cores may cut
    instead of round, hence 2 u. Inputs that are already in the format err by nothing in the first part.
    """
    operand = _OPERAND[kind]
    rounding = 2 * operand + 2.0**-22 if kind == "tf32x3" else (1 + operand) ** 2 - 1
    return rounding + 2 * terms * _UNIT
