"""The space of the MSRobNets against a plain implementation of aw_nas' cell (affine flags as its operations have them)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import robdsl
from robdsl.genotypes import read_genotypes

OPERATIONS = ("none", "skip_connect", "sep_conv_3x3", "ResSepConv")


class Half(nn.Module):
    """The larger map, halved: two convolutions, the second of the map shifted by one."""

    def __init__(self, channels: int, out: int, affine: bool) -> None:
        super().__init__()
        self.one = nn.Conv2d(channels, out // 2, 1, 2, bias=False)
        self.two = nn.Conv2d(channels, out // 2, 1, 2, bias=False)
        self.norm = nn.BatchNorm2d(out, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        x = x.relu()
        norm: Tensor = self.norm(torch.cat([self.one(x), self.two(x[:, :, 1:, 1:])], 1))
        return norm


def separable(width: int, stride: int, affine: bool) -> nn.Module:
    layers: list[nn.Module] = []
    for step in (stride, 1):
        layers += [nn.ReLU(), nn.Conv2d(width, width, 3, step, 1, groups=width, bias=False)]
        layers += [nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width, affine=affine)]
    return nn.Sequential(*layers)


def skip(width: int, stride: int, affine: bool) -> nn.Module:
    return nn.Identity() if stride == 1 else Half(width, width, affine)


class Residual(nn.Module):
    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.conv, self.skip = separable(width, stride, True), skip(width, stride, True)

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.conv(x) + self.skip(x)
        return total


def operation(name: str, width: int, stride: int) -> nn.Module | None:
    match name:
        case "skip_connect":
            return skip(width, stride, False)
        case "sep_conv_3x3":
            return separable(width, stride, False)
        case "ResSepConv":
            return Residual(width, stride)
    return None


def parameters_of(code: str, width: int) -> int:
    """Learned numbers of the net that aw_nas would build."""
    cells = [part.split("'")[1] for part in code.split(", ")]
    kinds = ["reduce_" in part for part in code.split(", ")]
    modules: list[nn.Module | None] = [nn.Conv2d(3, width, 3, bias=False), nn.BatchNorm2d(width)]
    before, channels, was_reduced = [width, width], width, False
    for text, reduces in zip(cells, kinds, strict=True):
        channels *= 2 if reduces else 1
        for place, entering in enumerate(before):
            if place == 0 and was_reduced:
                modules.append(Half(entering, channels, True))
            else:
                modules += [nn.Conv2d(entering, channels, 1, bias=False), nn.BatchNorm2d(channels)]
        for group in text.split("+")[1:]:
            for edge in group.strip("|").split("|"):
                name, source = edge.split("~")
                modules.append(operation(name, channels, 2 if reduces and int(source) < 2 else 1))
        before, was_reduced = [before[1], 4 * channels], reduces
    modules.append(nn.Linear(before[-1], 10))
    return sum(each.numel() for module in modules if module is not None for each in module.parameters())


def test_a_net_has_the_parameters_that_aw_nas_gives_it() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        cells = []
        for place in range(8):
            groups = []
            for node in range(4):
                drawn = torch.randint(4, (node + 2,), generator=generator).tolist()
                groups.append(
                    "|" + "|".join(f"{OPERATIONS[each]}~{source}" for source, each in enumerate(drawn)) + "|"
                )
            cells.append(
                f"{'reduce' if place in (2, 5) else 'normal'}_{place}='{'+'.join(['init_node~2', *groups])}'"
            )
        code = f"DenseRobGenotype({', '.join(cells)})"
        (net,) = read_genotypes(code)
        assert net.cost.params == parameters_of(code, 36)


def test_it_runs() -> None:
    net = robdsl.load_space("dense_rob", width=4, cells=5, first=1, second=3).sample(0)
    assert robdsl.compile(net, seed=0)(torch.rand(2, 3, 32, 32)).shape == (2, 10)
