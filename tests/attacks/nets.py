"""Small nets and batches for the tests of attacks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import Tensor, nn

from robdsl.attacks import Attack, parse_attack, pgd

Batch = tuple[Tensor, Tensor]

QUICK: dict[str, dict[str, int]] = {
    "fgsm": {},
    "bim": {"steps": 3},
    "pgd": {"steps": 3, "restarts": 2},
    "mi_fgsm": {"steps": 3},
    "deepfool": {"steps": 4, "candidates": 3},
    "cw": {"steps": 3},
    "cw_l2": {"steps": 5, "binary_search_steps": 2},
    "apgd_ce": {"steps": 5, "restarts": 2},
    "apgd_t": {"steps": 4, "targets": 2},
    "fab_t": {"steps": 3, "targets": 2, "restarts": 2},
    "square": {"queries": 12},
    "autoattack": {"steps": 3, "targets": 2, "queries": 6},
}
"""Every attack, with few steps."""


def quick(name: str, eps: str = "8/255", norm: str = "linf") -> Attack:
    """The attack of this name with few steps; cw_l2 knows one norm only."""
    return parse_attack(name, eps=eps, norm="l2" if name == "cw_l2" else norm, **QUICK[name])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def digits(count: int | None = None, *, test: bool = True) -> Batch:
    """Handwritten digits, (N, 1, 8, 8) in [0, 1]: 397 to test on, or 1,400 to train on."""
    data = load_digits()
    order = torch.randperm(len(data.target), generator=seeded())
    images = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1)[order] / 16
    labels = torch.tensor(data.target)[order]
    chosen = slice(1400, None) if test else slice(1400)
    return images[chosen][:count], labels[chosen][:count]


def digits_net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 24, 3, stride=2, padding=1),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24 * 16, 10),
    )


def train_digits(eps: float, epochs: int, seed: int = 0) -> nn.Sequential:
    """A net in evaluation mode, trained naturally (eps 0) or against PGD-4."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = digits_net().train()
    images, labels = digits(test=False)
    optimizer = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9)
    generator = seeded(seed)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images), generator=generator).split(100):
            batch, truth = images[chosen], labels[chosen]
            if eps:
                batch = pgd(
                    net, batch, truth, eps=eps, step_size=eps / 2, steps=4, mode="train", generator=generator
                )
            optimizer.zero_grad()
            F.cross_entropy(net(batch), truth).backward()
            optimizer.step()
    return net.eval()


@st.composite
def problems(draw: st.DrawFn) -> tuple[nn.Module, Tensor, Tensor]:
    """A small random net with norms and a batch for it, some of its pixels at the edges of the box."""
    seed = draw(st.integers(0, 2**20))
    channels, classes = draw(st.sampled_from([1, 3])), draw(st.integers(2, 5))
    size, width = draw(st.integers(4, 7)), draw(st.integers(2, 5))
    activation = draw(st.sampled_from([nn.ReLU, nn.Tanh, nn.SiLU]))
    generator = seeded(seed)
    net = nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width, affine=draw(st.booleans())),
        activation(),
        nn.Conv2d(width, width, 3, stride=2, padding=1),
        activation(),
        nn.AdaptiveAvgPool2d(draw(st.integers(1, 2))),
        nn.Flatten(),
        nn.LazyLinear(classes),
    )
    images = torch.rand(draw(st.integers(1, 5)), channels, size, size, generator=generator)
    if draw(st.booleans()):
        images = (images * 1.6 - 0.3).clamp(0, 1)
    net(images)  # lets the last layer find its size
    for tensor in [*net.parameters(), *net.buffers()]:
        if tensor.is_floating_point():
            tensor.data = torch.randn(tensor.shape, generator=generator).mul_(
                draw(st.sampled_from([0.5, 2.0]))
            )
    norm = net[1]
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_var is not None
    norm.running_var.abs_().add_(0.1)
    labels = torch.randint(classes, (len(images),), generator=generator)
    if draw(st.booleans()):  # labels that the net agrees with, so that there is something to attack
        labels = net.eval()(images).argmax(1)
    return net.train(draw(st.booleans())), images, labels


class Snapshot:
    """All that an attack must leave alone."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.tensors = dict([*model.named_parameters(), *model.named_buffers()])
        for index, parameter in enumerate(model.parameters()):
            parameter.requires_grad_(index % 3 != 2)
            if index % 2 == 0:
                parameter.grad = torch.full_like(parameter, float(index))
        self.values = {name: tensor.detach().clone() for name, tensor in self.tensors.items()}
        self.flags = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
        self.modes = {name: module.training for name, module in model.named_modules()}
        self.global_state = torch.get_rng_state()

    def check(self) -> None:
        now = dict([*self.model.named_parameters(), *self.model.named_buffers()])
        assert now.keys() == self.tensors.keys()
        for name, tensor in self.tensors.items():
            assert now[name] is tensor, f"{name} is another tensor"
            assert torch.equal(tensor, self.values[name]), f"{name} has changed"
        for index, (name, parameter) in enumerate(self.model.named_parameters()):
            assert parameter.requires_grad == self.flags[name], f"requires_grad of {name}"
            if index % 2 == 0:
                assert parameter.grad is not None and bool((parameter.grad == index).all()), f"grad of {name}"
            else:
                assert parameter.grad is None, f"{name} has a gradient"
        assert {name: module.training for name, module in self.model.named_modules()} == self.modes
        assert torch.equal(torch.get_rng_state(), self.global_state), "torch's global generator was used"
