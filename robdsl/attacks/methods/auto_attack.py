"""AutoAttack: four attacks in turn, each on what the others left (Croce & Hein 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from robdsl.attacks.core.interface import Attack, Problem
from robdsl.attacks.methods.auto_pgd import APGD, APGDTargeted
from robdsl.attacks.methods.fast_boundary import FABTargeted
from robdsl.attacks.methods.random_search import Square


@dataclass(frozen=True, kw_only=True)
class AutoAttack(Attack):
    """The standard version: APGD-CE, targeted APGD-DLR, targeted FAB and Square, without options to tune.

    Examples that the model gets wrong are left as they are. An attack's images count only once the model,
    asked again after they were brought into the budget, is fooled by them. `AttackResult.stage` tells which
    attack it was.

    Attributes:
        steps: iterations of the three gradient attacks.
        targets: target classes of the two targeted attacks.
        queries: forward passes of Square for each example.
    """

    steps: int = 100
    targets: int = 9
    queries: int = 5000

    kind: ClassVar[str] = "autoattack"
    stages: ClassVar[tuple[str, ...]] = (APGD.kind, APGDTargeted.kind, FABTargeted.kind, Square.kind)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.attacks()  # refuses settings that they refuse

    def attacks(self) -> tuple[APGD, APGDTargeted, FABTargeted, Square]:
        """The four attacks, in order, with this one's settings."""
        eps, norm, steps, targets = self.eps, self.norm, self.steps, self.targets
        return (
            APGD(eps=eps, norm=norm, steps=steps),
            APGDTargeted(eps=eps, norm=norm, steps=steps, targets=targets),
            FABTargeted(eps=eps, norm=norm, steps=steps, targets=targets),
            Square(eps=eps, norm=norm, queries=self.queries),
        )

    @property
    def most_passes(self) -> tuple[int, int]:
        """See `Attack`."""
        parts = [attack.most_passes for attack in self.attacks()]
        return 2 + sum(forward for forward, _ in parts), sum(backward for _, backward in parts)

    def _perturb(self, problem: Problem) -> Tensor:
        query = problem.query
        final = problem.images.clone()
        stage = torch.full_like(problem.labels, -2) if problem.stage is None else problem.stage
        wrong = query.fooled(final, problem.labels)
        stage[wrong] = -1
        left = (~wrong).nonzero().squeeze(1)
        for number, attack in enumerate(self.attacks()):
            if not len(left):
                break
            part = problem.select(left)
            tried = attack._bounded(part)
            fooled = query.fooled(tried, part.labels)
            # What nothing fools keeps the attempt of the first attack, the one of the largest loss.
            taken = fooled if number else fooled.new_ones(len(fooled))
            final[left[taken]] = tried[taken]
            stage[left[fooled]] = number
            left = left[~fooled]
        return final
