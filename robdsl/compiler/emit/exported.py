"""Models as other runtimes read them: `torch.export` archives and ONNX.

Both compute what the model computes in eval mode, for batches of any size, with its weights inside.
"""

from __future__ import annotations

import copy
from importlib.util import find_spec
from io import BytesIO

import torch
from torch import Tensor, nn

from robdsl.compiler.emit.errors import EmitError, MissingExtra
from robdsl.graph.shapes import Shape

#: Under this name an archive, and the metadata of an ONNX model, hold the text of the architecture.
TEXT = "architecture.rob"
#: The names of an ONNX model's input and output.
IMAGE, LOGITS = "image", "logits"

#: The version of ONNX's operators: the oldest that torch writes without converting.
_OPSET = 18
#: protobuf, and so a single ONNX file, ends here.
_LARGEST_ONNX = 2**31 - 1


def pt2_bytes(model: nn.Module, image: Shape, text: str = "") -> bytes:
    """What `torch.export.load` reads.

    Args:
        model: it is not changed.
        image: channels, height and width of the images it takes.
        text: of the architecture; goes in as an extra file.
    """
    archive = BytesIO()
    torch.export.save(_exported(model, image), archive, extra_files={TEXT: text})
    return archive.getvalue()


def onnx_bytes(model: nn.Module, image: Shape, text: str = "") -> bytes:
    """An ONNX model with the input `IMAGE` and the output `LOGITS`.

    Args:
        model: it is not changed.
        image: channels, height and width of the images it takes.
        text: of the architecture; goes into the metadata.

    Raises:
        MissingExtra: the packages that write ONNX are not installed.
        EmitError: the model is too large for one file.
    """
    for package in ("onnx", "onnxscript"):
        if find_spec(package) is None:
            raise MissingExtra("ONNX", "onnx", package)
    program = torch.onnx.export(
        _exported(model, image),
        input_names=[IMAGE],
        output_names=[LOGITS],
        opset_version=_OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # as with dynamo=True it always is
    program.model.metadata_props[TEXT] = text
    proto = program.model_proto
    if proto.ByteSize() > _LARGEST_ONNX:
        raise EmitError("the model is larger than 2 GiB, which one ONNX file cannot be; write pt2")
    written: bytes = proto.SerializeToString()
    return written


def _exported(model: nn.Module, image: Shape) -> torch.export.ExportedProgram:
    """The model in eval mode, for any number of images."""
    copied = copy.deepcopy(model).eval()
    batch = {0: torch.export.Dim("batch", min=1)}
    return torch.export.export(copied, (_example(copied, image),), dynamic_shapes=(batch,), strict=False)


def _example(model: nn.Module, image: Shape) -> Tensor:
    """Two images where the model is, of its type; the size of a batch of one would be taken for a constant."""
    like = next((each for each in model.parameters() if each.is_floating_point()), torch.empty(0))
    return torch.zeros(2, *image, dtype=like.dtype, device=like.device)
