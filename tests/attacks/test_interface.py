"""What the interface promises around every attack's own steps."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import robdsl.attacks
from robdsl.attacks import (
    ATTACKS,
    FGSM,
    PGD,
    Attack,
    AutoAttack,
    DeepFool,
    Precision,
    Square,
    kl_divergence,
    misclassified,
    parse_attack,
    pgd,
)
from robdsl.attacks.core.interface import Problem
from tests.attacks.nets import digits, digits_net, quick, seeded


def test_the_documented_call(natural_net: nn.Module) -> None:
    x, y = digits(8)
    g = seeded(3)
    x_adv = robdsl.attacks.pgd(
        natural_net, x, y, eps=8 / 255, step_size=2 / 255, steps=20, random_start=True, generator=g
    )
    result = PGD(eps="8/255", step_size="2/255", steps=20)(natural_net, x, y, generator=seeded(3))
    assert torch.equal(x_adv, result.images)


@pytest.mark.parametrize("name", sorted(robdsl.attacks.ATTACKS))
def test_functions_do_as_their_objects(name: str, natural_net: nn.Module) -> None:
    x, y = digits(6)
    settings: dict[str, Any] = {"steps": 3}
    if name in ("fgsm", "square"):
        settings = {}
    if name in ("square", "autoattack"):
        settings["queries"] = 5
    if name == "cw_l2":
        settings["binary_search_steps"] = 2
    function = getattr(robdsl.attacks, {"apgd_ce": "apgd"}.get(name, name))
    made = function(natural_net, x, y, generator=seeded(), **settings)
    assert torch.equal(
        made, robdsl.attacks.ATTACKS[name](**settings)(natural_net, x, y, generator=seeded()).images
    )


def test_passes_are_counted(natural_net: nn.Module) -> None:
    x, y = digits(8)
    calls: list[int] = []
    hook = natural_net.register_forward_hook(lambda module, args, out: calls.append(len(out)))
    try:
        for attack in (
            FGSM(),
            PGD(steps=4, restarts=3),
            DeepFool(steps=5),
            quick("autoattack"),
            Square(queries=9),
        ):
            calls.clear()
            result = attack(natural_net, x, y, generator=seeded())
            assert result.forward_passes == len(calls) and result.forward_images == sum(calls)
    finally:
        hook.remove()
    result = PGD(steps=7)(natural_net, x, y, generator=seeded())
    assert (result.forward_passes, result.backward_passes) == (8, 7)
    assert (result.forward_images, result.backward_images) == (64, 56)


def test_pgd_asks_for_nothing_beyond_its_steps(natural_net: nn.Module) -> None:
    x, y = digits(4)
    calls: list[int] = []
    hook = natural_net.register_forward_hook(lambda module, args, out: calls.append(len(out)))
    try:
        pgd(natural_net, x, y, steps=5, generator=seeded())
    finally:
        hook.remove()
    assert calls == [4] * 5


class Wild(Attack):
    """Returns whatever it is told to, and that it will never succeed or fail is not asked of it."""

    kind: ClassVar[str] = "wild"
    returned: ClassVar[Tensor]

    def _perturb(self, problem: Problem) -> Tensor:
        return self.returned.clone()


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("value", [9.0, -9.0, torch.nan, torch.inf, -torch.inf])
def test_whatever_an_attack_returns_is_brought_back(norm: Any, value: float, natural_net: nn.Module) -> None:
    x, y = digits(5)
    Wild.returned = torch.full_like(x, value)
    result = Wild(eps="8/255", norm=norm)(natural_net, x, y)
    offset = (result.images.double() - x.double()).flatten(1)
    length = offset.abs().amax(1) if norm == "linf" else offset.norm(dim=1)
    assert float(length.max()) <= 8 / 255 * (1 + 1e-6)
    assert float(result.images.min()) >= 0 and float(result.images.max()) <= 1
    if value != value:
        assert torch.equal(result.images, x)
    assert torch.equal(result.success, misclassified(natural_net(result.images), y))


class NanBeyond(nn.Module):
    """Logits that are not numbers for images with a bright mean, and gradients that are not numbers there."""

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((1, 2, 3))
        return torch.stack([mean, (0.5 - mean).sqrt()], 1)


def test_not_a_number_counts_as_misclassified() -> None:
    logits = torch.tensor([[1.0, 0.0], [torch.nan, 0.0], [0.0, torch.nan], [0.0, 1.0]])
    assert misclassified(logits, torch.zeros(4, dtype=torch.int64)).tolist() == [False, True, True, True]


@pytest.mark.parametrize("name", sorted(robdsl.attacks.ATTACKS))
def test_models_that_return_nan_do_not_spoil_images(name: str) -> None:
    x = torch.full((3, 1, 6, 6), 0.45)
    x[1] = 0.9
    y = torch.tensor([1, 1, 0])
    result = quick(name, "0.2")(NanBeyond(), x, y, generator=seeded())
    assert bool(result.images.isfinite().all())
    assert float((result.images - x).abs().max()) <= 0.2 or name == "cw_l2"
    assert bool(result.success[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", sorted(robdsl.attacks.ATTACKS))
def test_every_floating_dtype(name: str, dtype: torch.dtype) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = digits_net().to(dtype).eval()
    x, y = digits(4)
    x = x.to(dtype)
    result = quick(name, "8/255")(net, x, y, generator=seeded())
    assert result.images.dtype == dtype and bool(result.images.isfinite().all())
    if name != "cw_l2":
        assert float((result.images.double() - x.double()).abs().max()) <= 8 / 255


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", sorted(robdsl.attacks.ATTACKS))
def test_memory_format_is_kept(name: str, norm: str, natural_net: nn.Module) -> None:
    x = torch.rand(4, 3, 8, 8, generator=seeded()).to(memory_format=torch.channels_last)
    net = nn.Sequential(nn.Conv2d(3, 1, 1), natural_net).eval()
    images = quick(name, "0.3", norm)(net, x, torch.zeros(4).long(), generator=seeded()).images
    assert images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()


@pytest.mark.parametrize("name", sorted(robdsl.attacks.ATTACKS))
def test_gradients_that_share_memory(name: str) -> None:
    """A model of the mean alone has an expanded gradient, which must not be written to."""

    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mean = x.mean((1, 2, 3))
            return torch.stack([mean, 0.5 - mean, mean * 0], 1)

    x = torch.full((2, 1, 6, 6), 0.4)
    result = quick(name, "0.3")(Mean(), x, torch.tensor([0, 1]), generator=seeded())
    assert bool(result.images.isfinite().all())


def test_callers_without_gradients(natural_net: nn.Module) -> None:
    x, y = digits(4)
    expected = pgd(natural_net, x, y, steps=3, generator=seeded())
    with torch.no_grad():
        assert torch.equal(pgd(natural_net, x, y, steps=3, generator=seeded()), expected)
        assert not torch.is_grad_enabled()
    with torch.inference_mode():
        made = pgd(natural_net, x * 1.0, y + 0, steps=3, generator=seeded())
        assert torch.is_inference_mode_enabled()
    assert torch.equal(made, expected)


def test_images_with_history_are_taken_as_they_are(natural_net: nn.Module) -> None:
    x, y = digits(4)
    leaf = x.clone().requires_grad_()
    made = pgd(natural_net, leaf * 1.0, y, steps=2, generator=seeded())
    assert not made.requires_grad and leaf.grad is None


@pytest.mark.parametrize("integer", [torch.int32, torch.uint8])
def test_labels_of_any_integer_type(integer: torch.dtype, natural_net: nn.Module) -> None:
    x, y = digits(4)
    expected = quick("autoattack")(natural_net, x, y, generator=seeded()).images
    made = quick("autoattack")(natural_net, x, y.to(integer), generator=seeded()).images
    assert torch.equal(made, expected)


def test_bf16_on_request(natural_net: nn.Module) -> None:
    seen: list[torch.dtype] = []
    first = next(natural_net.children())
    hook = first.register_forward_hook(lambda module, args, out: seen.append(out.dtype))
    x, y = digits(4)
    try:
        for precision in ("bf16", "float32", "inherit"):
            pgd(natural_net, x, y, steps=1, precision=precision, generator=seeded())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            pgd(natural_net, x, y, steps=1, generator=seeded())
            made = pgd(natural_net, x, y, steps=1, precision="float32", generator=seeded())
    finally:
        hook.remove()
    low, full = torch.bfloat16, torch.float32
    assert seen == [low, full, full, low, full] and made.dtype == full


@pytest.mark.parametrize("precision", ["tf32", "float32"])
def test_tf32_switches_are_put_back(precision: Precision, natural_net: nn.Module) -> None:
    cuda: Any = torch.backends.cuda
    cudnn: Any = torch.backends.cudnn
    switches = (cuda.matmul, cudnn.conv, cudnn.rnn)
    before = [switch.fp32_precision for switch in switches]
    inside: list[str] = []
    hook = natural_net.register_forward_pre_hook(
        lambda module, args: inside.extend(switch.fp32_precision for switch in switches)
    )
    try:
        pgd(natural_net, *digits(2), steps=1, precision=precision, generator=seeded())
    finally:
        hook.remove()
    assert inside == ["tf32" if precision == "tf32" else "ieee"] * 3
    assert [switch.fp32_precision for switch in switches] == before


def test_other_losses_and_starts(natural_net: nn.Module) -> None:
    x, y = digits(16)
    probabilities = natural_net(x).softmax(1).detach()
    start = x + 0.001 * torch.randn(x.shape, generator=seeded())
    made = pgd(natural_net, x, probabilities, loss=kl_divergence, start=start, steps=5, step_size="0.007")
    with torch.no_grad():
        before, after = (kl_divergence(natural_net(images), probabilities).sum() for images in (start, made))
    assert float(after) > 10 * float(before)
    assert torch.equal(
        pgd(natural_net, x, y, steps=0, start=x + 1), PGD(steps=0).perturb(natural_net, x, y, start=x + 1)
    )
    with pytest.raises(ValueError, match="takes no start"):
        Square().perturb(natural_net, x, y, start=x)
    with pytest.raises(ValueError, match="class labels"):
        pgd(natural_net, x, probabilities, loss=kl_divergence, restarts=2)


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.takes_start])
def test_a_start_is_brought_into_the_budget_before_anything_is_asked(
    name: str, natural_net: nn.Module
) -> None:
    """And one that is unlike the images is refused."""
    x, y = digits(4)
    asked: list[Tensor] = []

    class Noting(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            asked.append(images.detach().clone())
            logits: Tensor = natural_net(images)
            return logits

    attack = quick(name)
    attack(Noting(), x, y, start=(x + 0.3), generator=seeded())
    first = next(
        images for images in asked if not torch.equal(images, x)
    )  # apgd_t looks at the clean ones before
    assert float((first - (x + 8 / 255).clamp(0, 1)).abs().max()) < 1e-6
    for wrong in (x[:2], x.double()):
        with pytest.raises(ValueError, match="start must be like the images"):
            attack(natural_net, x, y, start=wrong)


def test_what_manifests_and_reports_need_to_know() -> None:
    """The name of a loss that is a function, and which attacks ask for logits alone."""
    assert PGD(loss=kl_divergence).describe()["loss"] == "kl_divergence"
    assert [name for name, attack in ATTACKS.items() if attack.gradient_free] == ["square"]


def test_skipping_fooled_examples_spares_work_and_is_no_weaker(natural_net: nn.Module) -> None:
    x, y = digits(64)
    full = PGD(eps="0.15", steps=20)(natural_net, x, y, generator=seeded())
    skipped = PGD(eps="0.15", steps=20, skip_fooled=True)(natural_net, x, y, generator=seeded())
    assert bool((skipped.success | ~full.success).all())
    assert skipped.backward_images < full.backward_images


def test_restarts_keep_what_is_fooled(robust_net: nn.Module) -> None:
    x, y = digits(96)
    once = PGD(eps="0.15", steps=4)(robust_net, x, y, generator=seeded())
    often = PGD(eps="0.15", steps=4, restarts=5)(robust_net, x, y, generator=seeded())
    assert bool((often.success | ~once.success).all()) and int(often.success.sum()) > int(once.success.sum())


def test_square_s_restarts_are_for_those_not_fooled() -> None:
    class Constant(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.tensor([1.0, 0.0]).repeat(len(images), 1)

    result = Square(queries=4, restarts=2)(
        Constant(), torch.rand(2, 1, 4, 4), torch.tensor([1, 0]), generator=seeded()
    )
    assert result.success.tolist() == [True, False]
    # Both at first, then three queries for the one that stands; who is fooled? Four for it again, who now? And at last.
    assert result.forward_images == (2 + 3) + 2 + 4 + 1 + 2


def test_autoattack_says_which_attack_did_it(robust_net: nn.Module) -> None:
    x, y = digits(48)
    attack = AutoAttack(eps="0.2", steps=10, targets=3, queries=30)
    result = attack(robust_net, x, y, generator=seeded())
    assert attack.stages == ("apgd_ce", "apgd_t", "fab_t", "square") and result.stage is not None
    assert torch.equal(result.stage > -2, result.success)
    clean = misclassified(robust_net(x), y)
    assert torch.equal(result.stage == -1, clean)
    assert int((result.stage == 0).sum()) > 0
    assert torch.equal(result.images[clean], x[clean])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (
            (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.zeros(2).long()),
            TypeError,
            "divide bytes by 255",
        ),
        ((torch.zeros(2, 1, 8, 8), torch.zeros(3).long()), ValueError, "as many labels"),
        ((torch.zeros(2, 1, 8, 8), torch.zeros(2)), ValueError, "integers"),
        ((torch.zeros(2), torch.zeros(2).long()), ValueError, r"\(N, ...\)"),
        ((torch.zeros(2, 1, 8, 8), torch.zeros(2, 10).long()), ValueError, "integers"),
    ],
)
def test_what_does_not_fit_is_refused(
    arguments: tuple[Tensor, Tensor], error: type[Exception], words: str, natural_net: nn.Module
) -> None:
    with pytest.raises(error, match=words):
        FGSM()(natural_net, *arguments)


def test_models_that_are_no_such_map() -> None:
    x, y = torch.rand(2, 1, 4, 4), torch.zeros(2, dtype=torch.int64)

    class Tuple(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x.flatten(1), x.flatten(1)

    class Detached(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.detach().flatten(1)

    with pytest.raises(TypeError, match="one tensor, not tuple"):
        FGSM()(Tuple(), x, y)
    with pytest.raises(ValueError, match="one row of logits per image"):
        FGSM()(nn.Flatten(0), x, y)
    with pytest.raises(ValueError, match="use the black-box attack 'square'"):
        FGSM()(Detached(), x, y)
    assert Square(queries=3)(Detached(), x, y, generator=seeded()).backward_passes == 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PGD(eps=-1), "negative"),
        (lambda: PGD(eps=None), "needs a budget"),
        (lambda: PGD(steps=-1), "steps must be"),
        (lambda: PGD(restarts=0), "restarts must be"),
        (lambda: parse_attack("pgd", norm="l1"), "norm must be one of linf, l2"),
        (lambda: parse_attack("pgd", mode="training"), "mode must be"),
        (lambda: parse_attack("cw", loss="hinge"), "loss must be"),
        (lambda: robdsl.attacks.CWL2(norm="linf"), "norm must be one of l2"),
        (lambda: DeepFool(candidates=1), "candidates must be"),
        (lambda: DeepFool(overshoot=-0.1), "overshoot"),
        (lambda: DeepFool(relaxation=0), "relaxation"),
        (lambda: Square(initial_share=2), "initial_share"),
        (lambda: Square(initial_share=0), "initial_share"),
        (lambda: Square(queries=0), "square: queries must be"),
        (lambda: Square(restarts=0), "restarts must be"),
        (lambda: DeepFool(steps=0), "steps must be"),
        (lambda: parse_attack("mi_fgsm", steps=0), "steps must be"),
        (lambda: parse_attack("apgd_ce", steps=0), "steps must be"),
        (lambda: parse_attack("apgd_ce", restarts=0), "restarts must be"),
        (lambda: parse_attack("apgd_ce", loss="margin"), "loss must be"),
        (lambda: parse_attack("apgd_t", targets=0), "targets must be"),
        (lambda: parse_attack("fab_t", steps=0), "steps must be"),
        (lambda: parse_attack("fab_t", targets=0), "targets must be"),
        (lambda: parse_attack("fab_t", restarts=0), "restarts must be"),
        (lambda: robdsl.attacks.CWL2(steps=0), "steps must be"),
        (lambda: robdsl.attacks.CWL2(binary_search_steps=0), "binary_search_steps must be"),
        (lambda: robdsl.attacks.CWL2(initial_constant=0), "initial_constant"),
        (lambda: AutoAttack(queries=0), "queries must be"),
        (lambda: robdsl.attacks.CWL2(learning_rate=0), "learning_rate"),
    ],
)
def test_settings_that_make_no_sense(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
