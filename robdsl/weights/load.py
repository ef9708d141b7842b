"""Loading weights into a model, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from robdsl.compiler.frozen_module import FROZEN_WEIGHTS, FrozenError, FrozenModule
from robdsl.graph.net import Net
from robdsl.weights.errors import MisfitError, Misfits, printable
from robdsl.weights.identity import net_of, unwrapped
from robdsl.weights.naming import Naming, naming_of
from robdsl.weights.save import HASH, NAME
from robdsl.weights.stored import Described, Stored, opened

_COUNTER = ".num_batches_tracked"
_REAL = frozenset({torch.float64, torch.float32, torch.float16, torch.bfloat16})
_WHOLE = frozenset({torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8})


@dataclass(frozen=True)
class Loaded:
    """What was loaded.

    Attributes:
        naming: whose names the file uses: ``robdsl``, ``published`` or ``torchvision``.
        name: the net that the file says it belongs to; "" when it says nothing.
        unused: how many tensors of the file were left aside (with ``partial``).
    """

    naming: str
    name: str
    unused: int


def load_weights(model: nn.Module, path: str | Path, *, partial: bool = False) -> Loaded:
    """Loads weights into a compiled model.

    What the file is shows in its content: safetensors (`save_weights` writes them), or a checkpoint of
    `torch.save`, of which only the tensors are read, under its ``state_dict`` or bare. Its keys may be the
    model's own, those of the published RobNets (for nets in the RobNet spaces) or torchvision's (for its
    ImageNet ResNets and DenseNets), all with or without ``module.`` before them. Numbers are converted to the
    model's dtype and device.

    Args:
        model: from `robdsl.compile`, perhaps wrapped by `DistributedDataParallel` or `torch.compile`.
        path: the file.
        partial: take what the model needs from a file that has more, whatever architecture that belongs to,
            as from a supernet's weights for one of its sub-networks. Nothing that it needs may be missing.

    Raises:
        MisfitError: these are not the weights of this model. It lists all that is wrong; nothing was loaded.
        FrozenError: the model is frozen.
        UnsafeWeightsError: the file wants to run code.
        BrokenWeightsError: the file is not there, damaged or no weights at all.
    """
    model = unwrapped(model)
    if isinstance(model, FrozenModule):
        raise FrozenError(FROZEN_WEIGHTS)
    net = net_of(model)
    wanted: dict[str, Tensor] = model.state_dict()
    path = Path(path)
    with opened(path) as stored:
        naming = naming_of(net, wanted, stored.tensors)
        misfits = _misfits(wanted, stored.tensors, naming, partial=partial)
        stranger = "" if partial else _stranger(net, stored.metadata)
        if misfits or stranger:
            raise _misfit(path, net, stranger, misfits)
        present = {key: naming.key_of[key] for key in wanted if naming.key_of[key] in stored.tensors}
        values = {key: stored.read(each) for key, each in present.items()}
        name = stored.metadata.get(NAME, "")
        unused = len(stored.tensors) - len(present)
    _fill(wanted, values)
    return Loaded(naming.name, name, unused)


def _fill(wanted: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Copies values into the tensors of a model; a counter that an old file does not have starts at 0."""
    with torch.no_grad():
        for key, tensor in wanted.items():
            if key in values:
                tensor.copy_(values[key])
            else:
                tensor.zero_()


def _misfits(
    wanted: Mapping[str, Tensor], stored: Mapping[str, Described], naming: Naming, *, partial: bool
) -> Misfits:
    missing, misshapen, mistyped = [], [], []
    for key, tensor in wanted.items():
        theirs = naming.key_of.get(key, key)
        found = stored.get(theirs)
        if found is None:
            if naming.counters or not key.endswith(_COUNTER):
                missing.append(theirs)
        elif found.shape != tuple(tensor.shape):
            misshapen.append(
                f"{theirs} is {_shape(found.shape)} in the file and {_shape(tensor.shape)} in the model"
            )
        elif not any(found.dtype in kind and tensor.dtype in kind for kind in (_REAL, _WHOLE)):
            there = str(found.dtype).removeprefix("torch.") if found.dtype else "no type of weights"
            mistyped.append(
                f"{theirs} is {there} in the file and {str(tensor.dtype).removeprefix('torch.')} in the model"
            )
    known = {naming.key_of.get(key, key) for key in wanted}
    extra = [] if partial else [key for key in stored if key not in known]
    return Misfits(missing, extra, misshapen, mistyped)


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"


def _stranger(net: Net | None, metadata: Mapping[str, str]) -> str:
    """A line that says whose weights these are, if they belong to another architecture."""
    theirs = metadata.get(HASH)
    if net is None or theirs is None or theirs == net.hash:
        return ""
    name = printable(metadata.get(NAME, "an unnamed net"))
    other = f"another form of `{name}`" if name == net.name else f"another architecture, `{name}`,"
    return (
        f"they belong to {other} (hash {printable(theirs)[:12]}) and not to this `{net.name}` "
        f"(hash {net.hash[:12]}); partial=True takes what has the same names and shapes"
    )


def _misfit(path: Path, net: Net | None, stranger: str, misfits: Misfits) -> MisfitError:
    model = f"`{net.name}`" if net is not None else "the model"
    lines = [f"the weights in {path} do not fit {model}", *filter(None, [stranger]), *misfits.lines()]
    return MisfitError("\n  ".join(lines), misfits)


__all__ = ["Loaded", "Stored", "load_weights"]
