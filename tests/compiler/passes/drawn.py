"""Random cells of every primitive that keeps a map's shape, and how a rewritten model is held against a plain one."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from hypothesis import strategies as st
from torch import Tensor, fx, nn

import robdsl
from robdsl.compiler.frozen_module import FrozenModule, snapshot
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.passes import Pass, rebuilt, run_pipeline

OPERATIONS = (
    "relu", "identity", "conv(3)", "conv(1)", "conv(1, bias=true)", "depthwise(3)", "batch_norm",
    "batch_norm(affine=false)", "relu | depthwise(3) | conv(1) | batch_norm", "conv(3) | batch_norm | relu",
    "batch_norm | relu | conv(1)", "batch_norm | conv(1)", "batch_norm | conv(3)", "sigmoid", "relu | relu",
    "max_pool(3, stride=1, padding=1)", "avg_pool(1)", "zero", "dropout(0)", "relu | conv(1)",
    "conv(1) | batch_norm | batch_norm", "crop(0) | relu", "nonlocal_mean(dot)", "nonlocal_mean(gaussian)",
)  # fmt: skip
EMPTY_NODE = "any { identity }"


@st.composite
def cells(draw: st.DrawFn) -> str:
    """A net of three cells of one random template and a head; each node is a sum of edges or a join of nodes."""
    inner = ["a", "b", "c", "d"][: draw(st.integers(2, 4))]
    known, lines = ["p", "q"], []
    for name in inner:
        if len(known) > 2 and draw(st.integers(0, 3)) == 0:
            join = draw(st.sampled_from(["sum", "mul", "concat", "concat"]))
            parts = draw(st.lists(st.sampled_from(known), min_size=2, max_size=3, unique=join != "concat"))
            lines.append(f"{name}{'_whole' if join == 'concat' else ''} = {join}({', '.join(parts)})")
            if join == "concat":
                lines.append(
                    f"{name}_whole -> {name} : {draw(st.sampled_from(['', 'relu | ', 'batch_norm | ']))}conv(1, 4)"
                )
        else:
            for _ in range(draw(st.integers(1, 3))):
                source, operation = draw(st.sampled_from(known)), draw(st.sampled_from(OPERATIONS))
                lines.append(f"{source} -> {name} : {operation}")
        known.append(name)
    last = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3))
    lines += [f"{name} -> out : {draw(st.sampled_from(OPERATIONS))}" for name in last]
    body = "\n        ".join(lines)
    return f"""
    cell drawn() {{
        in p, q
        {body}
    }}
    net drawn_net {{
        input 3 x 6 x 6
        {draw(st.sampled_from(["conv(3, 4)", "conv(3, 4) | batch_norm | relu", "conv(3, 4) | batch_norm"]))}
        repeat 3 {{ drawn() }}
        global_avg_pool | flatten | linear(3)
    }}
    """


def plain_model(net: robdsl.Net, seed: int = 0) -> LoweredModule:
    """The plain graph in float64, with norms whose weights and statistics are not those that they start with."""
    model = robdsl.compile(net, seed=seed, passes=()).double()
    generator = torch.Generator().manual_seed(seed)
    for each in model.modules():
        if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d):
            with torch.no_grad():
                assert each.running_mean is not None
                centred: list[Tensor] = [*each.parameters(), each.running_mean]
                for values in centred:
                    values.uniform_(-0.5, 0.5, generator=generator)
                assert each.running_var is not None
                each.running_var.uniform_(0.5, 2, generator=generator)
    assert isinstance(model, LoweredModule)
    return model


def images_for(net: robdsl.Net, batch: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(batch)
    return torch.rand(batch, *net.image, generator=generator, dtype=torch.float64)


def same(ours: Tensor | None, plain: Tensor | None, what: str = "") -> None:
    """Equal to 1e-10 of the size of the plain one; no gradient at all counts as zeros."""
    if plain is None or ours is None:
        left = ours if plain is None else plain
        assert left is None or not left.any(), what
        return
    scale = max(1.0, float(plain.detach().abs().max())) if plain.numel() else 1.0
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-10 * scale, msg=lambda text: f"{what}: {text}")


def step(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Logits and the gradient to the images; gradients to parameters are left in ``.grad``. The images stay as they were."""
    x = x.clone().requires_grad_()
    before = x.detach().clone()
    logits = model(x)
    if logits.requires_grad:
        (logits * torch.arange(1.0, logits.shape[1] + 1, dtype=x.dtype)).square().sum().backward()
    assert torch.equal(x.detach(), before)
    return logits.detach(), x.grad


def hold_in_training(net: robdsl.Net, pipeline: Sequence[Pass]) -> fx.GraphModule:
    """A model after passes is held against the plain one: one step in train mode, then one in eval mode."""
    plain = plain_model(net)
    copied = copy.deepcopy(plain)
    rewritten = rebuilt(copied)
    run_pipeline(rewritten, pipeline)
    hold_valid(rewritten)
    assert list(rewritten.state_dict()) == list(plain.state_dict())
    x = images_for(net)
    for mode in (True, False):
        for model in (plain, rewritten):
            model.train(mode)
            model.zero_grad()
        (logits, gradient), (expected, plain_gradient) = step(rewritten, x), step(plain, x)
        same(logits, expected, "logits")
        same(gradient, plain_gradient, "gradient to the images")
        for (name, ours), theirs in zip(rewritten.named_parameters(), plain.parameters(), strict=True):
            same(ours.grad, theirs.grad, name)
        for (name, moved), still in zip(rewritten.named_buffers(), plain.buffers(), strict=True):
            same(moved, still, name)
    return rewritten


def hold_frozen(net: robdsl.Net, pipeline: Sequence[Pass] | None) -> FrozenModule:
    """A frozen model is held against the plain one in eval mode; None for no pipeline but the usual one."""
    plain = plain_model(net)
    if pipeline is None:
        frozen = robdsl.freeze(plain)
    else:
        frozen = snapshot(plain)
        run_pipeline(frozen, pipeline)
    hold_valid(frozen)
    state, x = plain.state_dict(), images_for(net)
    assert list(frozen.state_dict()) == list(state) and not list(frozen.parameters())
    assert plain.training
    (logits, gradient), (expected, plain_gradient) = step(frozen, x), step(plain.eval(), x)
    same(logits, expected, "logits")
    same(gradient, plain_gradient, "gradient to the images")
    for key, tensor in frozen.state_dict().items():
        assert torch.equal(tensor, state[key]), key
    return frozen


def hold_valid(model: fx.GraphModule) -> None:
    """Its graphs are well-formed, their code is theirs, and each node that computes says which text asks for it."""
    for each in model.modules():
        if isinstance(each, LoweredModule):
            each.graph.lint()
            code = each.code
            each.recompile()
            assert each.code == code
            for node in each.graph.nodes:
                if node.op.startswith("call"):
                    assert node.meta.get("rob_span"), node
