"""Shapes and sizes that are worked out statically are those of torch's own modules, for random arguments."""

from __future__ import annotations

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from robdsl.diagnostics.diagnostic import RobError
from robdsl.graph.load import load
from robdsl.graph.net import Net

SIZES = st.integers(1, 9)


def loaded(operation: str, channels: int, height: int, width: int) -> Net | None:
    """The net of one operation; None when the shapes do not fit."""
    try:
        return load(f"net n {{\ninput {channels} x {height} x {width}\n{operation}\n}}\n")
    except RobError as error:
        assert {each.code.id for each in error.diagnostics} == {"R410"}, str(error)
        return None


def agrees(net: Net | None, module: nn.Module, channels: int, height: int, width: int) -> None:
    """Both refuse the image, or both give one shape and learn as many numbers."""
    try:
        out = module.eval()(torch.zeros(1, channels, height, width))
    except RuntimeError:
        assert net is None
        return
    assert net is not None
    assert tuple(out.shape[1:]) == net.stages[-1].shape
    assert sum(each.numel() for each in module.parameters()) == net.cost.params


@settings(max_examples=80)
@given(st.data())
def test_convolutions(data: st.DataObject) -> None:
    groups = data.draw(st.integers(1, 3))
    channels, width = groups * data.draw(st.integers(1, 3)), groups * data.draw(st.integers(1, 3))
    height, wide = data.draw(SIZES), data.draw(SIZES)
    kernel, stride, dilation = (
        data.draw(st.integers(1, 5)),
        data.draw(st.integers(1, 3)),
        data.draw(st.integers(1, 3)),
    )
    padding, bias = data.draw(st.none() | st.integers(0, 4)), data.draw(st.booleans())
    given_ = "" if padding is None else f", padding={padding}"
    text = f"conv({kernel}, {width}, {stride}, groups={groups}, dilation={dilation}, bias={str(bias).lower()}{given_})"
    net = loaded(text, channels, height, wide)
    actual = kernel // 2 if padding is None else padding
    agrees(
        net,
        nn.Conv2d(channels, width, kernel, stride, actual, dilation, groups, bias),
        channels,
        height,
        wide,
    )
    if net is not None:
        _, out_height, out_width = net.stages[-1].shape
        assert net.cost.macs == width * out_height * out_width * channels // groups * kernel**2


@settings(max_examples=40)
@given(st.integers(1, 4), SIZES, SIZES, st.integers(1, 5), st.integers(1, 3), st.none() | st.integers(0, 3))
def test_depthwise(
    channels: int, height: int, width: int, kernel: int, stride: int, padding: int | None
) -> None:
    given_ = "" if padding is None else f", padding={padding}"
    actual = kernel // 2 if padding is None else padding
    module = nn.Conv2d(channels, channels, kernel, stride, actual, groups=channels, bias=False)
    net = loaded(f"depthwise({kernel}, {stride}{given_})", channels, height, width)
    agrees(net, module, channels, height, width)


@settings(max_examples=80)
@given(st.booleans(), SIZES, SIZES, st.integers(1, 5), st.none() | st.integers(1, 4), st.integers(0, 3))
def test_pools(largest: bool, height: int, width: int, kernel: int, stride: int | None, padding: int) -> None:
    """They round down; a padding of more than half the kernel is refused, as torch does."""
    kind = "max_pool" if largest else "avg_pool"
    given_ = "" if stride is None else f", stride={stride}"
    module: nn.Module = nn.MaxPool2d(kernel, stride or kernel, padding)
    if not largest:
        module = nn.AvgPool2d(kernel, stride or kernel, padding, count_include_pad=False)
    agrees(loaded(f"{kind}({kernel}{given_}, padding={padding})", 2, height, width), module, 2, height, width)


@settings(max_examples=40)
@given(SIZES, SIZES, st.integers(1, 5))
def test_zero_has_the_shape_of_every_nth_row_and_column(height: int, width: int, stride: int) -> None:
    net = loaded(f"zero({stride})", 2, height, width)
    assert net is not None
    assert net.stages[0].shape == tuple(torch.zeros(2, height, width)[:, ::stride, ::stride].shape)


@settings(max_examples=40)
@given(SIZES, SIZES, st.integers(0, 10))
def test_crop(height: int, width: int, n: int) -> None:
    cropped = tuple(torch.zeros(2, height, width)[:, n:, n:].shape)
    net = loaded(f"crop({n})", 2, height, width)
    assert (None if net is None else net.stages[0].shape) == (None if 0 in cropped else cropped)


@settings(max_examples=40)
@given(st.integers(1, 4), SIZES, SIZES, st.integers(1, 7), st.booleans(), st.booleans())
def test_heads(channels: int, height: int, width: int, features: int, bias: bool, affine: bool) -> None:
    text = f"batch_norm(affine={str(affine).lower()}) | global_avg_pool | flatten | linear({features}, bias={str(bias).lower()})"
    modules = nn.Sequential(
        nn.BatchNorm2d(channels, affine=affine), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, features, bias)
    )  # fmt: skip
    net = loaded(text, channels, height, width)
    agrees(net, modules, channels, height, width)
    assert net is not None and net.cost.macs == channels * features


@settings(max_examples=20)
@given(st.integers(2, 6), SIZES, SIZES, st.sampled_from(["gaussian", "dot"]))
def test_nonlocal_means(channels: int, height: int, width: int, kind: str) -> None:
    """`gaussian` embeds by two bias-free 1 x 1 convolutions to half the channels; `dot` learns nothing."""
    net = loaded(f"nonlocal_mean({kind})", channels, height, width)
    assert net is not None and net.stages[0].shape == (channels, height, width)
    learned = 2 * channels * (channels // 2) if kind == "gaussian" else 0
    assert (net.cost.params, net.cost.macs) == (learned, learned * height * width)


@settings(max_examples=40)
@given(
    st.lists(
        st.sampled_from(
            ["relu", "sigmoid", "identity", "dropout(0.5)", "conv(3)", "conv(1, 5)", "max_pool(2)", "crop(1)"]
        ),
        min_size=1,
        max_size=5,
    )
)
def test_compiled_chains_have_the_shapes_that_were_worked_out(parts: list[str]) -> None:
    from robdsl.compiler import compile

    net = loaded(" | ".join(parts), 3, 9, 8)
    assume(net is not None)
    assert net is not None
    out = compile(net).eval()(torch.zeros(2, 3, 9, 8))
    assert tuple(out.shape) == (2, *net.stages[-1].shape)
