"""How good a sub-network is, on training images that were held out, never on the test set.

Every attack here is made on the very model that is judged. What one model's attack found could be kept and tried on
the next (a warm start), but then a figure would depend on which architectures came before it and on which worker had
seen them, and on a model that withstands its neighbours' examples it would only cost time: nothing is kept for that.
What is shared is what does not change a figure: the held-out images lie on the device once for all trials, and the
adversarial images that the robust accuracy with inherited weights was counted on serve the FSP distance too.

What is judged is the model frozen (`robdsl.freeze`), as in `robdsl attack`: the same function up to rounding, in about
half the time an attack otherwise takes. To freeze costs less than two steps of the attack on one batch, and what comes of
it depends on the model and the kind of machine alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from robdsl.attacks import parse_attacks
from robdsl.compiler import freeze
from robdsl.data import Batch, Data, derive_seed, evaluation_batches, generator, open_loader
from robdsl.evaluation import right, right_under
from robdsl.search.settings import Settings


@dataclass(frozen=True)
class Counts:
    """What a model gets right.

    Attributes:
        natural: images given their label.
        robust: those that keep it under the attack.
        examples: of how many.
    """

    natural: int
    robust: int
    examples: int

    def facts(self, when: str) -> dict[str, float | int]:
        """As facts of a trial; ``when`` is inherited, finetuned or scratch."""
        return {
            f"natural_{when}": self.natural / self.examples,
            f"robust_{when}": self.robust / self.examples,
            "examples": self.examples,
        }


class Examiner:
    """Judges models on the same held-out images, loaded once."""

    def __init__(self, settings: Settings, held: Data, device: torch.device, workers: int = 0) -> None:
        """Load the held-out images.

        Args:
            settings: say how many, in what batches, under which attack.
            held: the held-out split.
            device: where models are.
            workers: reading processes for data that stays on disk.
        """
        (self._attack,) = parse_attacks(settings.attack, eps=settings.eps, step_size=settings.step_size)
        self._seed, self._device = settings.seed, device
        sample = held.take(settings.images)
        self._examples = len(sample)
        loader = open_loader(sample, device, channels_last=settings.supernet.channels_last, workers=workers)
        self._batches: list[Batch] = list(loader.batches(evaluation_batches(len(sample), settings.batch)))

    def examine(
        self,
        model: fx.GraphModule,
        net_hash: str,
        when: str,
        seen: Callable[[Tensor, Tensor], None] | None = None,
    ) -> Counts:
        """Natural and robust accuracy of a model.

        Args:
            model: from `robdsl.compile`, on the examiner's device; judged in evaluation mode and left as it was.
            net_hash: of its architecture; with ``when``, all that the draws depend on beside the study's seed.
            when: inherited, finetuned or scratch.
            seen: is shown each batch's images and adversarial images, (N, C, H, W) both.
        """
        judged = freeze(model)
        natural = robust = 0
        for number, (images, labels) in enumerate(self._batches):
            clean = right(judged, images, labels)
            draws = generator(self._device, derive_seed(self._seed, "examine", net_hash, when), number)
            attacked, result = right_under(judged, images, labels, self._attack, draws)
            natural += int(clean.sum())
            robust += int((clean & attacked).sum())
            if seen is not None:
                seen(images, result.images)
        return Counts(natural, robust, self._examples)
