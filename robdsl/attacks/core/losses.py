"""The objectives that attacks climb.

A loss takes logits (N, C) and labels and returns one number per example, (N,), or their sum. Larger is more
adversarial. All are piecewise smooth in the logits; none synchronizes with the device.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy of each example. The attacks of Goodfellow et al. (2015) and Madry et al. (2018)."""
    return F.cross_entropy(logits, labels, reduction="none")


def summed_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The same, summed in one kernel.

    The sum, not the mean: an example's gradient then does not depend on the batch, nor vanish in a large one.
    """
    return F.cross_entropy(logits, labels, reduction="sum")


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """The best wrong logit minus the right one, positive once fooled (Carlini & Wagner 2017, -f_6)."""
    right = labels.unsqueeze(1)
    wrong = logits.scatter(1, right, -torch.inf).amax(1)
    return wrong - logits.gather(1, right).squeeze(1)


def dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """The difference of logits ratio: the margin over first minus third logit (Croce & Hein 2020, eq. 6).

    Invariant to shifts and scalings of the logits. With two classes there is no third, and the loss is the
    margin.
    """
    if logits.shape[1] < 3:
        return margin(logits, labels)
    ordered = logits.topk(3, dim=1).values
    return margin(logits, labels) / (ordered[:, 0] - ordered[:, 2] + _SMALL)


def targeted_dlr(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """DLR towards given classes (Croce & Hein 2020, eq. 7).

    The target's logit minus the right one, over the first minus the mean of the third and fourth. With three
    classes the third stands in for the mean; with two the loss is the difference itself.
    """
    towards = logits.gather(1, targets.unsqueeze(1)) - logits.gather(1, labels.unsqueeze(1))
    if logits.shape[1] < 3:
        return towards.squeeze(1)
    ordered = logits.topk(min(4, logits.shape[1]), dim=1).values
    scale = ordered[:, 0] - 0.5 * (ordered[:, 2] + ordered[:, -1])
    return towards.squeeze(1) / (scale + _SMALL)


def kl_divergence(logits: Tensor, clean_probabilities: Tensor) -> Tensor:
    """KL(clean || adversarial), the inner objective of TRADES (Zhang et al. 2019, eq. 5).

    The second argument takes the place of the labels: the model's probabilities (N, C) on the clean images.
    """
    return F.kl_div(F.log_softmax(logits, dim=1), clean_probabilities, reduction="none").sum(1)


_SMALL = 1e-12
