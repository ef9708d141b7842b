"""Adversarial attacks on any model that maps images in [0, 1] to logits."""

from robdsl.attacks.backends import (
    BACKENDS,
    Backend,
    MissingBackendError,
    UnsupportedAttackError,
    get_backend,
)
from robdsl.attacks.checks import CHECKS, Check, Finding, check_results, preflight
from robdsl.attacks.core.amounts import Amount, fraction_text, to_fraction
from robdsl.attacks.core.ball import Norm
from robdsl.attacks.core.guard import Mode, undisturbed
from robdsl.attacks.core.interface import Attack, AttackResult, Problem
from robdsl.attacks.core.losses import Loss, kl_divergence
from robdsl.attacks.core.precision import Precision
from robdsl.attacks.core.query import misclassified
from robdsl.attacks.functions import (
    apgd,
    apgd_t,
    autoattack,
    bim,
    cw,
    cw_l2,
    deepfool,
    fab_t,
    fgsm,
    mi_fgsm,
    pgd,
    square,
)
from robdsl.attacks.methods.auto_attack import AutoAttack
from robdsl.attacks.methods.auto_pgd import APGD, APGDTargeted
from robdsl.attacks.methods.carlini_wagner import CWL2
from robdsl.attacks.methods.deep_fool import DeepFool
from robdsl.attacks.methods.fast_boundary import FABTargeted
from robdsl.attacks.methods.fast_gradient import FGSM
from robdsl.attacks.methods.momentum import MIFGSM
from robdsl.attacks.methods.projected_gradient import BIM, CW, PGD
from robdsl.attacks.methods.random_search import Square
from robdsl.attacks.names import ATTACKS, L2_EPS, UnknownAttackError, parse_attack, parse_attacks
from robdsl.attacks.transfer import TransferMatrix, transfer_matrix

__all__ = [
    "APGD",
    "ATTACKS",
    "BACKENDS",
    "BIM",
    "CHECKS",
    "CW",
    "CWL2",
    "FGSM",
    "L2_EPS",
    "MIFGSM",
    "PGD",
    "APGDTargeted",
    "Amount",
    "Attack",
    "AttackResult",
    "AutoAttack",
    "Backend",
    "Check",
    "DeepFool",
    "FABTargeted",
    "Finding",
    "Loss",
    "MissingBackendError",
    "Mode",
    "Norm",
    "Precision",
    "Problem",
    "Square",
    "TransferMatrix",
    "UnknownAttackError",
    "UnsupportedAttackError",
    "apgd",
    "apgd_t",
    "autoattack",
    "bim",
    "check_results",
    "cw",
    "cw_l2",
    "deepfool",
    "fab_t",
    "fgsm",
    "fraction_text",
    "get_backend",
    "kl_divergence",
    "mi_fgsm",
    "misclassified",
    "parse_attack",
    "parse_attacks",
    "pgd",
    "preflight",
    "square",
    "to_fraction",
    "transfer_matrix",
    "undisturbed",
]
