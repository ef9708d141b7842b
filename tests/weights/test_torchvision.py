"""torchvision's ImageNet nets: the same function with the same weights."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from robdsl.compiler import compile
from robdsl.graph.load import load
from robdsl.weights import Loaded, MisfitError, load_weights
from tests.weights.models import randomized

NETS = ["resnet18", "resnet50", "densenet121"]
SIZE = 64

RESNET34 = """
use resnet

net resnet34_imagenet(classes=10) {
    input 3 x 64 x 64
    conv(7, 64, stride=2) | batch_norm | relu | max_pool(3, stride=2, padding=1)
    repeat 3 { basic(64) }
    basic(128, stride=2)
    repeat 3 { basic(128) }
    basic(256, stride=2)
    repeat 5 { basic(256) }
    basic(512, stride=2)
    repeat 2 { basic(512) }
    global_avg_pool | flatten | linear(classes)
}
"""


def theirs(name: str) -> nn.Module:
    """torchvision's net of 10 classes, its norms and their statistics moved away from where they start."""
    torch.manual_seed(0)
    model: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=10)
    for key, tensor in model.state_dict().items():
        if key.endswith("num_batches_tracked"):
            tensor.fill_(3)
        elif tensor.dim() == 1:
            tensor.add_(0.2 * torch.rand(tensor.shape))
    return model


def agree(ours: Tensor, reference: Tensor) -> bool:
    """Whether all numbers agree to 1e-9 of the largest."""
    return bool((ours - reference).abs().max() <= 1e-9 * reference.abs().max())


@pytest.mark.parametrize("name", NETS)
def test_the_net_equals_torchvisions_with_its_weights(tmp_path: Path, name: str) -> None:
    reference = theirs(name)
    torch.save(reference.state_dict(), tmp_path / f"{name}.pth")
    ours = compile(load(f"{name}_imagenet", classes=10, size=SIZE))
    assert load_weights(ours, tmp_path / f"{name}.pth") == Loaded("torchvision", "", 0)
    reference.double(), ours.double()
    images = torch.rand(2, 3, SIZE, SIZE, dtype=torch.float64, requires_grad=True)
    for mode in (False, True):
        results = []
        for model in (ours.train(mode), reference.train(mode)):
            logits = model(images)
            (gradient,) = torch.autograd.grad(logits.square().sum(), images)
            results.append((logits, gradient))
        assert all(map(agree, *results)), f"train={mode}"


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
def test_files_older_than_counters(tmp_path: Path, name: str) -> None:
    """The first files have no ``num_batches_tracked``, and those of DenseNet say ``norm.1`` for ``norm1``."""
    state = theirs(name).state_dict()
    torch.save(state, tmp_path / "new")
    early = {key: value for key, value in state.items() if not key.endswith("tracked")}
    if name == "densenet121":
        early = {
            re.sub(r"(denselayer\d+)\.(norm|conv)(\d)", r"\1.\2.\3", key): value
            for key, value in early.items()
        }
        assert "features.denseblock1.denselayer1.norm.1.weight" in early
    torch.save(early, tmp_path / "early", _use_new_zipfile_serialization=False)
    net = load(f"{name}_imagenet", classes=10, size=SIZE)
    new, old = compile(net), randomized(compile(net))
    load_weights(new, tmp_path / "new")
    load_weights(old, tmp_path / "early")
    for key, value in old.state_dict().items():
        assert torch.equal(value, torch.tensor(0) if key.endswith("tracked") else new.state_dict()[key])


def test_the_map_follows_the_structure(tmp_path: Path) -> None:
    reference = theirs("resnet34").eval()
    save_file(reference.state_dict(), tmp_path / "w")
    ours = compile(load(RESNET34))
    assert load_weights(ours, tmp_path / "w").naming == "torchvision"
    images = torch.rand(1, 3, SIZE, SIZE)
    torch.testing.assert_close(ours.eval()(images), reference(images))


def test_what_does_not_fit_is_called_as_torchvision_calls_it(tmp_path: Path) -> None:
    state = theirs("resnet18").state_dict()
    del state["layer2.0.downsample.0.weight"]
    state["layer5.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "w")
    with pytest.raises(MisfitError) as raised:
        load_weights(compile(load("resnet18_imagenet", size=SIZE)), tmp_path / "w")
    assert str(raised.value).splitlines()[1:] == [
        "  missing in the file (1): layer2.0.downsample.0.weight",
        "  not in the model (1): layer5.weight",
        "  of another shape (2): fc.weight is 10 x 512 in the file and 1000 x 512 in the model, "
        "fc.bias is 10 in the file and 1000 in the model",
    ]


def test_nets_for_small_images_have_no_torchvision_names(tmp_path: Path) -> None:
    """Their stems differ, so their weights are not torchvision's even where the shapes agree."""
    torch.save(theirs("resnet18").state_dict(), tmp_path / "w")
    with pytest.raises(MisfitError):
        load_weights(compile(load("resnet18")), tmp_path / "w")
