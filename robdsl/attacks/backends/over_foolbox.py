"""foolbox (Rauber et al. 2020) as a backend."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

from torch import Tensor

from robdsl.attacks.backends.base import Backend, Call, Run, UnsupportedAttackError
from robdsl.attacks.core.amounts import to_fraction
from robdsl.attacks.core.interface import Attack
from robdsl.attacks.methods.carlini_wagner import CWL2
from robdsl.attacks.methods.deep_fool import DeepFool
from robdsl.attacks.methods.fast_gradient import FGSM
from robdsl.attacks.methods.momentum import MIFGSM
from robdsl.attacks.methods.projected_gradient import BIM, PGD


class FoolboxBackend(Backend):
    """The attacks of foolbox. It has no AutoAttack; where its C&W finds nothing, it returns a black image."""

    name: ClassVar[str] = "foolbox"
    module: ClassVar[str] = "foolbox"
    distribution: ClassVar[str] = "foolbox"

    def runs(self) -> Mapping[type[Attack], Run]:
        return {FGSM: _fgsm, BIM: _pgd, PGD: _pgd, MIFGSM: _mi_fgsm, DeepFool: _deepfool, CWL2: _cw_l2}


def _fgsm(attack: FGSM, call: Call) -> Tensor:
    library = _attacks()

    kind = library.LinfFastGradientAttack if attack.norm == "linf" else library.L2FastGradientAttack
    return _run(kind(random_start=False), call, attack.radius)


def _pgd(attack: PGD, call: Call) -> Tensor:
    library = _attacks()

    if attack.loss != "ce" or attack.restarts != 1:
        raise UnsupportedAttackError("PGD of foolbox has cross-entropy and one start only")
    linf, l2 = library.LinfProjectedGradientDescentAttack, library.L2ProjectedGradientDescentAttack
    kind = linf if attack.norm == "linf" else l2
    settings: dict[str, Any] = {"steps": attack.steps, "random_start": attack.random_start}
    return _run(kind(abs_stepsize=float(to_fraction(attack.step_size)), **settings), call, attack.radius)


def _mi_fgsm(attack: MIFGSM, call: Call) -> Tensor:
    library = _attacks()

    linf, l2 = (
        library.LinfMomentumIterativeFastGradientMethod,
        library.L2MomentumIterativeFastGradientMethod,
    )
    kind = linf if attack.norm == "linf" else l2
    step_size = attack.radius / attack.steps if attack.step_size is None else float(attack.step_size)
    settings: dict[str, Any] = {"momentum": attack.decay, "abs_stepsize": step_size, "steps": attack.steps}
    return _run(kind(random_start=False, **settings), call, attack.radius)


def _deepfool(attack: DeepFool, call: Call) -> Tensor:
    library = _attacks()

    kind = library.LinfDeepFoolAttack if attack.norm == "linf" else library.L2DeepFoolAttack
    settings: dict[str, Any] = {"steps": attack.steps, "overshoot": attack.overshoot}
    return _run(kind(candidates=attack.candidates, **settings), call, None)


def _cw_l2(attack: CWL2, call: Call) -> Tensor:
    library = _attacks()

    settings: dict[str, Any] = {
        "binary_search_steps": attack.binary_search_steps,
        "steps": attack.steps,
        "stepsize": attack.learning_rate,
        "confidence": attack.confidence,
        "initial_const": attack.initial_constant,
        "abort_early": attack.abort_early,
    }
    return _run(library.L2CarliniWagnerAttack(**settings), call, None)


def _attacks() -> Any:
    """foolbox.attacks, whose annotations do not say what it exports."""
    return import_module("foolbox.attacks")


def _run(attack: Any, call: Call, eps: float | None) -> Tensor:
    library: Any = import_module("foolbox")
    model = library.PyTorchModel(call.model, bounds=(0, 1), device=call.images.device)
    criterion = library.criteria.Misclassification(call.labels)
    raw: Tensor = attack(model, call.images, criterion, epsilons=eps)[0]
    return raw
