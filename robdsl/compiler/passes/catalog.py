"""Every pass by its name, and the pipelines in use."""

from __future__ import annotations

from collections.abc import Mapping

from robdsl.compiler.passes.across import ChannelsLast, ShareRelus
from robdsl.compiler.passes.base import Pass
from robdsl.compiler.passes.dead import Dead
from robdsl.compiler.passes.fold import FoldConstants, FoldNorms
from robdsl.compiler.passes.kernels import FuseStages
from robdsl.compiler.passes.merge import MergePointwise, MergeSiblings
from robdsl.compiler.passes.placement import Concatenate, Early, InPlace
from robdsl.compiler.passes.simplify import Common, Identities, Zeros

_ALL: tuple[type[Pass], ...] = (
    Zeros, Identities, Common, Dead, Concatenate, Early, InPlace,
    FoldNorms, FoldConstants, ShareRelus, MergeSiblings, MergePointwise, ChannelsLast, FuseStages,
)  # fmt: skip

#: The passes, by the names that pipelines call them.
PASSES: Mapping[str, type[Pass]] = {each.name: each for each in _ALL}

#: What `robdsl.compile` does unless it is told otherwise; each holds in training.
TRAIN_PIPELINE: tuple[Pass, ...] = (
    Zeros(), Identities(), Common(), Concatenate(), Dead(), Early(), InPlace(),
)  # fmt: skip

_FOLDING: tuple[Pass, ...] = (FoldNorms(), Zeros(), FoldConstants(), Identities(), ShareRelus(), Common())
_WRITING: tuple[Pass, ...] = (Concatenate(), Dead(), Early(), InPlace())

#: What `robdsl.freeze` does on a CPU: `bench_passes` finds that the merging passes lose there what they save.
CPU_PIPELINE: tuple[Pass, ...] = (*_FOLDING, ChannelsLast(), *_WRITING)
#: What `robdsl.freeze` does on a GPU, where launches and traffic count.
CUDA_PIPELINE: tuple[Pass, ...] = (*_FOLDING, MergeSiblings(), MergePointwise(), *_WRITING)
#: What `robdsl.freeze` does where kernels run: stages first, and what is left as on any GPU. ReLUs stay with their readers,
#: because a kernel applies them as it reads.
KERNEL_PIPELINE: tuple[Pass, ...] = (
    FoldNorms(), Zeros(), FoldConstants(), Identities(), Common(), FuseStages(), Dead(),
    MergeSiblings(), MergePointwise(), *_WRITING,
)  # fmt: skip
