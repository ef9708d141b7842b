"""A whole step of PGD as one CUDA graph: forward, gradient and update in one launch.

At small batches a step is bound by launches, of which a graph needs one. A graph replays fixed work on fixed memory, so
images, labels and bounds are copied into tensors of its own, and a graph serves only a model whose tensors have not
moved, in the modes that its modules had. Off unless asked for, by `graphed_steps`; never on a CPU.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from robdsl.attacks.core.ball import Ball, LinfBall
from robdsl.attacks.core.losses import Loss
from robdsl.attacks.core.query import Query

_active: ContextVar[StepGraphs | None] = ContextVar("step_graphs", default=None)
#: Steps made before one is recorded, so that libraries have chosen their algorithms and allocated what they keep.
_WARM_UP = 3


@contextmanager
def graphed_steps(most: int = 4) -> Iterator[StepGraphs]:
    """Inside, PGD on CUDA tensors in the maximum norm records its step once and replays it.

    The first attack on a batch of a new shape pays for a few steps more. A model that cannot be recorded (because it
    waits for the device) is attacked step by step, as without this.

    Args:
        most: graphs to keep; each holds the memory of one step.
    """
    graphs = StepGraphs(most)
    token = _active.set(graphs)
    try:
        yield graphs
    finally:
        _active.reset(token)
        graphs.clear()


def active_graphs() -> StepGraphs | None:
    """Those of the `graphed_steps` that this code runs inside of."""
    return _active.get()


@dataclass(frozen=True, eq=False)
class _Recorded:
    graph: torch.cuda.CUDAGraph
    images: Tensor
    labels: Tensor
    ball: LinfBall


class StepGraphs:
    """Recorded steps, by model, shape, mode, loss and step size.

    Attributes:
        replays: how many steps were replayed.
        refused: how many kinds of step could not be recorded.
    """

    def __init__(self, most: int) -> None:
        self.replays = 0
        self.refused = 0
        self._most = most
        self._recorded: OrderedDict[Hashable, _Recorded | None] = OrderedDict()

    def clear(self) -> None:
        """Gives the memory of all graphs back."""
        self._recorded.clear()

    def climb(
        self, query: Query, ball: Ball, images: Tensor, labels: Tensor, loss: Loss, size: float, steps: int
    ) -> bool:
        """Takes `steps` steps in place by replaying; False, and nothing done, where a graph does not serve."""
        if not images.is_cuda or not isinstance(ball, LinfBall) or not steps:
            return False
        key = _key(query, images, labels, loss, size)
        if key not in self._recorded:
            self._recorded[key] = self._record(query, ball, images, labels, loss, size)
            while len(self._recorded) > self._most:
                self._recorded.popitem(last=False)
        self._recorded.move_to_end(key)
        step = self._recorded[key]
        if step is None:
            return False
        step.images.copy_(images)
        step.labels.copy_(labels)
        step.ball.lower.copy_(ball.lower)
        step.ball.upper.copy_(ball.upper)
        for _ in range(steps):
            step.graph.replay()
        images.copy_(step.images)
        self.replays += steps
        query.forward_passes += steps
        query.backward_passes += steps
        query.forward_images += steps * len(images)
        query.backward_images += steps * len(images)
        return True

    def _record(
        self, query: Query, ball: LinfBall, images: Tensor, labels: Tensor, loss: Loss, size: float
    ) -> _Recorded | None:
        # In train mode the steps before the recording move running statistics, which are put back.
        buffers = [(each, each.clone()) for each in query.model.buffers()]
        step = _Recorded(
            torch.cuda.CUDAGraph(), images.detach().clone(), labels.clone(),
            LinfBall(ball.lower.clone(), ball.upper.clone(), ball.eps),
        )  # fmt: skip
        asking = Query(query.model)  # its counts are not the attack's
        scratch = torch.empty_like(images)

        def take() -> None:
            gradient, _, _ = asking.gradient(step.images, step.labels, loss)
            step.ball.ascend_(step.images, gradient, size, scratch)

        try:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(_WARM_UP):
                    take()
            torch.cuda.current_stream().wait_stream(stream)
            with torch.cuda.graph(step.graph):
                take()
        except RuntimeError:
            self.refused += 1
            return None
        finally:
            for each, before in buffers:
                each.copy_(before)
        return step


def _key(query: Query, images: Tensor, labels: Tensor, loss: Loss, size: float) -> Hashable:
    """Everything that a recorded step takes for granted."""
    model = query.model
    places = tuple(each.data_ptr() for each in chain(model.parameters(), model.buffers()))
    flags = tuple(module.training for module in model.modules())
    autocast = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    precision = torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision  # type: ignore[attr-defined]  # made at import, unseen by annotations
    maps = images.shape, images.stride(), images.dtype, images.device, labels.shape, labels.dtype
    return id(model), hash(places), hash(flags), autocast, precision, maps, loss, size
