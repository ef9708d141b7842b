"""The Adversarial Robustness Toolbox (Nicolae et al. 2018) as a backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from robdsl.attacks.backends.base import Backend, Call, Run, UnsupportedAttackError
from robdsl.attacks.core.amounts import to_fraction
from robdsl.attacks.core.interface import Attack
from robdsl.attacks.core.query import misclassified
from robdsl.attacks.methods.auto_attack import AutoAttack
from robdsl.attacks.methods.auto_pgd import APGD
from robdsl.attacks.methods.carlini_wagner import CWL2
from robdsl.attacks.methods.deep_fool import DeepFool
from robdsl.attacks.methods.fast_gradient import FGSM
from robdsl.attacks.methods.momentum import MIFGSM
from robdsl.attacks.methods.projected_gradient import BIM, PGD
from robdsl.attacks.methods.random_search import Square


class ArtBackend(Backend):
    """The attacks of ART.

    Its DeepFool is that of L2, whatever the budget's norm. Its AutoAttack is APGD on cross-entropy and on
    DLR, then
    Square: it has neither the targeted APGD nor FAB.
    """

    name: ClassVar[str] = "art"
    module: ClassVar[str] = "art"
    distribution: ClassVar[str] = "adversarial-robustness-toolbox"

    def runs(self) -> Mapping[type[Attack], Run]:
        return {
            FGSM: _fgsm,
            BIM: _pgd,
            PGD: _pgd,
            MIFGSM: _mi_fgsm,
            DeepFool: _deepfool,
            CWL2: _cw_l2,
            APGD: _apgd,
            Square: _square,
            AutoAttack: _autoattack,
        }


def _fgsm(attack: FGSM, call: Call) -> Tensor:
    from art.attacks.evasion import FastGradientMethod

    return _run(FastGradientMethod(_classifier(call), **_budget(attack, call)), call)


def _pgd(attack: PGD, call: Call) -> Tensor:
    from art.attacks.evasion import ProjectedGradientDescentPyTorch

    if attack.loss != "ce":
        raise UnsupportedAttackError("PGD of ART has cross-entropy only")
    settings = _budget(attack, call) | {
        "eps_step": float(to_fraction(attack.step_size)),
        "max_iter": attack.steps,
        "num_random_init": attack.restarts if attack.random_start else 0,
        "verbose": False,
    }
    return _run(ProjectedGradientDescentPyTorch(_classifier(call), **settings), call)


def _mi_fgsm(attack: MIFGSM, call: Call) -> Tensor:
    from art.attacks.evasion import MomentumIterativeMethod

    step_size = attack.radius / attack.steps if attack.step_size is None else float(attack.step_size)
    settings = _budget(attack, call) | {
        "eps_step": step_size,
        "decay": attack.decay,
        "max_iter": attack.steps,
        "verbose": False,
    }
    return _run(MomentumIterativeMethod(_classifier(call), **settings), call)


def _deepfool(attack: DeepFool, call: Call) -> Tensor:
    from art.attacks.evasion import DeepFool as Foreign

    settings: dict[str, Any] = {"max_iter": attack.steps, "epsilon": attack.overshoot, "verbose": False}
    nb_grads = min(attack.candidates, call.classes)
    return _run(Foreign(_classifier(call), nb_grads=nb_grads, batch_size=len(call.images), **settings), call)


def _cw_l2(attack: CWL2, call: Call) -> Tensor:
    from art.attacks.evasion import CarliniL2Method

    settings: dict[str, Any] = {
        "confidence": attack.confidence,
        "learning_rate": attack.learning_rate,
        "binary_search_steps": attack.binary_search_steps,
        "max_iter": attack.steps,
        "initial_const": attack.initial_constant,
        "verbose": False,
    }
    return _run(CarliniL2Method(_classifier(call), batch_size=len(call.images), **settings), call)


def _apgd(attack: APGD, call: Call) -> Tensor:
    return _run(_auto_pgd(_classifier(call), attack, call, attack.loss, attack.restarts), call)


def _square(attack: Square, call: Call) -> Tensor:
    from art.attacks.evasion import SquareAttack

    settings = _budget(attack, call) | {
        "max_iter": attack.queries,
        "p_init": attack.initial_share,
        "nb_restarts": attack.restarts,
        "verbose": False,
    }
    return _run(SquareAttack(_classifier(call), **settings), call)


def _autoattack(attack: AutoAttack, call: Call) -> Tensor:
    """What ART's AutoAttack does, without it: that class wants a package that ART does not install."""
    from art.attacks.evasion import SquareAttack

    classifier, budget = _classifier(call), _budget(attack, call)
    stages = [
        _auto_pgd(classifier, attack, call, "ce", 1),
        _auto_pgd(classifier, attack, call, "dlr", 1),
        SquareAttack(classifier, max_iter=attack.queries, verbose=False, **budget),
    ]
    final = call.images.clone()
    left = torch.arange(len(final), device=final.device)
    for stage in stages:
        if not len(left):
            break
        labels = call.labels[left]
        tried = _run(stage, replace(call, images=call.images[left], labels=labels)).to(final)
        final[left] = tried
        with torch.no_grad():
            left = left[~misclassified(call.model(tried), labels)]
    return final


def _auto_pgd(classifier: Any, attack: APGD | AutoAttack, call: Call, loss: str, restarts: int) -> Any:
    from art.attacks.evasion import AutoProjectedGradientDescent

    settings = _budget(attack, call) | {
        "eps_step": 2 * attack.radius,  # where APGD begins, before it halves
        "max_iter": attack.steps,
        "nb_random_init": restarts,
        "loss_type": {"ce": "cross_entropy", "dlr": "difference_logits_ratio"}[loss],
        "verbose": False,
    }
    return AutoProjectedGradientDescent(classifier, **settings)


def _budget(attack: Attack, call: Call) -> dict[str, Any]:
    norm = np.inf if attack.norm == "linf" else 2
    return {"norm": norm, "eps": attack.radius, "batch_size": len(call.images)}


def _classifier(call: Call) -> Any:
    from art.estimators.classification import PyTorchClassifier

    return PyTorchClassifier(
        model=call.model,
        loss=torch.nn.CrossEntropyLoss(),
        input_shape=tuple(call.images.shape[1:]),
        nb_classes=call.classes,
        clip_values=(0.0, 1.0),
        device_type="gpu" if call.images.device.type == "cuda" else "cpu",
    )


def _run(attack: Any, call: Call) -> Tensor:
    adversarial = attack.generate(x=call.images.cpu().numpy(), y=call.labels.cpu().numpy())
    return torch.from_numpy(adversarial)
