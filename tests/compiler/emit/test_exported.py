"""torch.export archives and ONNX models compute what the model computes, for batches of any size."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import fx

import robdsl
from robdsl.compiler.emit import EmitError, MissingExtra, emit, exported
from robdsl.compiler.emit.exported import IMAGE, LOGITS, TEXT
from robdsl.graph.net import Net

#: A sum, a join, a pool, a crop, a node that nothing flows into, and what leads nowhere.
NET = """
op norm = batch_norm(affine=false)
cell c(width) {
    in p, q
    p -> a : conv(3, width) | norm
    q -> a : crop(1) | conv(2, width, padding=1)
    a -> b : any { relu, conv(3) }
    a -> d : any { conv(3) }
    a -> e : any { identity, max_pool(3, 1, padding=1) }
    out = concat(a, b, e)
}
space s(classes=3) {
    input 2 x 8 x 8
    pick k : c
    conv(3, 4) | batch_norm | relu
    k(3)
    k(4)
    global_avg_pool | flatten | linear(classes)
}
net n in s { pick k = 00 | 1 | 11 }
"""


@pytest.fixture(scope="module")
def net() -> Net:
    return robdsl.load(NET)


@pytest.fixture(scope="module")
def model(net: Net) -> fx.GraphModule:
    """A model whose batch norms have seen something, in train mode."""
    model = robdsl.compile(net, seed=0)
    for _ in range(3):
        model(torch.rand(4, *net.image, generator=torch.Generator().manual_seed(1)))
    return model


def images(net: Net, batch: int) -> torch.Tensor:
    return torch.rand(batch, *net.image, generator=torch.Generator().manual_seed(batch))


def test_an_archive(net: Net, model: fx.GraphModule, tmp_path: Path) -> None:
    path = tmp_path / "n.pt2"
    before = {key: value.clone() for key, value in model.state_dict().items()}
    emit(net, "pt2", path, model)
    assert model.training
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
    files = {TEXT: ""}
    loaded = torch.export.load(path, extra_files=files).module()
    assert robdsl.load(files[TEXT]).hash == net.hash
    expected = robdsl.compile(net).eval()
    expected.load_state_dict(model.state_dict())
    for batch in (1, 2, 5):
        torch.testing.assert_close(loaded(images(net, batch)), expected(images(net, batch)))


def test_an_archive_keeps_the_type_of_its_weights(net: Net, tmp_path: Path) -> None:
    model = robdsl.compile(net, seed=1).double().eval()
    emit(net, "pt2", tmp_path / "n.pt2", model)
    x = images(net, 3).double()
    torch.testing.assert_close(torch.export.load(tmp_path / "n.pt2").module()(x), model(x), rtol=0, atol=0)


def test_an_onnx_model(net: Net, model: fx.GraphModule, tmp_path: Path) -> None:
    path = tmp_path / "n.onnx"
    emit(net, "onnx", path, model)
    assert [each.name for each in tmp_path.iterdir()] == ["n.onnx"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == [IMAGE]
    assert [each.name for each in session.get_outputs()] == [LOGITS]
    assert robdsl.load(session.get_modelmeta().custom_metadata_map[TEXT]).hash == net.hash
    expected = robdsl.compile(net).eval()
    expected.load_state_dict(model.state_dict())
    for batch in (1, 2, 5):
        x = images(net, batch)
        (logits,) = session.run([LOGITS], {IMAGE: x.numpy()})
        np.testing.assert_allclose(logits, expected(x).detach().numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_without_the_extra(net: Net, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "robdsl.compiler.emit.exported.find_spec", lambda name: None if name == package else find_spec(name)
    )
    with pytest.raises(MissingExtra, match=rf'needs `{package}`.*pip install "robdsl\[onnx\]"') as raised:
        emit(net, "onnx", tmp_path / "n.onnx")
    assert (raised.value.extra, raised.value.missing) == ("onnx", package)
    assert not list(tmp_path.iterdir())


def test_a_model_too_large_for_one_file(net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported, "_LARGEST_ONNX", 10)
    with pytest.raises(EmitError, match="larger than 2 GiB"):
        emit(net, "onnx", tmp_path / "n.onnx")
    assert not list(tmp_path.iterdir())
