"""A whole step of PGD as one CUDA graph: forward, gradient and update in one launch.

At small batches a step is bound by launches, of which a graph needs one. A graph replays fixed work on fixed memory, so
images, labels and bounds are copied into tensors of its own, and a graph serves only a model whose tensors have not
moved, in the modes that its modules had. Off unless asked for, by `graphed_steps`; never on a CPU.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import chain
from typing import TypeGuard, TypeVar

import torch
from torch import Tensor, nn

from robdsl.attacks.core.ball import Ball, LinfBall
from robdsl.attacks.core.losses import Loss
from robdsl.attacks.core.query import Query

_active: ContextVar[StepGraphs | None] = ContextVar("step_graphs", default=None)
#: Steps made before one is recorded, so that libraries have chosen their algorithms and allocated what they keep.
_WARM_UP = 3
#: Kinds of step that are remembered as seen once: restarts on what is left make many that never come again.
_SEEN = 64


@contextmanager
def graphed_steps(most: int = 4) -> Iterator[StepGraphs]:
    """Inside, PGD on CUDA tensors in the maximum norm records its step once and replays it.

    A step is recorded when a batch of its shape comes a second time, which costs a few steps more. Until then, and
    where a step cannot be recorded (because the model waits for the device, or on a CPU), steps are taken one by one,
    as without this.

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
    model: nn.Module  # held, so that no other takes its place in memory
    images: Tensor
    labels: Tensor
    ball: LinfBall
    replay: Callable[[], None]


class StepGraphs:
    """Recorded steps, by model, shape, mode, loss and step size.

    Attributes:
        replays: how many steps were replayed.
        plain: how many steps were taken one by one: on a CPU, in another norm, on a shape not seen twice, or of a model
            that cannot be recorded.
        refused: how many kinds of step could not be recorded.
        reason: why the last of those could not, in the device's words; None where all could.
    """

    def __init__(self, most: int) -> None:
        self.replays = 0
        self.plain = 0
        self.refused = 0
        self.reason: str | None = None
        self._most = most
        self._seen: OrderedDict[Hashable, None] = OrderedDict()
        self._recorded: OrderedDict[Hashable, _Recorded | None] = OrderedDict()

    def clear(self) -> None:
        """Gives the memory of all graphs back."""
        self._recorded.clear()

    def climb(
        self, query: Query, ball: Ball, images: Tensor, labels: Tensor, loss: Loss, size: float, steps: int
    ) -> bool:
        """Takes `steps` steps in place by replaying; False, and nothing done, where a graph does not serve."""
        step = self._step(query, ball, images, labels, loss, size) if steps else None
        if step is None or not isinstance(ball, LinfBall):
            self.plain += steps
            return False
        step.images.copy_(images)
        step.labels.copy_(labels)
        step.ball.lower.copy_(ball.lower)
        step.ball.upper.copy_(ball.upper)
        for _ in range(steps):
            step.replay()
        images.copy_(step.images)
        self.replays += steps
        query.forward_passes += steps
        query.backward_passes += steps
        query.forward_images += steps * len(images)
        query.backward_images += steps * len(images)
        return True

    def _step(
        self, query: Query, ball: Ball, images: Tensor, labels: Tensor, loss: Loss, size: float
    ) -> _Recorded | None:
        """The recorded step, recorded now if such a batch was here before; None where there is none."""
        if not _serves(ball, images):
            return None
        key = _key(query, images, labels, loss, size)
        if key not in self._recorded:
            if key not in self._seen:
                _remember(self._seen, key, None, _SEEN)
                return None
            _remember(self._recorded, key, self._record(query, ball, images, labels, loss, size), self._most)
        self._recorded.move_to_end(key)
        return self._recorded[key]

    def _record(
        self, query: Query, ball: LinfBall, images: Tensor, labels: Tensor, loss: Loss, size: float
    ) -> _Recorded | None:
        # In train mode the steps before the recording move running statistics, which are put back.
        trains = any(module.training for module in query.model.modules())
        buffers = [(each, each.clone()) for each in query.model.buffers()] if trains else []
        asking = Query(query.model)  # its counts are not the attack's
        moved, fixed = images.detach().clone(), labels.clone()
        around = LinfBall(ball.lower.clone(), ball.upper.clone(), ball.eps)
        scratch = torch.empty_like(images)

        def take() -> None:
            gradient, _, _ = asking.gradient(moved, fixed, loss)
            around.ascend_(moved, gradient, size, scratch)

        try:
            return _Recorded(query.model, moved, fixed, around, _captured(take))
        except RuntimeError as error:
            self.refused += 1
            self.reason = str(error).partition("\n")[0]
            return None
        finally:
            for each, before in buffers:
                each.copy_(before)


def _serves(ball: Ball, images: Tensor) -> TypeGuard[LinfBall]:
    """Whether steps there can be recorded."""
    return images.is_cuda and isinstance(ball, LinfBall)


def _captured(take: Callable[[], None]) -> Callable[[], None]:
    """What replays the work of `take`, recorded after a few times on a stream of its own."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            take()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        take()
    replay: Callable[[], None] = graph.replay
    return replay


_Entry = TypeVar("_Entry")


def _remember(kept: OrderedDict[Hashable, _Entry], key: Hashable, entry: _Entry, most: int) -> None:
    """Keeps an entry, and of all the last `most`."""
    kept[key] = entry
    while len(kept) > most:
        kept.popitem(last=False)


def _key(query: Query, images: Tensor, labels: Tensor, loss: Loss, size: float) -> Hashable:
    """Everything that a recorded step takes for granted."""
    model = query.model
    places = tuple(each.data_ptr() for each in chain(model.parameters(), model.buffers()))
    flags = tuple(module.training for module in model.modules())
    autocast = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    precision = torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision  # type: ignore[attr-defined]  # made at import, unseen by annotations
    maps = images.shape, images.stride(), images.dtype, images.device, labels.shape, labels.dtype
    return id(model), hash(places), hash(flags), autocast, precision, maps, loss, size
