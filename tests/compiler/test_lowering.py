"""What lowering makes: names, code, spans, and each primitive."""

from __future__ import annotations

import copy
import keyword
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, fx, nn
from torch.nn import functional as F

import robdsl
from robdsl.compiler.names import MODULE_ATTRIBUTES, module_name

CHAIN = """
net chain(classes=3) {
    input 2 x 8 x 8
    conv(3, 4) | batch_norm | relu
    stem: max_pool(2)
    global_avg_pool | flatten | linear(classes)
}
"""

DIAMOND = """
cell diamond(width) {
    in p, q
    p -> a : conv(1, width)
    q -> a : conv(1, width)
    q -> a : conv(3, width)
    a -> b : relu
    c = concat(b, a, q)
    d = mul(a, b)
    e = sum(d, a, b)
    c -> out : conv(1, width)
    e -> out
}
net diamonds {
    input 2 x 8 x 8
    conv(3, 4)
    diamond(6)
    repeat 3 { last: diamond(6) }
    global_avg_pool | flatten | linear(5)
}
"""


def graph(model: nn.Module, name: str) -> fx.GraphModule:
    """The stage of a name."""
    found = model.get_submodule(name)
    assert isinstance(found, fx.GraphModule)
    return found


def stage(program: str, image: str = "2 x 8 x 8") -> nn.Module:
    """The module of a net of one stage."""
    net = robdsl.load(f"net n {{ input {image}\n only: {program}\n}}")
    return robdsl.compile(net, seed=1).get_submodule("only")


def lines(module: fx.GraphModule) -> list[str]:
    """The statements of generated code, without what frees values and without comments."""
    body = module.code.partition("def forward(")[2].strip().splitlines()[1:]
    return [line.partition(";")[0].partition("  #")[0].strip() for line in body]


def test_a_chain_is_a_submodule_and_a_primitive_is_its_own() -> None:
    model = robdsl.compile(robdsl.load(CHAIN), passes=())
    assert lines(model) == [
        "stage_0 = self.stage_0(image)",
        "stem = self.stem(stage_0)",
        "stage_2 = self.stage_2(stem)",
        "return stage_2",
    ]
    assert lines(graph(model, "stage_0")) == [
        "conv_0 = self.conv_0(input_1)",
        "batch_norm_1 = self.batch_norm_1(conv_0)",
        "relu_2 = self.relu_2(batch_norm_1)",
        "return relu_2",
    ]
    assert isinstance(model.stem, nn.MaxPool2d)
    assert [key for key in model.state_dict() if "num_batches" not in key] == [
        "stage_0.conv_0.weight",
        *(f"stage_0.batch_norm_1.{each}" for each in ("weight", "bias", "running_mean", "running_var")),
        "stage_2.linear_2.weight",
        "stage_2.linear_2.bias",
    ]


def test_a_cell_reads_like_its_text() -> None:
    model = robdsl.compile(robdsl.load(DIAMOND), passes=())
    assert lines(graph(model, "diamond_1")) == [
        "p_to_a = self.p_to_a(p)",
        "q_to_a = self.q_to_a(q)",
        "q_to_a_2 = self.q_to_a_2(q)",
        "a_of_2 = p_to_a + q_to_a",
        "a = a_of_2 + q_to_a_2",
        "b = self.a_to_b(a)",
        "c = torch.cat([b, a, q], 1)",
        "d = a * b",
        "e_of_2 = d + a",
        "e = e_of_2 + b",
        "c_to_out = self.c_to_out(c)",
        "out = c_to_out + e",
        "return out",
    ]
    about = "# diamond(width=6): 4 x 8 x 8, 4 x 8 x 8 -> 6 x 8 x 8"
    assert graph(model, "diamond_1").code.strip().startswith(about)
    assert "(diamond_1): diamond(" in str(model)
    assert str(model).startswith("diamonds(")
    assert "last.0.p_to_a.weight" in model.state_dict()


def test_seeds() -> None:
    net = robdsl.load(CHAIN)
    before = torch.random.get_rng_state()
    first, second = (robdsl.compile(net, seed=7).state_dict() for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(tensor, second[key]) for key, tensor in first.items())
    torch.manual_seed(7)
    by_hand = nn.Conv2d(2, 4, 3, padding=1, bias=False)
    assert torch.equal(first["stage_0.conv_0.weight"], by_hand.weight)
    torch.manual_seed(7)
    global_draws = robdsl.compile(net).state_dict()
    assert all(torch.equal(tensor, global_draws[key]) for key, tensor in first.items())
    other = robdsl.compile(net, seed=8).state_dict()
    assert not torch.equal(first["stage_0.conv_0.weight"], other["stage_0.conv_0.weight"])


def test_every_node_knows_its_text() -> None:
    model = robdsl.compile(robdsl.load("robnet_large"))
    for module in (model, graph(model, "robnet_cell_1"), graph(model, "stage_0")):
        computed = [node for node in module.graph.nodes if node.op.startswith("call")]
        assert computed
        for node in computed:
            path, line, column = node.meta["rob_span"].rsplit(":", 2)
            assert path.endswith(".rob") and int(line) > 0 and int(column) > 0
            assert node.meta["stack_trace"].startswith(f'  File "{path}", line {line}')
    cell = graph(model, "robnet_cell_1")
    depthwise = next(node for node in cell.graph.nodes if "depthwise_1" in node.name)
    path, line, _ = depthwise.meta["rob_span"].rsplit(":", 2)
    assert "relu | depthwise(3, stride) | conv(1)" in Path(path).read_text().splitlines()[int(line) - 1]


def test_a_failure_names_its_text() -> None:
    model = robdsl.compile(robdsl.load("robnet_large"))
    with pytest.raises(RuntimeError, match="expected input") as caught:
        model(torch.rand(1, 4, 32, 32))
    inner, outer = caught.value.__notes__
    assert inner.startswith("in stage, at ") and "cell_based.rob:8:5" in inner
    assert outer.startswith("in robnet_large, at ") and "cell_based.rob:8:5" in outer
    with pytest.raises(RuntimeError) as caught:
        graph(model, "robnet_cell_1")(torch.rand(1, 108, 8, 8), torch.rand(1, 9, 8, 8))
    shown = "".join(traceback.format_exception(caught.value))
    assert "q_to_x1_conv_1 = self.q_to_x1.conv_1(q_to_x1_relu_0)" in shown  # the line of generated code
    assert "in robnet_cell, at " in shown and "robnet.rob:" in shown
    sum_of_sizes = graph(robdsl.compile(robdsl.load(DIAMOND)), "diamond_1")
    with pytest.raises(RuntimeError) as caught:
        sum_of_sizes(torch.rand(1, 4, 8, 8), torch.rand(1, 4, 7, 7))
    assert caught.value.__notes__ == ["in diamond, at <text>:4:10"]


# --- sharing


def cells_of(model: nn.Module) -> list[fx.GraphModule]:
    return [
        each for name, each in model.named_children() if isinstance(each, fx.GraphModule) and "cell" in name
    ]


def test_cells_share_code_and_never_weights() -> None:
    model = robdsl.compile(robdsl.load("robnet_large", width=4))
    cells = cells_of(model)
    codes = {type(each).forward.__code__ for each in cells}
    assert len(cells) == 20 and len(codes) < 5  # plain and reducing, after either
    same = cells[2:6]
    assert len({type(each) for each in same}) == 1
    weights = [tensor.data_ptr() for each in same for tensor in each.state_dict(keep_vars=True).values()]
    assert len(set(weights)) == len(weights)
    assert len({id(each.graph) for each in same}) == 4


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_the_same_and_apart(copied: Callable[[nn.Module], nn.Module]) -> None:
    model = robdsl.compile(robdsl.load(DIAMOND)).eval()
    other = copied(model)
    assert [type(each) for each in model.children()] == [type(each) for each in other.children()]
    assert isinstance(other, fx.GraphModule) and other.code == model.code and not other.training
    spans = [node.meta.get("rob_span") for node in model.graph.nodes]
    assert [node.meta.get("rob_span") for node in other.graph.nodes] == spans
    assert other.graph.owning_module is other and list(other.meta) == list(model.meta)
    x = torch.rand(2, 2, 8, 8)
    expected = model(x)
    torch.testing.assert_close(other(x), expected, rtol=0, atol=0)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    torch.testing.assert_close(model(x), expected, rtol=0, atol=0)
    # A change to one does not reach its equals.
    changed = graph(other, "diamond_1")
    out = next(node for node in changed.graph.nodes if node.name == "out")
    out.target = torch.sub
    changed.recompile()
    assert "torch.sub" in changed.code
    torch.testing.assert_close(model(x), expected, rtol=0, atol=0)
    assert type(changed) is not type(graph(model, "diamond_1"))


def test_a_deep_copy_shares_the_net() -> None:
    model = robdsl.compile(robdsl.load(DIAMOND))
    assert copy.deepcopy(model).meta["rob_net"] is model.meta["rob_net"]


def test_a_change_of_the_graph_keeps_names_and_spans() -> None:
    model = robdsl.compile(robdsl.load(CHAIN)).eval()
    inner = graph(model, "stage_0")
    x = torch.rand(1, 2, 8, 8)
    relu = next(node for node in inner.graph.nodes if node.name == "relu_2")
    relu.replace_all_uses_with(relu.args[0])
    inner.graph.erase_node(relu)
    inner.recompile()
    assert lines(inner)[-1] == "return batch_norm_1"
    conv, norm = inner.get_submodule("conv_0"), inner.get_submodule("batch_norm_1")
    torch.testing.assert_close(inner(x), norm(conv(x)))
    assert str(inner).startswith("stage(")
    assert "# <text>:4:" in inner.code


# --- names


@given(
    st.lists(st.sampled_from(["train", "requires_grad", "__init__", "x", "_", "class", "self"])), st.data()
)
def test_different_names_stay_different(names: list[str], data: st.DataObject) -> None:
    given_names = {name + "_" * data.draw(st.integers(0, 4)) for name in names}
    made = {module_name(name) for name in given_names}
    assert len(made) == len(given_names)


def test_no_name_is_one_that_modules_have() -> None:
    module = fx.GraphModule(nn.Module(), fx.Graph())
    for name in (*dir(module), *keyword.kwlist, "class_", "requires_grad", "x"):
        made = module_name(name)
        module.add_module(made, nn.ReLU())  # which refuses what a module has
        assert made.isidentifier() and not keyword.iskeyword(made)


def test_every_attribute_of_a_module_is_led_out_of() -> None:
    attributes = {
        *dir(type(robdsl.compile(robdsl.load(CHAIN)))),
        *vars(fx.GraphModule(nn.Module(), fx.Graph())),
    }
    assert {name for name in attributes if not name.startswith("_")} <= MODULE_ATTRIBUTES
    assert not {module_name(name) for name in attributes} & attributes


def test_names_that_modules_and_python_keep() -> None:
    program = """
    op train = conv(1) | batch_norm
    cell forward(width) {
        in self, lambda
        self -> class : train
        lambda -> class : train | relu
        class -> print : conv(1, width)
        print -> torch : conv(1, width)
        torch -> import : conv(1, width)
        print, torch, import -> out
    }
    net half {
        input 2 x 8 x 8
        train: conv(1, 4)
        train_: train
        graph: forward(3)
        parameters: conv(1, 3)
        forward: forward(3)
        repeat 2 { code: train }
        global_avg_pool | flatten | linear(2)
    }
    """
    net = robdsl.load(program)
    model = robdsl.compile(net)
    keys = {key.rpartition(".")[0] for key in model.state_dict()}
    assert {"train_", "train__.conv_0", "parameters_", "graph_.print_to_torch", "code_.1.conv_0"} <= keys
    assert {"graph_.self_to_class.conv_0", "forward_.lambda_to_class.train_0.conv_0"} <= keys
    assert model(torch.rand(2, 2, 8, 8)).shape == (2, 2)
    assert sum(each.numel() for each in model.parameters()) == net.cost.params
    assert set(copy.deepcopy(model).state_dict()) == set(model.state_dict())


# --- primitives

X = torch.rand(2, 4, 6, 6)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("max_pool(3, stride=2, padding=1)", lambda x, _: F.max_pool2d(x, 3, 2, 1)),
        ("max_pool(2)", lambda x, _: F.max_pool2d(x, 2, 2)),
        ("avg_pool(3, stride=1, padding=1)", lambda x, _: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)),
        ("avg_pool(5)", lambda x, _: x[:, :, :5, :5].mean((2, 3), keepdim=True)),
        ("global_avg_pool", lambda x, _: x.mean((2, 3), keepdim=True)),
        ("flatten", lambda x, _: x.flatten(1)),
        ("crop(2)", lambda x, _: x[:, :, 2:, 2:]),
        ("sigmoid", lambda x, _: x.sigmoid()),
        ("zero", lambda x, _: torch.zeros_like(x)),
        ("zero(4)", lambda x, _: x.new_zeros(2, 4, 2, 2)),
        ("relu + zero", lambda x, _: x.relu()),
        ("conv(3, 2, bias=true)", lambda x, m: F.conv2d(x, m.weight, m.bias, padding=1)),
        ("conv(3, 6, stride=2, padding=2, groups=2, dilation=2)",
         lambda x, m: F.conv2d(x, m.weight, None, 2, 2, 2, 2)),
        ("depthwise(3, 2)", lambda x, m: F.conv2d(x, m.weight, None, 2, 1, 1, 4)),
        ("nonlocal_mean(dot)", lambda x, _: nonlocal_mean(x, x, x, lambda pairs: pairs / 36)),
        ("nonlocal_mean(gaussian)",
         lambda x, m: nonlocal_mean(m.theta(x), m.phi(x), x, lambda pairs: (pairs / 2**0.5).softmax(2))),
    ],
)  # fmt: skip
def test_primitives(program: str, expected: Callable[[Tensor, nn.Module], Tensor]) -> None:
    module = stage(program, "4 x 6 x 6").double()
    x = X.double()
    torch.testing.assert_close(module(x), expected(x, module), rtol=1e-12, atol=1e-12)


def nonlocal_mean(query: Tensor, key: Tensor, value: Tensor, weights: Callable[[Tensor], Tensor]) -> Tensor:
    """As in the paper: for each position the weighted mean of the values at all positions."""
    pairs = torch.einsum("nchw,ncij->nhwij", query, key)
    n, height, width = pairs.shape[:3]
    weighted = weights(pairs.reshape(n, height * width, height * width))
    return torch.einsum("npq,ncq->ncp", weighted, value.flatten(2)).reshape(value.shape)


def test_nonlocal_mean_of_many_channels() -> None:
    x = torch.rand(2, 50, 3, 4, dtype=torch.float64)
    module = stage("nonlocal_mean(dot)", "50 x 3 x 4")
    torch.testing.assert_close(module(x), nonlocal_mean(x, x, x, lambda pairs: pairs / 12))


def test_batch_norms() -> None:
    norm = stage("batch_norm(weight=0)")
    assert isinstance(norm, nn.BatchNorm2d) and norm.eps == 1e-5 and norm.momentum == 0.1
    assert norm.weight.eq(0).all() and norm.bias.eq(0).all()
    assert not list(stage("batch_norm(affine=false, weight=3)").parameters())
    assert isinstance(stage("flatten | batch_norm").get_submodule("batch_norm_1"), nn.BatchNorm1d)
    both = stage("batch_norm(weight=0.5) + batch_norm(weight=0.5)")  # the second is copied from the first
    assert all(each.eq(0.5).all() for key, each in both.named_parameters() if key.endswith("weight"))


def test_dropout_is_torchs() -> None:
    module = stage("dropout(0.25)")
    assert isinstance(module, nn.Dropout) and module.p == 0.25
    assert torch.equal(module.eval()(X), X)


def test_identity_costs_nothing() -> None:
    model = robdsl.compile(robdsl.load("net n { input 2 x 4 x 4\n identity\n relu | identity\n identity }"))
    assert lines(model) == ["stage_1 = self.stage_1(image)", "return stage_1"]


# --- empty edges

OPEN = """
cell open(width) {
    in x
    x -> a : conv(1, width)
    a -> b : any { relu, conv(3) }
    x -> c : conv(1, width)
    b -> d : any { identity, conv(3) }
    c -> d : any { identity, conv(3) }
    d -> out : relu
}
space small { input 2 x 4 x 4
    pick one_cell : open
    one_cell(3)
    global_avg_pool | flatten | linear(2)
}
"""


def test_what_the_result_does_not_need_is_there_but_idle() -> None:
    space = robdsl.load_space(OPEN)
    model = robdsl.compile(space.net("11 | 00 01"), passes=())
    cell = graph(model, "open_0")
    assert lines(cell) == [
        "c = self.x_to_c(x)",
        "d = self.c_to_d.conv(c)",
        "out = self.d_to_out(d)",
        "return out",
    ]
    supernet = robdsl.compile(space.supernet()).state_dict()
    assert {key: each.shape for key, each in model.state_dict().items()}.items() <= {
        key: each.shape for key, each in supernet.items()
    }.items()
    trained = {key for key, each in model.named_parameters() if each.requires_grad}
    idle = {key for key, each in model.named_parameters() if not each.requires_grad}
    assert idle == {"open_0.x_to_a.weight", "open_0.a_to_b.conv.weight"}
    model(torch.rand(2, 2, 4, 4)).sum().backward()
    assert all(model.get_parameter(key).grad is not None for key in trained)


def test_a_node_with_no_edge_is_zero() -> None:
    model = robdsl.compile(robdsl.load_space(OPEN).net("00 | 10 00")).double()
    cell = graph(model, "open_0")
    x = torch.rand(3, 2, 4, 4, dtype=torch.float64)
    for images in (x, x.to(memory_format=torch.channels_last), x[:0]):
        result = cell(images)
        assert result.shape == (len(images), 3, 4, 4) and not result.any()
        assert result.dtype == torch.float64 and result.stride() == (
            (48, 1, 12, 3) if images is not x and len(images) else (48, 16, 4, 1)
        )
