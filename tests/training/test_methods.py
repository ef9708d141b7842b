"""Each method against a plain loop written from its paper, and the norms against one process."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from robdsl.data import Ranks, generator
from robdsl.training import (
    CrossRankBatchNorm,
    MethodName,
    Outcome,
    Recipe,
    Step,
    make_method,
    recipe_for,
    shared_norms,
)
from tests.training.processes import run_together
from tests.training.workers import Net, blobs, make_net, small_recipe

EPS, SIZE = 8 / 255, 2 / 255


def batch(start: int = 0) -> tuple[Tensor, Tensor]:
    images, labels = blobs().tensors()
    return images[start : start + 12].double(), labels[start : start + 12]


def step(model: nn.Module, images: Tensor, labels: Tensor) -> Step:
    model.train()
    return Step(model, images, labels, 0, len(images), generator("cpu", 1, "t"), nullcontext)


def uniform(images: Tensor) -> Tensor:
    draws = torch.rand(images.shape, generator=generator("cpu", 1, "t"), dtype=images.dtype)
    return EPS * (2 * draws - 1)


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_equal(mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    for name, tensor in theirs.items():
        torch.testing.assert_close(mine[name], tensor, rtol=1e-10, atol=1e-12, msg=f"{name} differs")


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: part.grad.clone() for name, part in model.named_parameters() if part.grad is not None}


def only(outcomes: list[Outcome]) -> Outcome:
    (outcome,) = outcomes
    return outcome


def climb(
    model: nn.Module, images: Tensor, start: Tensor, steps: int, size: float, loss: Callable[[Tensor], Tensor]
) -> Tensor:
    """Projected ascent as the papers write it."""
    adversarial = start
    for _ in range(steps):
        adversarial = adversarial.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(loss(model(adversarial)), adversarial)
        moved = adversarial.detach() + size * gradient.sign()
        adversarial = torch.minimum(torch.maximum(moved, images - EPS), images + EPS).clamp(0, 1)
    return adversarial.detach()


def test_natural() -> None:
    images, labels = batch()
    net = make_net(dtype=torch.float64)
    reference = copy.deepcopy(net)
    outcome = only(list(make_method(small_recipe(method="natural")).updates(step(net, images, labels))))
    outcome.loss.backward()
    reference.train()
    logits = reference(images)
    F.cross_entropy(logits, labels).backward()
    assert_equal(gradients(net), gradients(reference))
    assert_equal(state(net), state(reference))
    assert outcome.correct == (logits.argmax(1) == labels).sum()


@pytest.mark.parametrize(("method", "steps", "size"), [("pgd", 7, SIZE), ("fast", 1, 10 / 255)])
def test_madry_and_fast_attack_in_training_mode(method: str, steps: int, size: float) -> None:
    """The running statistics move with every pass of the attack, as in the published training."""
    images, labels = batch()
    net = make_net(dtype=torch.float64)
    reference = copy.deepcopy(net)
    recipe = small_recipe(method=method, steps=steps, step_size=size)
    outcome = only(list(make_method(recipe).updates(step(net, images, labels))))
    outcome.loss.backward()
    reference.train()
    begin = (images + uniform(images)).clamp(0, 1)
    adversarial = climb(reference, images, begin, steps, size, lambda out: F.cross_entropy(out, labels))
    logits = reference(adversarial)
    reference.zero_grad()
    F.cross_entropy(logits, labels).backward()
    assert_equal(gradients(net), gradients(reference))
    assert_equal(state(net), state(reference))
    assert net.norm.num_batches_tracked == steps + 1
    assert outcome.correct == (logits.argmax(1) == labels).sum()


def test_trades_is_its_equation() -> None:
    """Attack in evaluation mode from normal noise; cross-entropy and beta times KL(clean || adversarial)."""
    images, labels = batch()
    net = make_net(dtype=torch.float64)
    reference = copy.deepcopy(net)
    recipe = small_recipe(method="trades", steps=3, step_size="0.007", beta=6.0)
    outcome = only(list(make_method(recipe).updates(step(net, images, labels))))
    outcome.loss.backward()
    reference.eval()
    clean = F.softmax(reference(images), dim=1).detach()
    noise = torch.randn(images.shape, generator=generator("cpu", 1, "t"), dtype=images.dtype)
    begin = (images + 0.001 * noise).clamp(0, 1)

    def divergence(out: Tensor) -> Tensor:
        return F.kl_div(F.log_softmax(out, dim=1), clean, reduction="sum")

    adversarial = climb(reference, images, begin, 3, 0.007, divergence)
    reference.train()
    reference.zero_grad()
    natural, robust = reference(images), reference(adversarial)
    kl = F.kl_div(F.log_softmax(robust, dim=1), F.softmax(natural, dim=1), reduction="batchmean")
    expected = F.cross_entropy(natural, labels) + 6 * kl
    expected.backward()
    torch.testing.assert_close(outcome.loss, expected)
    assert_equal(gradients(net), gradients(reference))
    assert_equal(state(net), state(reference))
    assert net.training


def test_free_carries_its_perturbation() -> None:
    """Two batches of three replays; one gradient serves the weights and the perturbation."""
    net = make_net(dtype=torch.float64)
    reference = copy.deepcopy(net)
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.05) for model in (net, reference)]
    method = make_method(small_recipe(method="free", replays=3))
    perturbation = torch.zeros(12, 3, 8, 8, dtype=torch.float64)
    reference.train()
    for start in (0, 12):
        images, labels = batch(start)
        for outcome in method.updates(step(net, images, labels)):
            optimizers[0].zero_grad()
            outcome.loss.backward()
            optimizers[0].step()
        for _ in range(3):
            delta = perturbation.clone().requires_grad_(True)
            optimizers[1].zero_grad()
            F.cross_entropy(reference((images + delta).clamp(0, 1)), labels).backward()
            assert delta.grad is not None
            perturbation = (perturbation + EPS * delta.grad.sign()).clamp(-EPS, EPS)
            optimizers[1].step()
    assert method.carried is not None and not method.carried.requires_grad
    torch.testing.assert_close(method.carried, perturbation)
    assert_equal(state(net), state(reference))


def test_free_needs_its_outcomes_differentiated() -> None:
    updates = make_method(small_recipe(method="free")).updates(step(make_net(dtype=torch.float64), *batch()))
    next(updates)
    with pytest.raises(RuntimeError, match="differentiated before"):
        next(updates)


def test_bf16_losses_are_computed_in_float32() -> None:
    images, labels = batch()
    taken = Step(
        make_net(),
        images.float(),
        labels,
        0,
        12,
        generator("cpu", 1, "t"),
        lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    )
    assert taken.logits(taken.images).dtype == torch.float32
    assert only(list(make_method(Recipe(method="pgd", steps=1)).updates(taken))).loss.dtype == torch.float32


def norms_of_both(folder: Path) -> None:
    """Each process takes its part of the batch, five examples or seven, through norms of every kind."""
    ranks = Ranks.current()
    tensors = load_file(folder / "whole.safetensors")
    own = slice(0, 5) if ranks.is_first else slice(5, 12)
    for kind, model in norm_models().items():
        images = tensors["images"][own].clone().requires_grad_(True)
        with shared_norms(model, ranks):
            assert any(isinstance(part, CrossRankBatchNorm) for part in model.modules())
            (model(images) * tensors["weights"][own]).sum().backward()
            model(images.detach())
        assert not any(isinstance(part, CrossRankBatchNorm) for part in model.modules())
        result = {f"buffer/{name}": tensor for name, tensor in model.named_buffers()}
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            result[f"gradient/{name}"] = ranks.sum(parameter.grad)
        assert images.grad is not None
        result["images"] = ranks.gather_rows(images.grad, 12, own.start)
        model.eval()
        with shared_norms(model, ranks):
            result["evaluated"] = ranks.gather_rows(model(images).detach(), 12, own.start)
        if ranks.is_first:
            save_file(
                {name: tensor.clone() for name, tensor in result.items()}, folder / f"{kind}.safetensors"
            )


def norm_models() -> dict[str, nn.Sequential]:
    torch.manual_seed(0)
    kinds: dict[str, nn.Module] = {
        "usual": nn.BatchNorm2d(4),
        "plain": nn.BatchNorm2d(4, affine=False, momentum=0.3),
        "cumulative": nn.BatchNorm2d(4, momentum=None),
        "untracked": nn.BatchNorm2d(4, track_running_stats=False),
    }
    models = {}
    for kind, norm in kinds.items():
        inner = nn.Sequential(nn.Conv2d(4, 4, 1), norm, nn.Tanh())
        # The same norm a second time, under another name.
        models[kind] = nn.Sequential(nn.Conv2d(3, 4, 3), norm, inner).double()
    return models


def test_shared_norms_see_the_whole_batch(tmp_path: Path) -> None:
    torch.manual_seed(1)
    images = torch.rand(12, 3, 6, 6, dtype=torch.float64)
    weights = torch.randn(12, 4, 4, 4, dtype=torch.float64)
    save_file({"images": images, "weights": weights}, tmp_path / "whole.safetensors")
    run_together(2, norms_of_both, tmp_path)
    for kind, model in norm_models().items():
        whole = images.clone().requires_grad_(True)
        (model(whole) * weights).sum().backward()
        model(images)
        found = load_file(tmp_path / f"{kind}.safetensors")
        assert whole.grad is not None
        expected = {"images": whole.grad}
        expected |= {f"buffer/{name}": tensor for name, tensor in model.named_buffers()}
        expected |= {f"gradient/{name}": tensor for name, tensor in gradients(model).items()}
        model.eval()
        if kind != "untracked":
            expected["evaluated"] = model(images).detach()
        assert expected.keys() <= found.keys()
        assert_equal(found, expected)


def test_norms_stay_where_one_process_trains() -> None:
    net = Net()
    before = dict(net.named_modules())
    with shared_norms(net, Ranks()):
        assert dict(net.named_modules()) == before


def test_shared_norms_are_put_back_with_their_own_tensors() -> None:
    net = Net()
    modules, tensors = dict(net.named_modules()), {name: id(part) for name, part in net.named_parameters()}
    block = shared_norms(net, Ranks(0, 2))
    block.__enter__()
    assert isinstance(net.norm, CrossRankBatchNorm) and isinstance(net.plain_norm, CrossRankBatchNorm)
    assert {name: id(part) for name, part in net.named_parameters()} == tensors
    assert net.state_dict().keys() == Net().state_dict().keys()
    net.eval()
    assert not block.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert dict(net.named_modules()) == modules and not net.norm.training


def test_steps_keep_the_budget() -> None:
    images, labels = batch()
    net = make_net(dtype=torch.float64)
    seen: list[Tensor] = []
    net.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach().clone()))
    methods: tuple[MethodName, ...] = ("pgd", "trades", "fast", "free")
    for method in methods:
        seen.clear()
        recipe = recipe_for("digits", method)
        for outcome in make_method(recipe).updates(step(net, images, labels)):
            outcome.loss.backward()
        assert len(seen) > 1
        for part in seen:
            assert (part - images).abs().max() <= EPS + 1e-12 and part.min() >= 0 and part.max() <= 1
