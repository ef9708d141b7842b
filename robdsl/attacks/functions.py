"""Attacks as plain functions: images in, adversarial images out.

Each builds the configured object of the same attack and calls its `perturb`; the object, called, also tells
who was fooled and at what cost. All leave the model as it was, accept amounts as ``8/255``, ``"8/255"`` or
fractions, and draw from `generator` alone.
"""

from __future__ import annotations

from typing import Literal, TypedDict, Unpack

from torch import Generator, Tensor, nn

from robdsl.attacks.core.amounts import Amount
from robdsl.attacks.core.ball import Norm
from robdsl.attacks.core.guard import Mode
from robdsl.attacks.core.interface import DEFAULT_EPS, DEFAULT_STEP
from robdsl.attacks.core.losses import Loss
from robdsl.attacks.core.precision import Precision
from robdsl.attacks.methods.auto_attack import AutoAttack
from robdsl.attacks.methods.auto_pgd import APGD, APGDTargeted
from robdsl.attacks.methods.carlini_wagner import CWL2
from robdsl.attacks.methods.deep_fool import DeepFool
from robdsl.attacks.methods.fast_boundary import FABTargeted
from robdsl.attacks.methods.fast_gradient import FGSM
from robdsl.attacks.methods.momentum import MIFGSM
from robdsl.attacks.methods.projected_gradient import BIM, CW, PGD, LossName
from robdsl.attacks.methods.random_search import Square


class Setting(TypedDict, total=False):
    """Keywords that every function takes; see `Attack` for their meaning and defaults."""

    norm: Norm
    mode: Mode
    precision: Precision


def fgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: Amount = DEFAULT_EPS,
    generator: Generator | None = None,
    **setting: Unpack[Setting],
) -> Tensor:
    """One step along the sign of the gradient; see `FGSM`."""
    return FGSM(eps=eps, **setting).perturb(model, images, labels, generator=generator)


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: Amount = DEFAULT_EPS,
    step_size: Amount = DEFAULT_STEP,
    steps: int = 20,
    restarts: int = 1,
    random_start: bool = True,
    loss: LossName | Loss = "ce",
    skip_fooled: bool = False,
    start: Tensor | None = None,
    generator: Generator | None = None,
    **setting: Unpack[Setting],
) -> Tensor:
    """Projected gradient ascent; see `PGD`.

    The training attack of Madry et al. is ``pgd(model, x, y, steps=7, mode="train", generator=g)``; that of
    TRADES is ``pgd(model, x, probabilities, loss=kl_divergence, start=x + noise, ...)``.
    """
    attack = PGD(
        eps=eps,
        step_size=step_size,
        steps=steps,
        restarts=restarts,
        random_start=random_start,
        loss=loss,
        skip_fooled=skip_fooled,
        **setting,
    )
    return attack.perturb(model, images, labels, generator=generator, start=start)


def bim(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: Amount = DEFAULT_EPS,
    step_size: Amount = DEFAULT_STEP,
    steps: int = 20,
    start: Tensor | None = None,
    generator: Generator | None = None,
    **setting: Unpack[Setting],
) -> Tensor:
    """PGD from the clean images; see `BIM`."""
    attack = BIM(eps=eps, step_size=step_size, steps=steps, **setting)
    return attack.perturb(model, images, labels, generator=generator, start=start)


def mi_fgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: Amount = DEFAULT_EPS,
    step_size: Amount | None = None,
    steps: int = 10,
    decay: float = 1.0,
    start: Tensor | None = None,
    generator: Generator | None = None,
    **setting: Unpack[Setting],
) -> Tensor:
    """Gradient ascent with momentum; see `MIFGSM`."""
    attack = MIFGSM(eps=eps, step_size=step_size, steps=steps, decay=decay, **setting)
    return attack.perturb(model, images, labels, generator=generator, start=start)


def deepfool(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: Amount | None = DEFAULT_EPS,
    steps: int = 50,
    overshoot: float = 0.02,
    candidates: int = 10,
    generator: Generator | None = None,
    **setting: Unpack[Setting],
) -> Tensor:
    """Steps to the nearest linearized boundary, then projected to the budget; see `DeepFool`."""
    attack = DeepFool(eps=eps, steps=steps, overshoot=overshoot, candidates=candidates, **setting)
    return attack.perturb(model, images, labels, generator=generator)


def cw(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: Amount = DEFAULT_EPS,
    step_size: Amount = DEFAULT_STEP,
    steps: int = 20,
    random_start: bool = True,
    start: Tensor | None = None,
    generator: Generator | None = None,
    **setting: Unpack[Setting],
) -> Tensor:
    """The margin loss under the PGD loop; see `CW`."""
    attack = CW(eps=eps, step_size=step_size, steps=steps, random_start=random_start, **setting)
    return attack.perturb(model, images, labels, generator=generator, start=start)


def cw_l2(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: Amount | None = None,
    steps: int = 1000,
    binary_search_steps: int = 9,
    learning_rate: float = 0.01,
    initial_constant: float = 1e-3,
    confidence: float = 0.0,
    generator: Generator | None = None,
    **setting: Unpack[Setting],
) -> Tensor:
    """The smallest L2 perturbation, with a binary search over the constant; see `CWL2`."""
    attack = CWL2(
        eps=eps,
        steps=steps,
        binary_search_steps=binary_search_steps,
        learning_rate=learning_rate,
        initial_constant=initial_constant,
        confidence=confidence,
        **setting,
    )
    return attack.perturb(model, images, labels, generator=generator)


def apgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: Amount = DEFAULT_EPS,
    steps: int = 100,
    restarts: int = 1,
    loss: Literal["ce", "dlr"] = "ce",
    start: Tensor | None = None,
    generator: Generator | None = None,
    **setting: Unpack[Setting],
) -> Tensor:
    """PGD that sets its own step size; see `APGD`."""
    attack = APGD(eps=eps, steps=steps, restarts=restarts, loss=loss, **setting)
    return attack.perturb(model, images, labels, generator=generator, start=start)


def apgd_t(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: Amount = DEFAULT_EPS,
    steps: int = 100,
    restarts: int = 1,
    targets: int = 9,
    generator: Generator | None = None,
    **setting: Unpack[Setting],
) -> Tensor:
    """APGD towards each of the likeliest wrong classes; see `APGDTargeted`."""
    attack = APGDTargeted(eps=eps, steps=steps, restarts=restarts, targets=targets, **setting)
    return attack.perturb(model, images, labels, generator=generator)


def fab_t(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: Amount | None = DEFAULT_EPS,
    steps: int = 100,
    restarts: int = 1,
    targets: int = 9,
    generator: Generator | None = None,
    **setting: Unpack[Setting],
) -> Tensor:
    """Walks along the boundaries to the likeliest wrong classes; see `FABTargeted`."""
    attack = FABTargeted(eps=eps, steps=steps, restarts=restarts, targets=targets, **setting)
    return attack.perturb(model, images, labels, generator=generator)


def square(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: Amount = DEFAULT_EPS,
    queries: int = 5000,
    restarts: int = 1,
    generator: Generator | None = None,
    **setting: Unpack[Setting],
) -> Tensor:
    """Random search by logits alone; see `Square`."""
    attack = Square(eps=eps, queries=queries, restarts=restarts, **setting)
    return attack.perturb(model, images, labels, generator=generator)


def autoattack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: Amount = DEFAULT_EPS,
    steps: int = 100,
    targets: int = 9,
    queries: int = 5000,
    generator: Generator | None = None,
    **setting: Unpack[Setting],
) -> Tensor:
    """The standard ensemble of four attacks; see `AutoAttack`."""
    attack = AutoAttack(eps=eps, steps=steps, targets=targets, queries=queries, **setting)
    return attack.perturb(model, images, labels, generator=generator)
