"""Checks before an evaluation is believed: is there anything about a model that fools the attacks?

Each finding has a stable code and an entry in `CHECKS`. They follow what is known to make robustness look
larger than it is (Athalye, Carlini & Wagner 2018; Croce & Hein 2020; Carlini et al. 2019).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from robdsl.attacks.core.guard import undisturbed
from robdsl.attacks.core.losses import cross_entropy
from robdsl.attacks.core.query import NoGradientError, Query, misclassified

Level = Literal["error", "warning"]
"""An error makes figures meaningless; a warning makes them doubtful until it is explained."""


@dataclass(frozen=True)
class Check:
    """What is looked for under one code.

    Attributes:
        title: what is wrong, in a line.
        help: what to do about it.
    """

    level: Level
    title: str
    help: str


@dataclass(frozen=True)
class Finding:
    """Something that a check found.

    Attributes:
        code: its stable code, a key of `CHECKS`.
        level: "error" or "warning".
        title: what is wrong, in a line.
        detail: what was seen here, with numbers.
        help: what to do about it.
    """

    code: str
    level: Level
    title: str
    detail: str
    help: str


CHECKS: Mapping[str, Check] = {
    "A101": Check(
        "error",
        "the model returns probabilities, not logits",
        "attack the model without its softmax: after it, gradients vanish for confident predictions",
    ),
    "A102": Check(
        "error",
        "images lie outside [0, 1]",
        "give images in [0, 1] and let the model normalize them: budgets are measured before normalization",
    ),
    "A103": Check(
        "warning",
        "the model is in training mode",
        "call model.eval() before an evaluation; attacks do it for their own duration unless told otherwise",
    ),
    "A104": Check(
        "error",
        "the model is random: it answers the same question differently",
        "remove the randomness, or average gradients and predictions over it; single answers prove nothing",
    ),
    "A105": Check(
        "warning",
        "an image's logits depend on the other images of its batch",
        "look for norms without running statistics; robust accuracy would depend on the batch size",
    ),
    "A106": Check(
        "error",
        "no gradient reaches the images",
        "find what detaches or rounds them; until then only black-box attacks ('square') mean anything",
    ),
    "A107": Check(
        "warning",
        "the gradient of the cross-entropy vanishes",
        "add attacks by other losses (cw, apgd_t) and without gradients (square)",
    ),
    "A108": Check(
        "error",
        "logits or gradients are infinite or not numbers",
        "attack in float32, and look for divisions and logarithms without a floor",
    ),
    "A109": Check(
        "warning",
        "the model is no better than chance on clean images",
        "check weights, label order and normalization: the robustness of a guess is no robustness",
    ),
    "A110": Check(
        "error",
        "labels name classes that the model does not have",
        "give integer labels from 0, and a model with as many logits as there are classes",
    ),
    "A111": Check(
        "warning",
        "a black-box attack fools images that no white-box attack does",
        "gradients are probably masked; believe the worst case only, and add steps, restarts and losses",
    ),
    "A112": Check(
        "warning",
        "one step fools more images than many",
        "gradients are probably masked near the images; try larger steps, restarts and black-box attacks",
    ),
}
"""Every check by its code."""


def preflight(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Finding, ...]:
    """Check a model and a batch before they are evaluated; the model is left as it was.

    Takes four forward passes and one backward pass, in evaluation mode. Some dozens of correctly classified
    images are enough.

    Args:
        model: maps images to logits.
        images: (N, ...), N at least 1.
        labels: (N,) integers.

    Returns:
        The findings, in the order of their codes; none is good.
    """
    return tuple(sorted(_preflight(model, images.detach(), labels), key=lambda finding: finding.code))


def check_results(
    fooled: Mapping[str, Tensor], *, black_box: Collection[str] = ("square",)
) -> tuple[Finding, ...]:
    """Check the outcome of an evaluation for signs of masked gradients.

    Args:
        fooled: for each attack, by its name, which of the same examples it fooled, (N,) bool. Examples that
            the model gets wrong without an attack should be left out, or be fooled throughout.
        black_box: the names of those that use no gradient of this model, transfer included.

    Returns:
        A111 and A112, where there is reason.
    """
    findings = []
    white = {name: mask for name, mask in fooled.items() if name not in black_box}
    black = {name: mask for name, mask in fooled.items() if name in black_box}
    if white and black:
        by_white, by_black = torch.stack([*white.values()]).any(0), torch.stack([*black.values()]).any(0)
        only_black = int((by_black & ~by_white).sum())
        if only_black:
            what = f"{', '.join(black)} alone {_fools(only_black)} of {len(by_white)}"
            findings.append(_finding("A111", what))
    single = [name for name in white if name.startswith("fgsm")]
    many = [name for name in white if name.startswith(("pgd", "bim", "apgd", "autoattack"))]
    for name in single:
        weaker = [other for other in many if int(fooled[other].sum()) < int(fooled[name].sum())]
        if weaker:
            counts = ", ".join(f"{other} fools {int(fooled[other].sum())}" for other in weaker)
            findings.append(_finding("A112", f"{name} fools {int(fooled[name].sum())}, {counts}"))
    return tuple(findings)


def _preflight(model: nn.Module, images: Tensor, labels: Tensor) -> Iterator[Finding]:
    outside = ~((images >= 0) & (images <= 1))
    if outside.any():
        low, high = float(images.min()), float(images.max())
        yield _finding("A102", f"pixels reach from {low:.4g} to {high:.4g}")
    training = [name or "the model" for name, module in model.named_modules() if module.training]
    if training:
        yield _finding("A103", f"{len(training)} modules, the first is {training[0]}")

    query = Query(model)
    with torch.inference_mode(False), torch.no_grad(), undisturbed(model, "eval"):
        images, labels = images.clone(), labels.clone()
        logits, again = query.logits(images), query.logits(images)
        if not logits.isfinite().all():
            bad = int((~logits.isfinite().all(1)).sum())
            yield _finding("A108", f"the logits of {bad} of {len(logits)} images")
            return
        tolerance = 1e-4 * float(logits.abs().max().clamp_min(1e-30))
        difference = float((logits - again).abs().max())
        if difference > tolerance:
            yield _finding(
                "A104", f"two passes over the same images differ by {difference:.3g} in the logits"
            )
        elif len(images) > 1:
            half = query.logits(images[: len(images) // 2])
            difference = float((logits[: len(half)] - half).abs().max())
            if difference > tolerance:
                yield _finding("A105", f"half the batch alone gets logits that differ by {difference:.3g}")
        yield from _look_at_logits(logits, labels)
        if int(labels.min()) >= 0 and int(labels.max()) < logits.shape[1]:
            yield from _look_at_gradients(query, images, labels)


def _look_at_logits(logits: Tensor, labels: Tensor) -> Iterator[Finding]:
    classes = logits.shape[1]
    if classes > 1 and (logits >= 0).all() and ((logits.sum(1) - 1).abs() < 1e-3).all():
        yield _finding("A101", f"every one of the {len(logits)} rows is positive and sums to 1")
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        yield _finding(
            "A110",
            f"labels reach from {int(labels.min())} to {int(labels.max())}, and there are {classes} logits",
        )
        return
    right = int((~misclassified(logits, labels)).sum())
    if right <= len(logits) / classes:
        yield _finding(
            "A109", f"{right} of {len(logits)} images are classified correctly, of {classes} classes"
        )
    elif len(logits) >= classes and _is_one(logits.argmax(1)) and not _is_one(labels):
        yield _finding("A109", f"every one of the {len(logits)} images is given one and the same class")


def _is_one(numbers: Tensor) -> bool:
    return bool((numbers == numbers[0]).all())


def _look_at_gradients(query: Query, images: Tensor, labels: Tensor) -> Iterator[Finding]:
    try:
        gradient, _, logits = query.gradient(images, labels.long(), cross_entropy)
    except NoGradientError:
        yield _finding("A106", "autograd knows no way from the logits back to the images")
        return
    if not gradient.isfinite().all():
        bad = int((~gradient.flatten(1).isfinite().all(1)).sum())
        yield _finding("A108", f"the gradients of {bad} of {len(gradient)} images")
        return
    vanished = (gradient.flatten(1) == 0).all(1) & ~misclassified(logits, labels)
    if vanished.any():
        yield _finding(
            "A107", f"it is zero in every pixel for {int(vanished.sum())} of {len(gradient)} images"
        )


def _fools(count: int) -> str:
    return f"fools {count} image" + ("" if count == 1 else "s")


def _finding(code: str, detail: str) -> Finding:
    check = CHECKS[code]
    return Finding(code=code, level=check.level, title=check.title, detail=detail, help=check.help)
