"""Rewritings of compiled models that keep what they compute; docs/passes.md shows each, before and after."""

from robdsl.compiler.passes.base import Mode, Pass, graphs_of, rebuilt, stages_of
from robdsl.compiler.passes.catalog import (
    CPU_PIPELINE,
    CUDA_PIPELINE,
    FOLDING,
    FUSING,
    INDUCTOR_PIPELINE,
    KERNEL_FOLDING,
    KERNEL_PIPELINE,
    KERNEL_TRAIN_PIPELINE,
    MERGING,
    PASSES,
    TRAIN_PIPELINE,
    freezing_pipeline,
    kernel_writing,
    writing,
)
from robdsl.compiler.passes.pipeline import (
    PipelineError,
    Watcher,
    as_pipeline,
    check_mode,
    format_pipeline,
    parse_pipeline,
    run_pipeline,
)

__all__ = [
    "CPU_PIPELINE", "CUDA_PIPELINE", "FOLDING", "FUSING", "INDUCTOR_PIPELINE", "KERNEL_FOLDING", "KERNEL_PIPELINE",
    "KERNEL_TRAIN_PIPELINE", "MERGING", "PASSES", "TRAIN_PIPELINE", "Mode", "Pass", "PipelineError", "Watcher",
    "as_pipeline", "check_mode", "format_pipeline", "freezing_pipeline", "graphs_of", "kernel_writing", "parse_pipeline",
    "rebuilt", "run_pipeline", "stages_of", "writing",
]  # fmt: skip
