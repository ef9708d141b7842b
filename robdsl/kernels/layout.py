"""How tensors lie in memory, and which of them a kernel takes."""

from __future__ import annotations

import os
from importlib.util import find_spec

import torch
from torch import Tensor

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_HAS_TRITON = find_spec("triton") is not None

#: Whether kernels run on the CPU in Triton's interpreter in this process: for tests, and some 600 times slower than
#: torch. Triton reads the variable when it first sees a kernel.
INTERPRETED = _HAS_TRITON and os.environ.get("TRITON_INTERPRET", "0") == "1"


def runs_kernel(*tensors: Tensor) -> bool:
    """Whether an operation on these goes to a kernel: all on one GPU, all of a dtype that kernels take.

    Everything else goes to the reference in plain torch: CPU tensors, float64, empty batches, GPUs older than
    compute capability 8.0.
    """
    first = tensors[0]
    if not _HAS_TRITON or not all(t.dtype in _DTYPES and t.device == first.device for t in tensors):
        return False
    if any(t.numel() == 0 for t in tensors):
        return False
    if INTERPRETED:
        return first.device.type == "cpu"
    return first.device.type == "cuda" and _new_enough(first.device)


def _new_enough(device: torch.device) -> bool:
    return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)


def nhwc(maps: Tensor) -> Tensor:
    """The maps, N x C x H x W, lying as N x H x W x C; the same tensor where they already do."""
    return maps.contiguous(memory_format=torch.channels_last)


def empty_nhwc(n: int, channels: int, height: int, width: int, like: Tensor) -> Tensor:
    """New maps of unknown content, lying as N x H x W x C."""
    size = (n, channels, height, width)
    return torch.empty(size, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """What references compute maps of a dtype in, and what sums are kept in: at least float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def wide(tensor: Tensor) -> Tensor:
    """The tensor in the dtype that references compute in."""
    return tensor.to(wide_dtype(tensor.dtype))


def out_size(size: int, stride: int) -> int:
    """Height or width after a 3x3 convolution with padding 1."""
    return (size - 1) // stride + 1


def mask_bytes(channels: int) -> int:
    """Bytes of a bit mask at one position of a map."""
    return (channels + 7) // 8


def pack_bits(bits: Tensor) -> Tensor:
    """(N, C, H, W) bool -> (N, H, W, ceil(C / 8)) uint8, the lowest channel in the lowest bit."""
    n, channels, height, width = bits.shape
    padded = bits.new_zeros((n, height, width, 8 * mask_bytes(channels)))
    padded[..., :channels] = bits.permute(0, 2, 3, 1)
    weights = torch.tensor([1 << bit for bit in range(8)], dtype=torch.uint8, device=bits.device)
    grouped = padded.view(n, height, width, mask_bytes(channels), 8)
    return (grouped * weights).sum(-1, dtype=torch.uint8)


def unpack_bits(packed: Tensor, channels: int) -> Tensor:
    """(N, H, W, ceil(C / 8)) uint8 -> (N, C, H, W) bool."""
    weights = torch.tensor([1 << bit for bit in range(8)], dtype=torch.uint8, device=packed.device)
    bits = (packed.unsqueeze(-1) & weights) != 0
    return bits.flatten(3)[..., :channels].permute(0, 3, 1, 2)
