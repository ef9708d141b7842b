"""Rules of single passes that hardly ever show in what a random cell computes: order, layout, what stays apart."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, fx, nn

import robdsl
from robdsl.compiler.frozen_module import snapshot
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.modules import stepped
from robdsl.compiler.passes import PASSES, run_pipeline
from robdsl.compiler.passes.facts import is_concat, is_sum, operands, primitive
from tests.compiler.passes.drawn import hold_frozen, hold_in_training, images_for, plain_model

#: Of each node: what it computes, and the places of two earlier values.
Program = list[tuple[str, int, int]]


def programs(kind: str) -> st.SearchStrategy[Program]:
    """Straight-line programs of one kind of node and of sigmoids."""
    place = st.integers(0, 9)
    return st.lists(st.tuples(st.sampled_from([kind, kind, "sigmoid"]), place, place), min_size=2, max_size=8)


def built(program: Program) -> LoweredModule:
    """A graph of two inputs, in which a place counts from the newest value; it returns all that nothing else reads."""
    graph = fx.Graph()
    values = [graph.placeholder("x"), graph.placeholder("y")]
    for kind, left, right in program:
        a, b = (values[-1 - place % len(values)] for place in (left, right))
        if kind == "sum":
            values.append(graph.call_function(operator.add, (a, b)))
        elif kind == "cat":
            values.append(graph.call_function(torch.cat, ([a, b], 1)))
        else:
            values.append(graph.call_function(torch.sigmoid, (a,)))
    graph.output(tuple(each for each in values if not each.users))
    return LoweredModule({}, graph, "drawn")


def hold(name: str, program: Program) -> LoweredModule:
    """A pass leaves a well-formed graph that computes the same."""
    before, after = built(program), built(program)
    PASSES[name]().run(after)
    after.graph.lint()
    after.recompile()
    x, y = (torch.rand(2, 3, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert all(map(torch.equal, before(x, y), after(x, y)))
    return after


# --- early


@given(programs("sum"))
def test_between_a_sum_and_its_last_operand_stand_only_sums(program: Program) -> None:
    order = list(hold("early", program).graph.nodes)
    for node in filter(is_sum, order):
        last = max(operands(node), key=order.index)
        if last.op != "placeholder":
            assert all(map(is_sum, order[order.index(last) + 1 : order.index(node)]))


@pytest.mark.parametrize("last", [("sum", 0, 1), ("sum", 1, 0)])
def test_sums_that_move_behind_one_value(last: tuple[str, int, int]) -> None:
    """The one that moves second comes to stand before the other; what adds both must come after both."""
    moved = hold("early", [("sigmoid", 0, 0), ("sigmoid", 2, 0), ("sum", 1, 3), ("sum", 2, 3), last])
    kinds = [is_sum(node) for node in moved.graph.nodes if node.op == "call_function"]
    assert kinds == [False, True, True, True, False]


# --- concatenate


@given(programs("cat"))
def test_a_concatenation_is_written_once(program: Program) -> None:
    """None is left whose only reader was another one; one that others read too is kept."""
    shared = {node.name for node in built(program).graph.nodes if is_concat(node) and len(node.users) > 1}
    left = {node.name: node for node in hold("concatenate", program).graph.nodes}
    assert shared <= set(left)
    for node in filter(is_concat, left.values()):
        inner = [part for part in operands(node) if is_concat(part)]
        assert all(part.name in shared for part in inner)


def test_a_shared_concatenation_is_not_copied_again() -> None:
    after = hold("concatenate", [("cat", 0, 1), ("cat", 0, 1), ("sigmoid", 1, 0)])
    assert [len(operands(node)) for node in after.graph.nodes if is_concat(node)] == [2, 2]


# --- common


def net_of(body: str) -> robdsl.Net:
    return robdsl.load(
        f"cell c() {{ in x\n{body}\n}}\n"
        "net n { input 4 x 6 x 6\n conv(3, 4)\n c()\n c()\n global_avg_pool | flatten | linear(2) }"
    )


def calls(model: nn.Module) -> int:
    """The operations of a cell, sums apart."""
    cell = model.get_submodule("c_1")
    assert isinstance(cell, LoweredModule)
    return sum(node.op.startswith("call") and not is_sum(node) for node in cell.graph.nodes)


@pytest.mark.parametrize(
    "operation",
    ["conv(1)", "depthwise(3)", "batch_norm", "batch_norm(affine=false)", "dropout(0.5)", "nonlocal_mean(gaussian)"],
)  # fmt: skip
def test_what_has_tensors_or_draws_numbers_stays_apart(operation: str) -> None:
    """Twice the same text is twice the modules, with weights, statistics or draws of their own."""
    net = net_of(f"x -> a : {operation}\n x -> b : {operation}\n a, b -> out")
    assert calls(robdsl.compile(net, passes="common")) == 2
    if "dropout" not in operation:
        hold_in_training(net, [PASSES["common"]()])


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        ("relu", "relu", 1),
        ("sigmoid", "sigmoid", 1),
        ("nonlocal_mean(dot)", "nonlocal_mean(dot)", 1),
        ("crop(1)", "crop(1)", 1),
        ("max_pool(3, stride=1, padding=1)", "max_pool(3, stride=1, padding=1)", 1),
        ("max_pool(3, stride=1, padding=1)", "max_pool(5, stride=1, padding=2)", 2),
        ("max_pool(3, stride=1, padding=1)", "avg_pool(3, stride=1, padding=1)", 2),
        ("relu", "sigmoid", 2),
    ],
)
def test_equal_primitives_are_computed_once(first: str, second: str, left: int) -> None:
    net = net_of(f"x -> a : {first}\n x -> b : {second}\n a, b -> out")
    assert calls(robdsl.compile(net, passes="common")) == left
    hold_in_training(net, [PASSES["common"]()])


# --- fold-constants


@pytest.mark.parametrize(
    "body",
    [
        "x -> a : zero\n a -> out : batch_norm | conv(3)",  # all that the cell returns
        "x -> a : zero\n a -> out : batch_norm | conv(3)\n x -> out : conv(1)",
        "x -> a : zero\n a -> b : batch_norm\n x -> b\n b -> out : conv(3)",  # a sum of a constant and a map
        "x -> a : zero\n x -> b : zero\n a -> c : batch_norm\n b -> c : batch_norm\n c -> out : sigmoid\n x -> out",
        "x -> a : zero\n a -> out : sigmoid\n x -> out\n a -> b : batch_norm\n b -> out : conv(1)",
        "x -> a : zero\n a -> out\n x -> out : conv(3)",  # zeros alone stay what they are
    ],
)
def test_constants(body: str) -> None:
    """Nothing is left that computes with zeros alone; zeros alone are left to those that know them."""
    frozen = hold_frozen(net_of(body), [PASSES["fold-constants"](), PASSES["dead"]()])
    cell = frozen.get_submodule("c_1")
    assert isinstance(cell, LoweredModule)
    changing = {node for node in cell.graph.nodes if node.op == "placeholder"}
    has_zeros = "zero\n a -> out\n" in body
    for node in cell.graph.nodes:
        kind = getattr(node.target, "__name__", "")
        if kind == "zeros":
            assert has_zeros
        elif kind == "repeated":
            assert not has_zeros and node.args[1].op == "placeholder"
        elif changing.intersection(node.all_input_nodes):
            changing.add(node)
        else:
            assert node.op in ("placeholder", "get_attr", "output"), node


@pytest.mark.parametrize("before", ["gather", "fuse-heads", "fuse-stages"])
def test_constants_behind_what_gives_several_values(before: str) -> None:
    heads = "relu | conv(1, bias=true)", "relu | depthwise(3) | conv(1, bias=true)"
    edges = "\n".join(f"b -> out : {each} | sigmoid" for each in (*heads, *heads, "crop(0) | conv(1, bias=true)"))
    net = net_of(f"x -> a : zero\n a -> b : batch_norm\n{edges}\n x -> out")
    hold_frozen(net, [PASSES[before](), PASSES["fold-constants"](), PASSES["dead"]()])


# --- skip-positions


REDUCED = "x -> a : conv(1, 2, stride=2)\n x -> b : crop(1) | conv(1, 3, stride=2)\n"


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("used", [(0, 1, 2), (1,), (0, 2)])
def test_the_gradient_of_stepped_maps_is_torchs_own(
    layout: torch.memory_format, used: tuple[int, ...]
) -> None:
    """Also of parts that nothing reads, of odd sizes, and mapped over many gradients at once."""
    made = torch.rand(2, 3, 7, 6, dtype=torch.float64).contiguous(memory_format=layout)
    x = made.clone(memory_format=torch.preserve_format).requires_grad_()
    starts = (2, 0, 4)

    def of(parts: Sequence[Tensor]) -> Tensor:
        return torch.stack([parts[place].square().sum() for place in used]).sum()

    parts, views = stepped(x, starts, 3), [x[:, :, start::3, start::3] for start in starts]
    assert all(map(torch.equal, parts, views))
    (ours,), (theirs,) = (torch.autograd.grad(of(each), x) for each in (parts, views))
    assert torch.equal(ours, theirs) and ours.stride() == x.stride()
    rows = torch.func.jacrev(lambda each: stepped(each, starts, 3)[used[0]].flatten())(made)
    assert torch.equal(
        rows.sum(0),
        torch.func.jacrev(lambda each: each[:, :, starts[used[0]] :: 3, starts[used[0]] :: 3].flatten())(
            made
        ).sum(0),
    )


def test_steps_are_mapped_over_images() -> None:
    maps = torch.rand(3, 2, 4, 6, 6, dtype=torch.float64)
    gradient = torch.func.grad(lambda x: sum(each.pow(3).sum() for each in stepped(x, (0, 1), 2)))
    assert torch.equal(torch.func.vmap(gradient)(maps), torch.stack([gradient(each) for each in maps]))


def test_a_relu_that_is_read_by_two_steps() -> None:
    net = robdsl.load(
        "cell c() { in x\n x -> r : relu\n r -> out : conv(1, 4, stride=2)\n r -> out : conv(1, 4, stride=3)\n}\n"
        "net n { input 4 x 4 x 4\n c()\n global_avg_pool | flatten | linear(2) }"
    )
    hold_frozen(net, [PASSES["skip-positions"]()])


def test_a_relu_that_only_steps_read_comes_after_them() -> None:
    text = f"cell c() {{ in x\nx -> r : relu\n{REDUCED.replace('x', 'r')} c = concat(a, b)\n c -> out }}"
    net = robdsl.load(f"{text}\nnet n {{ input 4 x 6 x 6\n c()\n global_avg_pool | flatten | linear(2) }}")
    cell = hold_frozen(net, [PASSES["skip-positions"]()]).get_submodule("c_0")
    assert isinstance(cell, LoweredModule)
    (first, *_, a, b) = [node for node in cell.graph.nodes if node.target in (stepped, torch.relu)]
    assert first.target is stepped and a.target is b.target is torch.relu
    assert not any(type(each) is nn.ReLU for node in cell.graph.nodes if (each := primitive(cell, node)))


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (f"{REDUCED} c = concat(a, b)\n c -> out : relu", [(0, 2), (1, 2)]),
        (
            f"{REDUCED} x -> d : conv(1, 2, stride=2)\n c = concat(a, d, b)\n c -> out : relu",
            [(0, 2), (1, 2)],
        ),
        ("x -> out : crop(1) | crop(2) | conv(1, 4, stride=3)", [(3, 3)]),
        (
            "x -> a : crop(1)\n a -> b : conv(1, 4, stride=2)\n a -> c : max_pool(1, stride=2)\n b, c -> out",
            [(1, 2)],
        ),
        ("x -> out : conv(3, 4, stride=2)", []),
        ("x -> out : conv(1, 4, stride=2, padding=1)", []),
        ("x -> out : conv(1, 4, stride=2, groups=2, bias=true)", [(0, 2)]),
    ],
)
def test_what_is_stepped_over_is_not_given(body: str, left: list[tuple[int, int]]) -> None:
    """Readers of the same positions share one view; windows and borders stay as they are; odd sizes too."""
    for size in (6, 7) if "concat" not in body else (6,):
        net = robdsl.load(
            f"cell c() {{ in x\n{body}\n}}\n"
            f"net n {{ input 4 x {size} x {size}\n c()\n global_avg_pool | flatten | linear(2) }}"
        )
        frozen = hold_frozen(net, [PASSES["skip-positions"](), PASSES["dead"]()])
        cell = frozen.get_submodule("c_0")
        assert isinstance(cell, LoweredModule)
        steps: list[Any] = [node.args for node in cell.graph.nodes if node.target is stepped]
        assert sorted((start, step) for _, starts, step in steps for start in starts) == left


# --- channels-last


def test_maps_and_weights_have_the_channels_last() -> None:
    """From the first convolution on, whatever the layout of the images, which stay as they are."""
    net = net_of("x -> a : relu | conv(3)\n x -> a : conv(1)\n a -> out : sigmoid")
    frozen = snapshot(plain_model(net))
    run_pipeline(frozen, [PASSES["channels-last"]()])
    seen: list[tuple[Tensor, Tensor]] = []
    for each in frozen.modules():
        if isinstance(each, nn.Conv2d):
            assert each.weight.is_contiguous(memory_format=torch.channels_last)
            each.register_forward_hook(lambda _, given, result: seen.append((given[0], result)))
    x = images_for(net)
    frozen(x)
    assert len(seen) == 5 and x.is_contiguous()
    for maps in seen:
        assert all(each.is_contiguous(memory_format=torch.channels_last) for each in maps)
    hold_frozen(net, [PASSES["channels-last"]()])


def test_in_training_only_maps_are_laid_out() -> None:
    """Weights that learn keep their layout, and a pass that runs again changes nothing."""
    net = net_of("x -> a : relu | conv(3)\n x -> a : conv(1)\n a -> out : sigmoid")
    model = robdsl.compile(net, seed=0)
    seen: list[tuple[Tensor, Tensor]] = []
    for each in model.modules():
        if isinstance(each, nn.Conv2d):
            each.register_forward_hook(lambda _, given, result: seen.append((given[0], result)))
    model(images_for(net).float()).sum().backward()
    assert len(seen) == 5
    for maps in seen:
        assert all(each.is_contiguous(memory_format=torch.channels_last) for each in maps)
    for weight in model.parameters():
        assert weight.is_contiguous() and weight.grad is not None and weight.grad.shape == weight.shape
    assert isinstance(model, LoweredModule)
    again = PASSES["channels-last"]()(model)
    assert str(again.code) == str(model.code)
