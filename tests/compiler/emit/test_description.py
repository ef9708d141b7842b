"""The JSON of a net: whole enough that another program can run the net from it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import robdsl
from robdsl.compiler.emit import emit_json
from robdsl.compiler.names import module_path
from robdsl.graph.net import Net
from robdsl.graph.operations import CellOperation

CODE = "11 10 | 01 11 10 | 00 11 01 10 | 00 01 00 10 11"
#: Nothing flows out of x0, nothing into n1.
SPARSE = "00 11 | 00 00 00 | 00 01 10 01 | 00 10 00 00 01"


def robnet(code: str) -> Net:
    return robdsl.load_space("cell_based", width=2, layers=3, classes=3).net([code])


def described(net: Net) -> dict[str, Any]:
    found = json.loads(emit_json(net))
    assert isinstance(found, dict)
    return found


def run(description: dict[str, Any], state: dict[str, Tensor], x: Tensor) -> Tensor:
    """Runs a net from its description alone, in eval mode."""
    values: dict[str, Tensor] = {}
    for node in description["graph"]["nodes"]:
        if node["kind"] == "input":
            values[node["name"]] = x
            continue
        entering = [values[name] for name in node["inputs"]]
        values[node["name"]] = result = compute(node, entering, state)
        assert list(result.shape[1:]) == node["shape"]
    return values[description["graph"]["output"]]


def compute(node: dict[str, Any], entering: list[Tensor], state: dict[str, Tensor]) -> Tensor:
    """One value."""
    x, args = entering[0], node["args"]

    def learned(name: str) -> Tensor | None:
        return state.get(f"{module_path(node['name'])}.{name}")

    match node["op"]:
        case "sum":
            return torch.stack(entering).sum(0)
        case "concat":
            return torch.cat(entering, 1)
        case "zeros":
            return torch.zeros(len(x), *node["shape"], dtype=x.dtype)
        case "conv":
            weight = learned("weight")
            assert weight is not None
            sizes = (args["stride"], args["padding"], args["dilation"], args["groups"])
            return F.conv2d(x, weight, learned("bias"), *sizes)
        case "depthwise":
            weight = learned("weight")
            assert weight is not None
            return F.conv2d(x, weight, None, args["stride"], args["padding"], groups=x.shape[1])
        case "batch_norm":
            statistics = learned("running_mean"), learned("running_var")
            return F.batch_norm(x, *statistics, learned("weight"), learned("bias"), eps=1e-5)
        case "relu":
            return F.relu(x)
        case "crop":
            return x[:, :, args["n"] :, args["n"] :]
        case "global_avg_pool":
            return x.mean((2, 3), keepdim=True)
        case "flatten":
            return x.flatten(1)
        case "linear":
            weight = learned("weight")
            assert weight is not None
            return F.linear(x, weight, learned("bias"))
    raise AssertionError(node["op"])


@pytest.mark.parametrize("code", [CODE, SPARSE])
def test_the_net_can_be_run_from_it(code: str) -> None:
    net = robnet(code)
    model = robdsl.compile(net, seed=0).double().eval()
    x = torch.rand(2, *net.image, dtype=torch.float64)
    torch.testing.assert_close(run(described(net), model.state_dict(), x), model(x))


def test_sizes_add_up() -> None:
    net = robnet(SPARSE)
    found = described(net)
    assert found["schema"] == "robdsl.net/1"
    assert (found["params"], found["macs"], found["depth"]) == (
        net.cost.params,
        net.cost.macs,
        net.cost.depth,
    )
    for size in ("params", "macs"):
        everything = [*found["graph"]["nodes"], *found["idle"]]
        assert (
            sum(node[size] for node in everything)
            == sum(stage[size] for stage in found["stages"])
            == found[size]
        )
    assert sum(p.numel() for p in robdsl.compile(net).parameters()) == found["params"]


def test_what_leads_nowhere_is_idle() -> None:
    assert not described(robnet(CODE))["idle"]
    assert {each["name"].split(".")[1] for each in described(robnet(SPARSE))["idle"]} == {"p_to_x0"}


def test_choices_cells_and_edges() -> None:
    net = robnet(CODE)
    found = described(net)
    (pick,) = found["picks"]
    assert (pick["name"], pick["cell"], pick["alpha"]) == ("c", "robnet_cell", CODE)
    assert [edge["chosen"] for edge in pick["edges"][:3]] == [[0, 1], [0], [1]]
    cells = [stage for stage in found["stages"] if stage["cell"] is not None]
    assert [stage["name"] for stage in cells] == ["robnet_cell_1", "robnet_cell_2", "robnet_cell_3"]
    for stage, described_stage in zip(net.stages, found["stages"], strict=True):
        if isinstance(stage.operation, CellOperation):
            cell = found["cells"][described_stage["cell"]]
            assert [node["name"] for node in cell["nodes"]] == list(stage.operation.cell.nodes)
            taken = {
                (edge["place"], operation["label"])
                for edge in cell["edges"]
                if edge["place"] is not None
                for operation in edge["operations"]
            }
            chosen = {
                (place, edge.names[index])
                for place, (edge, indices) in enumerate(
                    zip(stage.operation.cell.opens, stage.operation.choice, strict=True)
                )
                for index in indices
            }
            assert taken == chosen


def test_a_supernet_has_no_code() -> None:
    found = described(robdsl.load_space("nas_bench_201", width=2, cells=1).supernet())
    assert found["picks"][0]["alpha"] is None
    assert found["picks"][0]["edges"][0]["chosen"] == [0, 1, 2, 3, 4]


def test_facts_parameters_and_the_hash() -> None:
    net = robdsl.load(
        'net n(classes=2) {\ninput 1 x 2 x 2\nflatten | linear(classes)\nmeta a = "\\"\\\\é\u2028"\nmeta b = -0.5\n}',
        classes=3,
    )
    found = described(net)
    assert found["meta"] == {"a": '"\\é\u2028', "b": -0.5}
    assert found["parameters"] == {"classes": 3}
    assert found["hash"] == net.hash and found["output"] == [3] and found["input"] == [1, 2, 2]
    assert emit_json(net).isascii()


@pytest.mark.parametrize("name", ["robnet_free", "resnet18", "densenet121_imagenet"])
def test_the_same_text_for_the_same_net(name: str) -> None:
    assert emit_json(robdsl.load(name)) == emit_json(robdsl.load(name))
