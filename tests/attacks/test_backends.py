"""Other libraries behind our interface."""

from __future__ import annotations

import builtins
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from robdsl.attacks import (
    BACKENDS,
    CW,
    FGSM,
    PGD,
    Attack,
    AutoAttack,
    MissingBackendError,
    Square,
    UnsupportedAttackError,
    get_backend,
    misclassified,
    parse_attack,
    to_fraction,
)
from tests.attacks.nets import QUICK, Snapshot, digits, digits_net, seeded

every_backend = pytest.mark.parametrize("backend", BACKENDS)


def supported() -> list[tuple[str, str]]:
    return [
        (backend, name)
        for backend in BACKENDS
        for name in QUICK
        if type(parse_attack(name)) in get_backend(backend).runs()
    ]


@pytest.mark.parametrize(("backend", "name"), supported())
def test_every_attack_of_every_backend(backend: str, name: str) -> None:
    """The interface's promises hold for foreign attacks too: budget, verdict, seeds and no side effects."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = digits_net().train()
    images, labels = digits(5)
    labels = model.eval()(images).argmax(1)
    model.train()
    settings = QUICK[name] | ({"steps": 8} if name.startswith("ap") else {})
    if name == "pgd":
        settings = settings | {"restarts": 1}
    eps = None if name == "cw_l2" else "8/255"
    attack = get_backend(backend).adapt(parse_attack(name, eps=eps, **settings))
    before, noise = Snapshot(model), (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index]
    result = attack(model, images, labels, generator=seeded(4))
    before.check()
    assert (random.getstate(), np.random.get_state()[1].tolist()) == noise  # type: ignore[index]
    again = attack(model, images, labels, generator=seeded(4))
    assert torch.equal(result.images, again.images)

    offset = (result.images.double() - images.double()).abs()
    assert float(offset.max()) <= (8 / 255 if eps else 1)
    if name in ("fgsm", "bim", "pgd", "mi_fgsm", "deepfool"):  # others give back what they cannot fool with
        assert float(offset.max()) > 0
    assert float(result.images.min()) >= 0 and float(result.images.max()) <= 1
    assert torch.equal(result.success, misclassified(model.eval()(result.images), labels))
    assert result.forward_passes > 1
    assert (result.backward_passes > 0) == (name != "square")
    described = attack.describe()
    assert described["backend"] == backend and described["attack"] == name
    assert str(described["backend_version"]).count(".") >= 1
    assert attack.name == parse_attack(name, **settings).name


@every_backend
def test_passes_of_a_backend_are_counted(backend: str, natural_net: nn.Module) -> None:
    images, labels = digits(6)
    calls: list[int] = []
    hook = natural_net.register_forward_hook(lambda module, args, out: calls.append(len(out)))
    try:
        attack = get_backend(backend).adapt(PGD(steps=5))
        result = attack(natural_net, images, labels, generator=seeded())
    finally:
        hook.remove()
    assert result.forward_passes == len(calls) and result.forward_images == sum(calls)
    assert result.backward_passes == 5 and result.backward_images == 30


@every_backend
def test_an_interrupted_backend_leaves_no_trace(backend: str) -> None:
    model = digits_net().train()
    images, labels = digits(4)
    state = random.getstate()

    def interrupt(module: nn.Module, arguments: Any) -> None:
        if torch.is_grad_enabled():
            raise KeyboardInterrupt

    hook = model.register_forward_pre_hook(interrupt)
    before = Snapshot(model)
    with pytest.raises(KeyboardInterrupt):
        get_backend(backend).adapt(FGSM())(model, images, labels)
    hook.remove()
    assert random.getstate() == state
    before.global_state = torch.get_rng_state()  # the seed itself came from it, for want of a generator
    before.check()


@every_backend
def test_fgsm_agrees_everywhere(backend: str, robust_net: nn.Module) -> None:
    images, labels = digits(64)
    ours = FGSM(eps="0.1")(robust_net, images, labels)
    theirs = get_backend(backend).adapt(FGSM(eps="0.1"))(robust_net, images, labels, generator=seeded())
    differing = (ours.images - theirs.images).abs() > 1e-6
    assert float(differing.float().mean()) < 1e-3  # the sign of a vanishing gradient is anybody's guess
    assert torch.equal(ours.success, theirs.success)


@every_backend
def test_l2_budgets_hold(backend: str, robust_net: nn.Module) -> None:
    images, labels = digits(8)
    attack = get_backend(backend).adapt(parse_attack("pgd5_l2"))
    result = attack(robust_net, images, labels, generator=seeded())
    lengths = (result.images - images).flatten(1).norm(dim=1)
    assert float(lengths.max()) <= float(to_fraction("128/255")) * (1 + 1e-6)


@every_backend
def test_a_missing_library_gives_the_line_that_installs_it(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name.split(".")[0] == backend:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return real(name, *rest, **options)

    from robdsl.attacks.backends import base

    monkeypatch.setattr(base, "import_module", without)
    with pytest.raises(MissingBackendError) as caught:
        get_backend(backend)
    assert f'pip install "robdsl[{backend}]"' in str(caught.value)
    assert '"robdsl[backends]"' in str(caught.value)


def test_a_broken_library_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from robdsl.attacks.backends import base

    def broken(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'scipy.gone'", name="scipy.gone")

    monkeypatch.setattr(base, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match=r"scipy\.gone"):
        get_backend("foolbox")


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("torchatacks", "did you mean torchattacks"),
        ("adversarial-robustness-toolbox", "mean art"),
        ("x", "known: "),
    ],
)
def test_unknown_backends(wrong: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        get_backend(wrong)


@pytest.mark.parametrize(
    ("backend", "attack", "words"),
    [
        ("foolbox", AutoAttack(), "foolbox has no autoattack; it has bim, cw_l2, deepfool"),
        ("art", CW(), "art has no cw; it has"),
        ("torchattacks", FGSM(mode="train"), "evaluation mode"),
    ],
)
def test_what_a_library_lacks_is_said_at_once(backend: str, attack: Attack, words: str) -> None:
    with pytest.raises(UnsupportedAttackError, match=words):
        get_backend(backend).adapt(attack)


@pytest.mark.parametrize(
    ("backend", "attack"),
    [
        ("torchattacks", FGSM(norm="l2")),
        ("torchattacks", PGD(restarts=2)),
        ("foolbox", PGD(loss="margin")),
        ("art", PGD(loss="dlr")),
    ],
)
def test_settings_that_a_library_lacks_are_refused(
    backend: str, attack: Attack, natural_net: nn.Module
) -> None:
    with pytest.raises(UnsupportedAttackError):
        get_backend(backend).adapt(attack)(natural_net, *digits(2), generator=seeded())


def test_libraries_are_imported_only_when_asked_for() -> None:
    import subprocess
    import sys

    program = (
        "import sys, robdsl.attacks\n"
        "print([name for name in ('torchattacks', 'foolbox', 'art') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_square_keeps_its_count_of_queries(natural_net: nn.Module) -> None:
    images, labels = digits(4)
    result = get_backend("torchattacks").adapt(Square(queries=20))(
        natural_net, images, labels, generator=seeded()
    )
    assert 20 <= result.forward_passes <= 30
