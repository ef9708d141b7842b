"""Every pass by its name, and the pipelines in use."""

from __future__ import annotations

from collections.abc import Mapping

from robdsl.compiler.passes.across import ChannelsLast, ShareRelus
from robdsl.compiler.passes.base import Pass
from robdsl.compiler.passes.dead import Dead
from robdsl.compiler.passes.fold import FoldConstants, FoldNorms
from robdsl.compiler.passes.forget import ForgetInputs, KeepSigns
from robdsl.compiler.passes.gather import Gather
from robdsl.compiler.passes.heads import FuseHeads, MoveHeads
from robdsl.compiler.passes.kernels import FuseStages
from robdsl.compiler.passes.merge import MergePointwise, MergeSiblings
from robdsl.compiler.passes.placement import Concatenate, Early, InPlace
from robdsl.compiler.passes.positions import SkipPositions
from robdsl.compiler.passes.simplify import Common, Identities, Zeros
from robdsl.compiler.passes.training_kernels import FuseTraining

_ALL: tuple[type[Pass], ...] = (
    Zeros, Identities, Common, Dead, Concatenate, Early, InPlace,
    FoldNorms, FoldConstants, ShareRelus, SkipPositions, MergeSiblings, MergePointwise, ChannelsLast, MoveHeads, FuseHeads,
    FuseStages, Gather, ForgetInputs, KeepSigns, FuseTraining,
)  # fmt: skip

#: The passes, by the names that pipelines call them.
PASSES: Mapping[str, type[Pass]] = {each.name: each for each in _ALL}

#: What `robdsl.compile` does unless it is told otherwise; each holds in training.
TRAIN_PIPELINE: tuple[Pass, ...] = (
    Zeros(), Identities(), Common(), ChannelsLast(), Concatenate(), Dead(), Early(), InPlace(),
)  # fmt: skip

#: What `robdsl.compile` could do where kernels run. It is chosen by hand until a GPU has shown that it pays.
KERNEL_TRAIN_PIPELINE: tuple[Pass, ...] = (
    Zeros(), Identities(), Common(), FuseTraining(), Concatenate(), Dead(), Early(), Gather(), InPlace(),
)  # fmt: skip

#: How `robdsl.freeze` begins.
FOLDING: tuple[Pass, ...] = (FoldNorms(), Zeros(), FoldConstants(), Identities(), ShareRelus(), Common())

#: What there is to choose from then: the merging passes that may pay (`robdsl.compiler.cost` says which do).
MERGING: tuple[tuple[Pass, ...], ...] = (
    (), (SkipPositions(),), (SkipPositions(), MergeSiblings()), (SkipPositions(), MergeSiblings(), MergePointwise()),
)  # fmt: skip


def writing(*, channels_last: bool) -> tuple[Pass, ...]:
    """How `robdsl.freeze` ends: what is left is put in its place, in memory too."""
    return (*((ChannelsLast(),) if channels_last else ()), Concatenate(), Dead(), Early(), InPlace())


def freezing_pipeline(*merging: Pass, channels_last: bool = False) -> tuple[Pass, ...]:
    """All that `robdsl.freeze` does, with some merging passes."""
    return (*FOLDING, *merging, *writing(channels_last=channels_last))


#: What `robdsl.freeze` comes to where nothing, or everything, is merged.
CPU_PIPELINE = freezing_pipeline(channels_last=True)
CUDA_PIPELINE = freezing_pipeline(*MERGING[-1])

#: For `robdsl.freeze` of what `torch.compile` then makes code of on a CPU: it orders sums and overwrites values itself.
INDUCTOR_PIPELINE: tuple[Pass, ...] = (
    *FOLDING, SkipPositions(), ChannelsLast(), Concatenate(), Dead(), ForgetInputs(), KeepSigns(),
)  # fmt: skip

#: How `robdsl.freeze` begins where kernels run. ReLUs stay with their readers, because a kernel applies them as it reads.
KERNEL_FOLDING: tuple[Pass, ...] = (
    FoldNorms(), Zeros(), FoldConstants(), Identities(), Common(), MoveHeads(),
)  # fmt: skip

#: What there is to choose from then: stages alone, or pairs of them up to a size of map.
FUSING: tuple[tuple[Pass, ...], ...] = tuple((FuseStages(pairs=most),) for most in (0, 64, 256, 1024))


def kernel_writing(*fusing: Pass) -> tuple[Pass, ...]:
    """How `robdsl.freeze` ends where kernels run: stages are fused, and what is left is as on any GPU, but for sums."""
    *places, in_place = writing(channels_last=False)
    return (
        *fusing,
        SkipPositions(),
        FuseHeads(),
        Dead(),
        MergeSiblings(),
        MergePointwise(),
        *places,
        Gather(),
        in_place,
    )


#: What `robdsl.freeze` comes to where kernels run and no map is known to be small.
KERNEL_PIPELINE: tuple[Pass, ...] = (*KERNEL_FOLDING, *kernel_writing(*FUSING[0]))
