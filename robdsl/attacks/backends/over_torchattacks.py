"""torchattacks (Kim 2020) as a backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from robdsl.attacks.backends.base import Backend, Call, Run, UnsupportedAttackError
from robdsl.attacks.core.amounts import to_fraction
from robdsl.attacks.core.interface import Attack
from robdsl.attacks.methods.auto_attack import AutoAttack
from robdsl.attacks.methods.auto_pgd import APGD, APGDTargeted
from robdsl.attacks.methods.carlini_wagner import CWL2
from robdsl.attacks.methods.deep_fool import DeepFool
from robdsl.attacks.methods.fast_boundary import FABTargeted
from robdsl.attacks.methods.fast_gradient import FGSM
from robdsl.attacks.methods.momentum import MIFGSM
from robdsl.attacks.methods.projected_gradient import BIM, PGD
from robdsl.attacks.methods.random_search import Square


class TorchattacksBackend(Backend):
    """The attacks of torchattacks.

    Its DeepFool is that of L2, whatever the budget's norm; its C&W has no search for the constant, and takes
    1. AutoAttack is put together from its four attacks with our steps, where its own would take 10.
    """

    name: ClassVar[str] = "torchattacks"
    module: ClassVar[str] = "torchattacks"
    distribution: ClassVar[str] = "torchattacks"

    def runs(self) -> Mapping[type[Attack], Run]:
        return {
            FGSM: _fgsm,
            BIM: _pgd,
            PGD: _pgd,
            MIFGSM: _mi_fgsm,
            DeepFool: _deepfool,
            CWL2: _cw_l2,
            APGD: _apgd,
            APGDTargeted: _apgd_t,
            FABTargeted: _fab_t,
            Square: _square,
            AutoAttack: _autoattack,
        }


def _fgsm(attack: FGSM, call: Call) -> Tensor:
    import torchattacks

    _linf_only(attack)
    return _run(torchattacks.FGSM(call.model, eps=attack.radius), call)


def _pgd(attack: PGD, call: Call) -> Tensor:
    import torchattacks

    if attack.loss != "ce" or attack.restarts != 1:
        raise UnsupportedAttackError("PGD of torchattacks has cross-entropy and one start only")
    kind = torchattacks.PGD if attack.norm == "linf" else torchattacks.PGDL2
    step_size = float(to_fraction(attack.step_size))
    settings: dict[str, Any] = {"eps": attack.radius, "alpha": step_size, "steps": attack.steps}
    return _run(kind(call.model, **settings, random_start=attack.random_start), call)


def _mi_fgsm(attack: MIFGSM, call: Call) -> Tensor:
    import torchattacks

    _linf_only(attack)
    step_size = attack.radius / attack.steps if attack.step_size is None else float(attack.step_size)
    settings: dict[str, Any] = {"eps": attack.radius, "alpha": step_size, "steps": attack.steps}
    return _run(torchattacks.MIFGSM(call.model, **settings, decay=attack.decay), call)


def _deepfool(attack: DeepFool, call: Call) -> Tensor:
    import torchattacks

    return _run(torchattacks.DeepFool(call.model, steps=attack.steps, overshoot=attack.overshoot), call)


def _cw_l2(attack: CWL2, call: Call) -> Tensor:
    import torchattacks

    settings: dict[str, Any] = {"kappa": attack.confidence, "steps": attack.steps, "lr": attack.learning_rate}
    return _run(torchattacks.CW(call.model, c=1, **settings), call)


def _apgd(attack: APGD, call: Call) -> Tensor:
    import torchattacks

    settings = _auto(attack, call) | {"n_restarts": attack.restarts, "rho": attack.rho}
    return _run(torchattacks.APGD(call.model, loss=attack.loss, steps=attack.steps, **settings), call)


def _apgd_t(attack: APGDTargeted, call: Call) -> Tensor:
    import torchattacks

    settings = _auto(attack, call) | {"n_restarts": attack.restarts, "rho": attack.rho}
    classes = min(call.classes, attack.targets + 1)
    return _run(torchattacks.APGDT(call.model, steps=attack.steps, n_classes=classes, **settings), call)


def _fab_t(attack: FABTargeted, call: Call) -> Tensor:
    import torchattacks

    settings = _auto(attack, call) | {
        "steps": attack.steps,
        "n_restarts": attack.restarts,
        "alpha_max": attack.alpha_max,
        "eta": attack.eta,
        "beta": attack.beta,
    }
    classes = min(call.classes, attack.targets + 1)
    return _run(torchattacks.FAB(call.model, multi_targeted=True, n_classes=classes, **settings), call)


def _square(attack: Square, call: Call) -> Tensor:
    import torchattacks

    settings = _auto(attack, call) | {"n_restarts": attack.restarts, "p_init": attack.initial_share}
    return _run(
        torchattacks.Square(call.model, n_queries=attack.queries, resc_schedule=False, **settings), call
    )


def _autoattack(attack: AutoAttack, call: Call) -> Tensor:
    import torchattacks

    auto = _auto(attack, call)
    targeted = {"steps": attack.steps, "n_classes": min(call.classes, attack.targets + 1)}
    stages = [
        torchattacks.APGD(call.model, loss="ce", steps=attack.steps, **auto),
        torchattacks.APGDT(call.model, **targeted, **auto),
        torchattacks.FAB(call.model, multi_targeted=True, **targeted, **auto),
        torchattacks.Square(call.model, n_queries=attack.queries, resc_schedule=False, **auto),
    ]
    return _run(torchattacks.MultiAttack(stages), call)


def _auto(attack: Attack, call: Call) -> dict[str, Any]:
    norm = "Linf" if attack.norm == "linf" else "L2"
    return {"norm": norm, "eps": attack.radius, "seed": call.seed}


def _linf_only(attack: Attack) -> None:
    if attack.norm != "linf":
        raise UnsupportedAttackError(f"torchattacks has {attack.kind} for L-infinity only")


def _run(attack: Any, call: Call) -> Tensor:
    images: Tensor = attack(call.images, call.labels)
    return images
