"""Models become text that a person would write, and compute what they did."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision import models

import robdsl
from robdsl.diagnostics.source import Source
from robdsl.lift import LiftError, lift
from robdsl.lift.errors import NotInLanguage
from robdsl.syntax.formatter import format_source
from tests.lift.models import Branching, Lacking, Odds, Vanishing, randomized

SMALL = {
    "resnet": lambda: models.ResNet(models.resnet.BasicBlock, [2, 2, 1, 1], num_classes=7),
    "resnext": lambda: models.ResNet(
        models.resnet.Bottleneck, [1, 2, 1, 1], groups=4, width_per_group=4, num_classes=7
    ),
    "densenet": lambda: models.DenseNet(
        growth_rate=4, block_config=(2, 3), num_init_features=8, bn_size=2, num_classes=7
    ),
}


@pytest.mark.parametrize("name", SMALL)
def test_small_models_of_torchvisions_kinds(name: str) -> None:
    model = randomized(SMALL[name]())
    lifted = lift(model, (3, 64, 64), name=name)
    assert lifted.net.name == name
    assert lifted.net.cost.params == sum(each.numel() for each in model.parameters())
    compiled = robdsl.compile(lifted.net).double().eval()
    compiled.load_state_dict(lifted.weights)
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        expected = model(images)
        assert (compiled(images) - expected).abs().max() <= 1e-9 * expected.abs().max()


def test_a_resnet_reads_as_one() -> None:
    text = lift(SMALL["resnet"](), (3, 64, 64), name="small", about="tests").text
    assert (
        text
        == """\
# Lifted from tests.

cell basic_block {
    in x
    x -> a   : conv(3) | batch_norm | relu | conv(3) | batch_norm
    x -> a
    a -> out : relu
}

cell basic_block_down(width) {
    in x
    x -> a   : conv(3, width, stride=2) | batch_norm | relu | conv(3) | batch_norm
    x -> a   : conv(1, width, stride=2) | batch_norm
    a -> out : relu
}

net small(classes=7) {
    input 3 x 64 x 64
    conv(7, 64, stride=2) | batch_norm | relu | max_pool(3, stride=2, padding=1)
    repeat 2 { basic_block }
    basic_block_down(128)
    basic_block
    basic_block_down(256)
    basic_block_down(512)
    global_avg_pool | flatten | linear(classes)
}
"""
    )


def test_a_densenet_reads_as_one() -> None:
    text = lift(SMALL["densenet"](), (3, 64, 64), name="small", about="tests").text
    assert (
        "cell dense_layer {\n    in x\n    x -> a : batch_norm | relu | conv(1, 8) | batch_norm | relu | conv(3, 4)\n"
        in text
    )
    assert "    out = concat(x, a)\n}" in text
    assert "repeat 2 { dense_layer }" in text
    assert "repeat 3 { dense_layer }" in text


def test_a_run_that_comes_again_is_an_op() -> None:
    layers: list[nn.Module] = []
    for before, after in ((3, 4), (4, 4), (4, 8), (8, 8)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    text = lift(nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 64, 2)), (3, 8, 8)).text
    assert "op conv_norm_relu(width) = conv(3, width, bias=true) | batch_norm | relu\n" in text
    assert (
        "    repeat 2 { conv_norm_relu(4) }\n    repeat 2 { conv_norm_relu(8) }\n    flatten | linear(classes)\n"
        in text
    )


def test_what_people_write_in_functions() -> None:
    model = randomized(Odds())
    lifted = lift(model, (3, 16, 16), name="odds")
    assert "depthwise(5)" in lifted.text
    assert "batch_norm(affine=false)" in lifted.text
    assert "mul(" in lifted.text
    assert "padding=2, dilation=2, bias=true" in lifted.text
    assert lifted.difference <= 1e-12
    assert lifted.notes == (
        "the model's batch norms have another eps than the language's 1e-5: the difference is in the running "
        "variances, so the nets are the same in eval mode (but for rounding that sum) and slightly different in training",
    )
    assert format_source(Source("odds", lifted.text)) == lifted.text


def test_what_is_computed_in_vain_is_left_out() -> None:
    lifted = lift(Vanishing(), (3, 2, 2))
    assert (
        set(lifted.weights) == {"stage_0.linear_1.weight", "stage_0.linear_1.bias"}
        or len(lifted.weights) == 2
    )
    assert lifted.net.cost.params == 12 * 3 + 3


def test_all_that_the_language_lacks_is_said_at_once() -> None:
    with pytest.raises(NotInLanguage) as caught:
        lift(Lacking(), (3, 8, 8))
    assert str(caught.value).splitlines()[1:] == [
        "  a tensor of the model's own, outside of a layer: 1x, first at scale",
        "  a mul of unequal shapes: 1x, first at mul",
        "  ReLU6: 2x, first at body.0",
        "  a convolution that is not square: 1x, first at body.1",
        "  softmax: 1x, first at softmax",
    ]


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (Branching(), "torch.fx cannot trace the model"),
        (nn.Conv2d(4, 4, 1), "torch.fx cannot trace the model"),
        (nn.Identity(), "does nothing"),
    ],
)
def test_models_that_cannot_be_lifted(model: nn.Module, why: str) -> None:
    with pytest.raises(LiftError, match=why):
        lift(model, (3, 8, 8))


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        (nn.MaxPool2d(3, 2, ceil_mode=True), "a max_pool that rounds up (ceil_mode)"),
        (nn.MaxPool2d(3, 1, dilation=2), "a max_pool with dilation"),
        (nn.AvgPool2d(3, 1, padding=1), "an avg_pool that counts its padding"),
        (nn.AvgPool2d(2, divisor_override=3), "an avg_pool with a divisor of its own"),
        (nn.AdaptiveAvgPool2d(3), "an adaptive pool to 3 x 3"),
        (nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), "a convolution padded with reflect"),
        (nn.BatchNorm2d(3, track_running_stats=False), "BatchNorm2d"),
    ],
)
def test_words_that_are_missing(layer: nn.Module, what: str) -> None:
    with pytest.raises(NotInLanguage) as caught:
        lift(nn.Sequential(layer, nn.Flatten()), (3, 8, 8))
    assert f"  {what}: 1x, first at 0" in str(caught.value).splitlines()


def test_the_model_is_left_as_it_was() -> None:
    model = Odds().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    lifted = lift(model, (3, 16, 16))
    assert model.training
    assert {each.dtype for each in lifted.weights.values()} == {torch.float32, torch.int64}
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


#: torchvision's models that lift, with the size of their images; squeezenet1_0 and googlenet have pools that round up,
#: and lift for sizes at which rounding makes no difference.
CLAIMED = {
    "resnet18": 224, "resnet34": 224, "resnet50": 224, "resnet101": 64, "resnet152": 64, "wide_resnet50_2": 64,
    "resnext50_32x4d": 224, "resnext101_32x8d": 64, "vgg11": 224, "vgg16": 224, "vgg16_bn": 224, "alexnet": 224,
    "squeezenet1_0": 227, "squeezenet1_1": 224, "densenet121": 224, "densenet161": 64, "googlenet": 109,
    "mnasnet1_0": 224, "regnet_y_400mf": 64,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMED)
def test_torchvisions_models(name: str) -> None:
    more = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    torch.manual_seed(0)
    model = getattr(models, name)(weights=None, **more).eval()
    lifted = lift(model, (3, CLAIMED[name], CLAIMED[name]), name=name)
    assert lifted.difference <= 1e-9
    assert lifted.net.cost.params == sum(each.numel() for each in model.parameters())
    assert len(lifted.text.splitlines()) < 60
