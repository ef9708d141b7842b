"""Small nets for the tests of weights, and files of weights made by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, fx, nn

from robdsl.compiler import compile
from robdsl.graph.load import load

TINY = """
net tiny(classes=3) {
    input 3 x 8 x 8
    conv(3, 4) | batch_norm | relu
    global_avg_pool | flatten | linear(classes)
}
"""


def tiny(seed: int = 0, classes: int = 3) -> fx.GraphModule:
    return compile(load(TINY, classes=classes), seed=seed)


def randomized(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model with every number drawn at random, buffers included; variances stay positive."""
    generator = torch.Generator().manual_seed(seed)
    for key, tensor in model.state_dict().items():
        if tensor.dtype.is_floating_point:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + key.endswith("running_var"))
        else:
            tensor.fill_(7)
    return model


def same_state(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def frozen_state(model: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def header_of(data: bytes) -> dict[str, object]:
    """The header of a safetensors file."""
    length = int.from_bytes(data[:8], "little")
    header: dict[str, object] = json.loads(data[8 : 8 + length])
    return header


def with_header(path: Path, header: object, values: bytes) -> Path:
    """A safetensors file with any header."""
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + values)
    return path
