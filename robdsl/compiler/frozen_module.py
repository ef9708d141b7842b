"""Frozen models: what `robdsl.freeze` makes."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, Self, TypeVar

import torch
from torch import Tensor, fx, nn

from robdsl.compiler.lowered_module import LoweredModule, install, is_primitive
from robdsl.compiler.modules import Affine
from robdsl.compiler.training_stages import spread

_Module = TypeVar("_Module", bound=nn.Module)

#: Under this name a graph holds the modules that compute. No text can name it: such a name gets more underscores.
COMPUTED = "_frozen"

#: What a frozen model says to other weights.
FROZEN_WEIGHTS = "this model is frozen: load weights into the one that it was frozen from, and freeze that"


class FrozenError(RuntimeError):
    """A frozen model was asked to learn."""


class FrozenModule(LoweredModule):
    """A model that computes what another computed in eval mode, and can do nothing else.

    It has no parameters. The weights that it was made of are in its `state_dict`, under the keys and with the values
    of the model that was frozen, so that they can be saved and compared; what it computes with is made of them and
    is not in the `state_dict`. It is in eval mode, and refuses train mode and other weights with a `FrozenError`.
    """

    def train(self, mode: bool = True) -> Self:
        """Nothing for False; a frozen model has no other mode."""
        if mode:
            raise FrozenError(
                "this model is frozen and cannot be trained: train the one that it was frozen from"
            )
        return super().train(False)

    def _get_name(self) -> str:
        return f"frozen {type(self).__name__}"

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> NoReturn:
        _refuse()


FrozenModule._kind = FrozenModule


class Weights(nn.Module):
    """The weights of one primitive as they were; they are not computed with."""

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> NoReturn:
        _refuse()

    def extra_repr(self) -> str:
        return ", ".join(f"{name} {' x '.join(map(str, each.shape))}" for name, each in self.named_buffers())


def _refuse() -> NoReturn:
    raise FrozenError(FROZEN_WEIGHTS)


def snapshot(model: LoweredModule) -> FrozenModule:
    """A frozen model that computes, node by node, what a model computes in eval mode.

    Every primitive with tensors becomes two: its weights under its name, and constants that compute with a copy of
    them. Batch norms become a factor and a shift a channel; dropout is gone.
    """
    graph = copy.deepcopy(model.graph)
    spread(graph)
    constants: dict[str, nn.Module] = {}
    kept: dict[str, nn.Module] = {}
    for path, each in _parts(model):
        if isinstance(each, LoweredModule):
            constants[path] = snapshot(each)
        elif each.state_dict():
            for inner, part in each.named_modules():
                kept[f"{path}.{inner}" if inner else path] = _kept(part)
        elif not isinstance(each, nn.Dropout):
            kept[path] = copy.copy(each)
    for node in list(graph.nodes):
        if node.op != "call_module":
            continue
        called = model.get_submodule(node.target)
        if isinstance(called, nn.Dropout):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
        elif is_primitive(called) and called.state_dict():
            node.target = f"{COMPUTED}.{node.name}"
            constants[node.target] = constant(called)
    made = FrozenModule(_in_order(model, kept, constants), graph, type(model).__name__, model._about)
    made.meta.update(model.meta)
    return made.eval()


def _parts(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The stages and primitives of one graph, by path, in order."""
    for name, child in module.named_children():
        inner = f"{path}.{name}" if path else name
        if isinstance(child, LoweredModule) or is_primitive(child):
            yield inner, child
        else:
            yield from _parts(child, inner)


def _in_order(
    model: LoweredModule, kept: dict[str, nn.Module], constants: dict[str, nn.Module]
) -> dict[str, nn.Module]:
    """The modules of a frozen graph: the stages and weights in the model's order, then what computes."""
    modules = {}
    for path, each in _parts(model):
        if isinstance(each, LoweredModule):
            modules[path] = constants[path]
        else:
            modules.update((key, kept[key]) for key in kept if key == path or key.startswith(f"{path}."))
    return modules | {path: each for path, each in constants.items() if path.startswith(f"{COMPUTED}.")}


def _kept(module: nn.Module) -> Weights:
    made = Weights()
    tensors = {**module._parameters, **module._buffers}
    for name, tensor in tensors.items():
        if tensor is not None:
            keeps = name not in module._non_persistent_buffers_set
            made.register_buffer(name, tensor.detach().clone(), persistent=keeps)
    return made.eval()


def constant(module: nn.Module) -> nn.Module:
    """A primitive with constants for its weights: a copy, of which no tensor is in the `state_dict`."""
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return Affine(*scale_and_shift(module), dims=2 if isinstance(module, nn.BatchNorm1d) else 4)
    made = bare(module)
    tensors = {**module._parameters, **module._buffers}
    _hold(made, {name: None if each is None else each.detach().clone() for name, each in tensors.items()})
    for name, child in module.named_children():
        made._modules[name] = constant(child)
    return made


def scale_and_shift(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What a batch norm multiplies each channel by in eval mode, and what it then adds."""
    assert norm.running_mean is not None and norm.running_var is not None
    with torch.no_grad():
        scale = (norm.running_var + norm.eps).rsqrt()
        if norm.affine:
            scale = scale * norm.weight
        shift = -norm.running_mean * scale
        return scale, shift + norm.bias if norm.affine else shift


def convolution(weight: Tensor, bias: Tensor | None, like: nn.Conv2d) -> nn.Conv2d:
    """A convolution with constants for weights, and the geometry of another.

    Args:
        weight: out x in / groups x kernel x kernel.
        bias: out; None for none.
        like: gives stride, padding, dilation and groups.
    """
    made = bare(like)
    made.out_channels, made.in_channels = weight.shape[0], weight.shape[1] * like.groups
    made.kernel_size = weight.shape[2], weight.shape[3]
    _hold(made, {"weight": weight, "bias": bias})
    return made


def linear(weight: Tensor, bias: Tensor, like: nn.Linear) -> nn.Linear:
    """A linear layer with constants for weights: out x in, and out."""
    made = bare(like)
    made.out_features, made.in_features = weight.shape
    _hold(made, {"weight": weight, "bias": bias})
    return made


def bare(module: _Module) -> _Module:
    """A copy of a module without its tensors; its children are still those of the original."""
    made: _Module = object.__new__(type(module))
    for name, value in vars(module).items():
        vars(made)[name] = value.copy() if isinstance(value, dict | set) else value
    made._parameters.clear()
    made._buffers.clear()
    made._non_persistent_buffers_set.clear()
    made.training = False
    return made


def _hold(module: nn.Module, tensors: Mapping[str, Tensor | None]) -> None:
    """Gives a bare module its tensors, as constants."""
    for name, tensor in tensors.items():
        module._buffers[name] = None if tensor is None else tensor.detach()
        module._non_persistent_buffers_set.add(name)


def drop(module: LoweredModule, node: fx.Node) -> None:
    """Takes the module of an erased node out of a frozen graph."""
    delattr(module.get_submodule(COMPUTED), str(node.target).rpartition(".")[2])


def put(module: LoweredModule, node: fx.Node, made: nn.Module) -> None:
    """Makes a node of a frozen graph call another module, which takes the place of its old one."""
    if node.op != "call_module" or not str(node.target).startswith(f"{COMPUTED}."):
        node.op, node.target = "call_module", f"{COMPUTED}.{node.name}"
    install(module, str(node.target), made)
