"""The published checkpoints: ``{'state_dict': ...}`` in a ``.pth.tar``."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from robdsl.compiler import compile
from robdsl.graph.load import load, load_space
from robdsl.graph.net import Net
from robdsl.weights import Loaded, MisfitError, load_weights
from robdsl.weights.published import published_keys
from tests.weights.models import frozen_state, randomized, same_state

ALPHA = "10 01 | 11 00 11 | 00 01 10 11 | 01 00 10 11 00"


def nets() -> dict[str, Net]:
    return {
        "cell_based": load_space("cell_based", width=4, layers=3, classes=3).net(ALPHA),
        "cell_free": load_space("cell_free", width=4, layers=3, classes=3).net([ALPHA] * 3),
        "imagenet": load_space("cell_based_imagenet", width=4, layers=3, classes=3, size=64).net(ALPHA),
    }


@pytest.mark.parametrize("name", sorted(nets()))
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("new", [True, False])
def test_a_published_checkpoint_loads(tmp_path: Path, name: str, prefix: str, new: bool) -> None:
    net = nets()[name]
    source, loaded = randomized(compile(net)), compile(net)
    names = published_keys(net)
    state = {prefix + names[key]: value for key, value in source.state_dict().items()}
    content = {"epoch": 170, "state_dict": state}
    torch.save(content, tmp_path / "model.pth.tar", _use_new_zipfile_serialization=new)
    assert load_weights(loaded, tmp_path / "model.pth.tar") == Loaded("published", "", 0)
    assert same_state(source.state_dict(), loaded.state_dict())


def test_what_does_not_fit_is_called_as_the_published_code_calls_it(tmp_path: Path) -> None:
    net = nets()["cell_based"]
    names = published_keys(net)
    state = {names[key]: value for key, value in compile(net).state_dict().items()}
    del state["cells.0.preprocess0.op.1.weight"]
    state["classifier.bias"] = torch.zeros(100)
    torch.save({"state_dict": state}, tmp_path / "w")
    model = compile(net)
    before = frozen_state(model)
    with pytest.raises(MisfitError) as raised:
        load_weights(model, tmp_path / "w")
    assert str(raised.value).splitlines()[1:] == [
        "  missing in the file (1): cells.0.preprocess0.op.1.weight",
        "  of another shape (1): classifier.bias is 100 in the file and 3 in the model",
    ]
    assert same_state(before, model.state_dict())


def test_a_cell_of_ones_own_by_the_same_name_goes_by_its_own_names(tmp_path: Path) -> None:
    text = """
    cell robnet_cell(width) {
        in p, q
        p -> a : conv(1, width) | batch_norm
        q -> a : conv(1, width)
        a -> out : relu
    }
    net own {
        input 3 x 8 x 8
        conv(3, 4) | batch_norm
        robnet_cell(4)
        global_avg_pool | flatten | linear(3)
    }
    """
    source, loaded = randomized(compile(load(text))), compile(load(text))
    torch.save(source.state_dict(), tmp_path / "w")
    assert load_weights(loaded, tmp_path / "w").naming == "robdsl"
    assert same_state(source.state_dict(), loaded.state_dict())
