"""Pipelines as text, and what single passes make of small programs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import robdsl
from robdsl.compiler.frozen_module import FrozenModule, snapshot
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.passes import (
    PASSES,
    TRAIN_PIPELINE,
    Pass,
    PipelineError,
    format_pipeline,
    parse_pipeline,
)
from robdsl.compiler.passes.merge import MergePointwise, MergeSiblings
from tests.compiler.passes.drawn import plain_model


@st.composite
def passes(draw: st.DrawFn) -> Pass:
    kind = draw(st.sampled_from(list(PASSES.values())))
    if kind in (MergePointwise, MergeSiblings):
        return kind(least=draw(st.integers(0, 9)))
    return kind()


@given(st.lists(passes()))
def test_the_text_of_a_pipeline_reads_back(pipeline: list[Pass]) -> None:
    assert list(parse_pipeline(format_pipeline(pipeline))) == pipeline


@given(st.text(alphabet="dead,merge-pointwise{=}least 09", max_size=40))
def test_any_text_is_a_pipeline_or_an_error(text: str) -> None:
    try:
        pipeline = parse_pipeline(text)
    except PipelineError:
        return
    assert parse_pipeline(format_pipeline(pipeline)) == pipeline


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ded", "there is no pass `ded`; there are zeros, identities"),
        ("dead,", "ends in a comma"),
        ("dead dead", "write pass, pass{option=value}"),
        ("dead{least=2}", "its options are: none"),
        ("merge-siblings{most=2}", "its options are: least"),
        ("merge-siblings{least=two}", "is a whole number"),
        ("merge-siblings{least=1, least=2}", "cannot take `least=2`"),
    ],
)
def test_errors(text: str, said: str) -> None:
    with pytest.raises(PipelineError) as caught:
        parse_pipeline(text)
    assert said in str(caught.value)


def test_compile_refuses_passes_of_evaluation() -> None:
    net = robdsl.load("resnet18", width=2)
    with pytest.raises(PipelineError, match="freeze with it"):
        robdsl.compile(net, passes="dead, fold-norms")


def test_a_list_of_names_is_no_pipeline() -> None:
    net = robdsl.load("resnet18", width=2)
    for wrong in (["dead"], [None]):
        with pytest.raises(PipelineError, match="write names in one text"):
            robdsl.compile(net, passes=wrong)  # type: ignore[arg-type]  # what the test is about
        with pytest.raises(PipelineError, match="is not a pass"):
            robdsl.freeze(robdsl.compile(net), wrong)  # type: ignore[arg-type]


def test_signs_that_are_kept_are_kept_where_relus_are_written_over() -> None:
    made = after("x -> out : conv(3) | relu", "keep-signs, in-place")
    assert any("relu_keeping_signs" in line for line in made)


def test_compile_keeps_keys_spans_and_sharing() -> None:
    net = robdsl.load("robnet_large", width=4)
    plain, model = (robdsl.compile(net, seed=0, passes=passes) for passes in ((), TRAIN_PIPELINE))
    state = plain.state_dict()
    assert list(model.state_dict()) == list(state)
    assert all(torch.equal(each, state[key]) for key, each in model.state_dict().items())
    kinds = [{type(each) for name, each in one.named_children() if "cell" in name} for one in (plain, model)]
    assert len(kinds[0]) == len(kinds[1]) < 12
    shown = model.get_submodule("robnet_cell_1")
    assert isinstance(shown, LoweredModule)
    is_spanned = "robnet.rob:" in shown.code
    assert is_spanned


# --- before and after


def after(body: str, each: str, image: str = "4 x 6 x 6") -> list[str]:
    """The lines of a cell's code after passes over a frozen model, without what frees values."""
    program = f"cell c() {{ in x\n{body}\n}}\nnet n {{ input {image}\n c()\n global_avg_pool | flatten | linear(2) }}"
    model: LoweredModule = snapshot(plain_model(robdsl.load(program)))
    for one in parse_pipeline(each):
        model = one(model)
        assert isinstance(model, FrozenModule)
    stage = model.get_submodule("c_0")
    assert isinstance(stage, LoweredModule)
    lines = stage.code.partition("def forward(")[2].strip().splitlines()[1:]
    return [line.partition(";")[0].partition("  #")[0].strip() for line in lines]


FAN = "x -> a : relu | depthwise(3) | conv(1)\n x -> b : relu | depthwise(3) | conv(1)\n c = mul(a, b)\n c -> out"
SUM = "x -> a : relu\n x -> b : sigmoid\n a, b -> out : conv(1)\n x -> out"
SIBLINGS = "x -> a : conv(1)\n x -> b : conv(1, 4, bias=true)\n c = mul(a, b)\n c -> out"


@pytest.mark.parametrize(
    ("body", "passes", "expected"),
    [
        ("x -> a : zero\n a -> out : relu\n x -> out : sigmoid", "zeros, dead",
         ["x_to_out = self.x_to_out(x)", "return x_to_out"]),
        ("x -> a : relu | relu\n a -> out : crop(0)", "identities, dead",
         ["x_to_a_relu_0 = self.x_to_a.relu_0(x)", "return x_to_a_relu_0"]),
        ("x -> a : relu\n x -> b : relu\n c = mul(a, b)\n c -> out", "common",
         ["a = self.x_to_a(x)", "c = a * a", "return c"]),
        ("a = concat(x, x)\n b = concat(a, x)\n b -> out : conv(1, 4)", "concatenate",
         ["b = torch.cat([x, x, x], 1)", "out = self._frozen.out(b)", "return out"]),
        ("x -> out : conv(3) | relu", "in-place",
         ["x_to_out_conv_0 = self._frozen.x_to_out_conv_0(x)", "out = torch.relu_(x_to_out_conv_0)", "return out"]),
        ("x -> out : relu", "in-place", ["out = self.x_to_out(x)", "return out"]),
        ("x -> out : conv(3) | batch_norm", "fold-norms",
         ["x_to_out_conv_0 = self._frozen.x_to_out_conv_0(x)", "return x_to_out_conv_0"]),
        ("x -> out : batch_norm | conv(1)", "fold-norms", ["out = self._frozen.out(x)", "return out"]),
        ("x -> out : batch_norm | conv(3)", "fold-norms",
         ["x_to_out_batch_norm_0 = self._frozen.x_to_out_batch_norm_0(x)",
          "out = self._frozen.out(x_to_out_batch_norm_0)", "return out"]),
        ("x -> a : zero\n a -> b : batch_norm | conv(3)\n b -> out : relu\n x -> out", "fold-constants, dead",
         ["b_to_out_constant = self._frozen.b_to_out_constant.value",
          "repeated = robdsl_compiler_modules_repeated(b_to_out_constant, x)", "out = repeated + x", "return out"]),
        ("x -> a : relu | conv(1)\n x -> out : sigmoid\n a -> out", "common, fuse-heads",
         ["a_fused = self._frozen.a_fused(x)", "a_fused_0 = a_fused[0]", "x_to_out = self.x_to_out(x)",
          "out = x_to_out + a_fused_0", "return out"]),
        (FAN, "common, fuse-stages",
         ["a_fused = self._frozen.a_fused(x)", "a_fused_0 = a_fused[0]",
          "a_fused_1 = a_fused[1]", "c = a_fused_0 * a_fused_1", "return c"]),
        ("a = mul(x, x)\n b = mul(a, x)\n b -> out", "gather",
         ["fork = robdsl_kernels_fork_fork(x, 3)", "fork_0 = fork[0]", "fork_1 = fork[1]", "fork_2 = fork[2]",
          "a = fork_0 * fork_1", "b = a * fork_2", "return b"]),
        (SIBLINGS, "merge-siblings, dead", None),
        (SUM, "merge-pointwise, dead", None),
    ],
)  # fmt: skip
def test_before_and_after(body: str, passes: str, expected: list[str] | None) -> None:
    made = after(body, passes)
    if expected is not None:
        assert made == expected
    elif "siblings" in passes:
        assert [sum(each in line for line in made) for each in ("torch.narrow", "_merged(x)")] == [2, 1]
    else:
        assert sum("torch.cat" in line for line in made) == 1 and sum(" + " in line for line in made) == 1
