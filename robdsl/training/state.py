"""Where a run stands, and its way into a checkpoint and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from robdsl.data import Ranks
from robdsl.evaluation import Json
from robdsl.training.average import WeightAverage
from robdsl.training.checkpoint import Checkpoint
from robdsl.training.methods import Method
from robdsl.training.optimizer import momentum_of, set_momentum


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        epoch: the next to train, from 0.
        batch: the next of it, from 0.
        updates: of the weights, so far.
        seconds: spent on the present epoch.
        best_epoch: whose weights are best so far; -1 where none were judged.
        best_score: theirs, larger is better, compared in order.
        history: the records of the epochs done.
    """

    epoch: int = 0
    batch: int = 0
    updates: int = 0
    seconds: float = 0.0
    best_epoch: int = -1
    best_score: list[int] = field(default_factory=list)
    history: list[dict[str, Json]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Learner:
    """Everything of a run that holds tensors.

    Attributes:
        model: what is trained.
        optimizer: with its momentum.
        average: of the weights, or None.
        method: with what it carries from batch to batch.
        sums: (3,) float64, over the epoch so far: losses of all updates, right answers and images; each
            process has its part.
        best: the best weights so far, on the CPU, by the names of the ``state_dict``; empty where none were
            judged.
    """

    model: nn.Module
    optimizer: torch.optim.SGD
    average: WeightAverage | None
    method: Method
    sums: Tensor
    best: dict[str, Tensor]

    def kept_state(self) -> Mapping[str, Tensor]:
        """The weights that are judged and kept: the average, if there is one."""
        return self.model.state_dict() if self.average is None else self.average.state()

    def expected(self, carried: Tensor) -> dict[str, Tensor]:
        """Every tensor that a checkpoint may have, by its name there, with one of its type and shape."""
        state = self.model.state_dict()
        expected = {f"model/{name}": tensor for name, tensor in state.items()}
        expected |= {f"best/{name}": tensor for name, tensor in state.items()}
        if self.average is not None:
            expected |= {f"average/{name}": tensor for name, tensor in state.items()}
        parameters = self.model.named_parameters()
        expected |= {f"momentum/{name}": parameter for name, parameter in parameters}
        return expected | {"sums": self.sums, "carried": carried}

    def required(self) -> Iterator[str]:
        """The names of the tensors that every checkpoint has."""
        yield "sums"
        for name in self.model.state_dict():
            yield f"model/{name}"
            if self.average is not None:
                yield f"average/{name}"

    def capture(self, progress: Progress, ranks: Ranks, batch: int, first: int) -> Checkpoint:
        """The present state, whole on the first process.

        Args:
            progress: see :class:`Progress`.
            ranks: all take part.
            batch: the size of a whole batch.
            first: where the own part begins in it.
        """
        tensors = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        momentum = momentum_of(self.model, self.optimizer)
        tensors |= {f"momentum/{name}": tensor for name, tensor in momentum.items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self.best.items()}
        if self.average is not None:
            tensors |= {f"average/{name}": tensor for name, tensor in self.average.state().items()}
        if self.method.carried is not None:
            tensors["carried"] = ranks.gather_rows(self.method.carried.detach(), batch, first)
        tensors["sums"] = ranks.sum(self.sums.clone())
        return Checkpoint(progress.epoch, progress.batch, asdict(progress), tensors)

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], own: slice, ranks: Ranks) -> None:
        """Go back to a captured state.

        Args:
            tensors: of the checkpoint, on every process.
            own: the own places in a batch.
            ranks: the first process takes the sums.
        """
        for name, tensor in self.model.state_dict().items():
            tensor.copy_(tensors[f"model/{name}"])
        device = self.sums.device
        set_momentum(self.model, self.optimizer, _under(tensors, "momentum/"))
        if self.average is not None:
            self.average.set_state(_under(tensors, "average/"))
        if "carried" in tensors:
            self.method.carried = tensors["carried"][own].to(device, copy=True)
        self.sums.copy_(tensors["sums"] if ranks.is_first else torch.zeros_like(self.sums))
        self.best.clear()
        self.best.update(_under(tensors, "best/"))


def is_progress(facts: Mapping[str, Any]) -> bool:
    """Whether plain data are the fields of a :class:`Progress`, each of its kind."""
    blank = asdict(Progress())
    return facts.keys() == blank.keys() and all(
        isinstance(facts[name], (int, float) if isinstance(value, float) else type(value))
        for name, value in blank.items()
    )


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
