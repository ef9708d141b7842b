"""The forms of a net that `bench_gpu` compares: as published, cleaned, through kernels, through Inductor."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import torch
from torch import Tensor, fx, nn

import robdsl
from benchmarks.published_form import PublishedRobNet
from robdsl.compiler.freezing import freeze
from robdsl.compiler.passes import CUDA_PIPELINE, KERNEL_PIPELINE, KERNEL_TRAIN_PIPELINE, Pass
from robdsl.compiler.passes.heads import FuseHeads
from robdsl.compiler.passes.kernels import FuseStages
from robdsl.compiler.passes.training_kernels import FuseTraining


@dataclass(frozen=True)
class Forms:
    """A net and its forms, in eval mode, all with batch norms that have seen images.

    Attributes:
        name: of the net.
        settings: its parameters.
        device: where the forms are put.
    """

    name: str
    settings: dict[str, Any]
    device: str

    @cached_property
    def net(self) -> robdsl.Net:
        """The net."""
        return robdsl.load(self.name, **self.settings)

    @cached_property
    def plain(self) -> fx.GraphModule:
        """The plain graph, on the CPU."""
        return _used(robdsl.compile(self.net, seed=0, passes=()), self.net)

    @cached_property
    def _published(self) -> nn.Module:
        if not self.net.alpha:
            return self.plain
        sizes = {"width": 36, "layers": 20, "classes": 10} | self.settings
        torch.manual_seed(0)
        made = PublishedRobNet(self.net.alpha, sizes["width"], sizes["layers"], sizes["classes"])
        return _used(made, self.net)

    def published(self) -> nn.Module:
        """The published form, with weights of its own; of a net without cells the plain graph."""
        return copy.deepcopy(self._published).to(self.device)

    def compiled(self, passes: Sequence[Pass] | None = None) -> nn.Module:
        """The net as `robdsl.compile` makes it."""
        made = robdsl.compile(self.net, seed=0, passes=passes)
        made.load_state_dict(self.plain.state_dict())
        return made.to(self.device).eval()

    def frozen(self, pipeline: Sequence[Pass]) -> nn.Module:
        """The net frozen by a pipeline."""
        return freeze(self.plain, pipeline).to(self.device)

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Images and labels, the same each time."""
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(size, *self.net.image, generator=generator)
        return images.to(self.device), torch.randint(10, (size,), generator=generator).to(self.device)

    @cached_property
    def exact(self) -> Tensor:
        """The logits of eight images in float64, by the plain graph on the CPU."""
        with torch.no_grad():
            return copy.deepcopy(self.plain).double()(self.batch(8)[0].cpu().double())  # type: ignore[no-any-return]  # nn.Module returns Any


@dataclass(frozen=True)
class Variant:
    """One form of the net for attacks.

    Attributes:
        model: in eval mode, without gradients of weights.
        dtype: of the images that it takes.
        autocast: whether it runs under autocast to bfloat16.
        channels_last: how the images lie.
        graphs: whether its steps are measured as CUDA graphs too.
        same_weights: whether it has the weights of the compiled net.
    """

    model: nn.Module
    dtype: torch.dtype = torch.float32
    autocast: bool = False
    channels_last: bool = True
    graphs: bool = True
    same_weights: bool = True

    def __post_init__(self) -> None:
        self.model.requires_grad_(False)


_Model = TypeVar("_Model", bound=nn.Module)


def _used(model: _Model, net: robdsl.Net) -> _Model:
    """The model in eval mode after two batches in train mode, so that its batch norms have something to do."""
    generator = torch.Generator().manual_seed(1)
    model.train()
    with torch.no_grad():
        for _ in range(2):
            model(torch.rand(4, *net.image, generator=generator))
    model.eval()
    return model


def _published(forms: Forms, *, autocast: bool = False, last: bool = False) -> Variant:
    model = forms.published()
    if last:
        model = model.to(memory_format=torch.channels_last)
    return Variant(model, autocast=autocast, channels_last=last, graphs=not last, same_weights=False)


def _frozen(forms: Forms, pipeline: Sequence[Pass], *, half: bool = False) -> Variant:
    model = forms.frozen(pipeline)
    if half:
        return Variant(model.bfloat16(), dtype=torch.bfloat16)
    return Variant(model)


def fused(*, pairs: int = 0, tf32: bool = False) -> tuple[Pass, ...]:
    """The pipeline with kernels, with two stages at once on maps of so many positions, or products in tf32."""
    made = {FuseStages: FuseStages(pairs, tf32), FuseHeads: FuseHeads(tf32)}
    return tuple(made.get(type(each), each) for each in KERNEL_PIPELINE)


def _tuned(model: nn.Module, device: str) -> nn.Module:
    """The model through Inductor. The program itself is tried on a CPU, where generating code would take minutes."""
    tuned: Any = (
        torch.compile(model, mode="max-autotune")
        if device == "cuda"
        else torch.compile(model, backend="eager")
    )
    return tuned  # type: ignore[no-any-return]  # torch.compile gives a module for a module


def _inductor(forms: Forms, *, autocast: bool = False) -> Variant:
    tuned = _tuned(forms.published().requires_grad_(False), forms.device)
    return Variant(tuned, autocast=autocast, channels_last=False, graphs=False, same_weights=False)


#: The forms that a step of PGD is measured in; the first is what ratios are to.
VARIANTS: dict[str, Callable[[Forms], Variant]] = {
    "published": _published,
    "published, channels last": partial(_published, last=True),
    "published, bf16": partial(_published, autocast=True),
    "cleaned": partial(_frozen, pipeline=CUDA_PIPELINE),
    "cleaned, bf16": partial(_frozen, pipeline=CUDA_PIPELINE, half=True),
    "kernels": partial(_frozen, pipeline=KERNEL_PIPELINE),
    "kernels, tf32": partial(_frozen, pipeline=fused(tf32=True)),
    "kernels, pairs": partial(_frozen, pipeline=fused(pairs=256)),
    "kernels, bf16": partial(_frozen, pipeline=KERNEL_PIPELINE, half=True),
    "kernels, pairs, bf16": partial(_frozen, pipeline=fused(pairs=256), half=True),
    "max-autotune": _inductor,
    "max-autotune, bf16": partial(_inductor, autocast=True),
}


@dataclass(frozen=True)
class Trained:
    """One form of the net for adversarial training.

    Attributes:
        make: gives the model, of its own each time.
        autocast: whether it runs under autocast to bfloat16.
        graphs: whether the attack's steps are CUDA graphs.
    """

    make: Callable[[Forms], nn.Module]
    autocast: bool = False
    graphs: bool = False


def _compiled(forms: Forms) -> nn.Module:
    return forms.compiled()


def training_kernels(forms: Forms, *, tf32: bool = False) -> nn.Module:
    """The net as `robdsl.compile` makes it with stages through kernels."""
    pipeline = [
        FuseTraining(tf32) if isinstance(each, FuseTraining) else each for each in KERNEL_TRAIN_PIPELINE
    ]
    return forms.compiled(pipeline).to(memory_format=torch.channels_last)


def _inductor_training(forms: Forms) -> nn.Module:
    return _tuned(forms.published(), forms.device)


#: The forms that a step of adversarial training is measured in; the first is what ratios are to.
TRAINED: dict[str, Trained] = {
    "published": Trained(Forms.published),
    "published, bf16": Trained(Forms.published, autocast=True),
    "compiled": Trained(_compiled),
    "compiled, graphs": Trained(_compiled, graphs=True),
    "compiled, bf16": Trained(_compiled, autocast=True),
    "compiled, bf16, graphs": Trained(_compiled, autocast=True, graphs=True),
    "kernels": Trained(training_kernels),
    "kernels, graphs": Trained(training_kernels, graphs=True),
    "kernels, tf32, graphs": Trained(partial(training_kernels, tf32=True), graphs=True),
    "kernels, bf16": Trained(training_kernels, autocast=True),
    "kernels, bf16, graphs": Trained(training_kernels, autocast=True, graphs=True),
    "max-autotune": Trained(_inductor_training),
    "max-autotune, bf16": Trained(_inductor_training, autocast=True),
}
