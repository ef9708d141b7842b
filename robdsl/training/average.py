"""An exponential moving average of a model's weights and running statistics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """The average of what a model's state was after each update.

    In the beginning the decay is smaller, ``(1 + n) / (10 + n)`` after n updates, so that the first,
    random, weights are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Begin with the model's present state.

        Args:
            model: whose floating-point state is averaged; the rest of it is copied.
            decay: in (0, 1).
        """
        self._decay = decay
        self._live = dict(model.state_dict())
        self._state = {name: tensor.detach().clone() for name, tensor in self._live.items()}

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Take in the model's state after its ``updates``-th update."""
        decay = min(self._decay, (1 + updates) / (10 + updates))
        for name, average in self._state.items():
            if average.is_floating_point():
                average.lerp_(self._live[name], 1 - decay)
            else:
                average.copy_(self._live[name])

    def state(self) -> dict[str, Tensor]:
        """The average, by the names of the ``state_dict``."""
        return self._state

    def set_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`state` gave."""
        for name, tensor in self._state.items():
            tensor.copy_(state[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model have the average for the length of a ``with`` block."""
        own = {name: tensor.detach().clone() for name, tensor in self._live.items()}
        _fill(self._live, self._state)
        try:
            yield
        finally:
            _fill(self._live, own)

    def leave_in_model(self) -> None:
        """Let the model have the average for good."""
        _fill(self._live, self._state)


@torch.no_grad()
def _fill(tensors: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        tensor.copy_(values[name])
