"""A map for several readers: it is the map, and its gradient is the sum of theirs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from robdsl.kernels import fork


@pytest.mark.parametrize("size", [(2, 3, 4, 5), (2, 7)])
@pytest.mark.parametrize("readers", [1, 2, 5])
def test_the_sum_of_gradients(size: tuple[int, ...], readers: int) -> None:
    x = torch.rand(size, dtype=torch.float64, requires_grad=True)
    parts = fork(x, readers)
    assert len(parts) == readers and all(torch.equal(part, x) for part in parts)
    assert {part.data_ptr() for part in parts} == {x.data_ptr()}
    factors = [torch.rand_like(x) for _ in parts]
    found = torch.autograd.grad(
        [part * factor for part, factor in zip(parts, factors, strict=True)], x, factors
    )
    torch.testing.assert_close(found[0], sum(factor * factor for factor in factors))


@pytest.mark.parametrize("used", [(), (1,), (0, 2)])
def test_readers_that_no_result_depends_on(used: tuple[int, ...]) -> None:
    x = torch.rand(1, 2, 3, 3, requires_grad=True)
    parts = fork(x, 3)
    total = sum((parts[place].sum() for place in used), x.sum())
    (found,) = torch.autograd.grad(total, x)
    torch.testing.assert_close(found, torch.full_like(x, 1 + len(used)))


def test_without_gradients_nothing_is_recorded() -> None:
    x = torch.rand(1, 2, 3, 3, requires_grad=True)
    with torch.no_grad():
        assert all(part is x for part in fork(x, 3))
    assert not fork(x.detach(), 2)[0].requires_grad


def test_through_torch_compile_and_export() -> None:
    def apart(x: Tensor) -> Tensor:
        a, b, c = fork(x, 3)
        return a.sigmoid() + b * c

    x = torch.rand(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    torch._dynamo.reset()
    compiled = torch.compile(apart, backend="aot_eager", fullgraph=True)
    for made in (apart, compiled):
        torch.testing.assert_close(made(x), x.sigmoid() + x * x)
        (found,) = torch.autograd.grad(made(x).sum(), x)
        torch.testing.assert_close(found, x.sigmoid() * (1 - x.sigmoid()) + 2 * x)

    class Module(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return apart(x)

    exported = torch.export.export(Module(), (x.detach(),)).module()
    torch.testing.assert_close(exported(x.detach()), apart(x.detach()))
