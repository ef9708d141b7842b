"""How a net is trained, as one value."""

from __future__ import annotations

from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Literal, get_args

from robdsl.attacks import Amount, fraction_text, to_fraction
from robdsl.data import Augmentation, DataFacts

MethodName = Literal["natural", "pgd", "trades", "free", "fast"]
METHODS: tuple[MethodName, ...] = get_args(MethodName)

_MOST_PATIENT = 10_000_000


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what training does, apart from the net, the data and the machine.

    The defaults are the RobNets' published CIFAR-10 recipe with Madry's PGD-7; RobNet-large adds cutout 16.

    Attributes:
        method: natural; pgd (Madry et al. 2018); trades (Zhang et al. 2019); free (Shafahi et al. 2019); fast
            (Wong et al. 2020).
        epochs: passes over the training images, warm-up included.
        batch: images in a batch, over all processes.
        lr: the highest learning rate, for batches of ``lr_batch``; all rates scale with the batch.
        lr_batch: the batch that the rates are meant for.
        warmup_epochs: epochs over which the rate rises linearly from ``warmup_lr`` to ``lr``.
        warmup_lr: the rate at the start of the warm-up.
        final_lr: the rate at the end of the cosine that follows it.
        momentum: of stochastic gradient descent.
        weight_decay: of every weight but those of norms and biases.
        eps: the attack's budget (L-infinity), an exact fraction.
        step_size: of the training attack (pgd, trades, fast), an exact fraction.
        steps: of the training attack (pgd, trades).
        beta: the weight of the robust term (trades).
        replays: updates made with each batch (free).
        crop_padding: zero padding of the random crop, in pixels; None for what is usual for the data.
        flip: whether to mirror images at random; None for what is usual for the data.
        cutout: side in pixels, even, of a square of zeros; 0 for none.
        average: decay of an exponential moving average of the weights, in [0, 1), which is then what is
            validated and kept; 0 for none.
        clip: the largest norm of the gradient; None for no limit.
        bf16: compute under autocast to bfloat16.
        channels_last: keep images and weights in that memory order.
        validation_steps: steps of the PGD attack, with ``eps`` and ``validation_step_size``, that each epoch
            is judged by.
        validation_step_size: of that attack, an exact fraction.
        validation_images: at most how many images of either split it is judged on.
        validation_batch: images in a batch of that.
        checkpoint_batches: batches between checkpoints inside an epoch; 0 for one at each epoch's end only.
        seed: of every draw.
    """

    method: MethodName = "pgd"
    epochs: int = 170
    batch: int = 1536
    lr: float = 1.2
    lr_batch: int = 1536
    warmup_epochs: int = 20
    warmup_lr: float = 0.02
    final_lr: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 1e-4
    eps: Amount = Fraction(8, 255)
    step_size: Amount = Fraction(2, 255)
    steps: int = 7
    beta: float = 6.0
    replays: int = 4
    crop_padding: int | None = None
    flip: bool | None = None
    cutout: int = 0
    average: float = 0.0
    clip: float | None = None
    bf16: bool = False
    channels_last: bool = False
    validation_steps: int = 10
    validation_step_size: Amount = Fraction(2, 255)
    validation_images: int = 1000
    validation_batch: int = 250
    checkpoint_batches: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("eps", "step_size", "validation_step_size"):
            object.__setattr__(self, name, to_fraction(getattr(self, name)))  # normalizes a frozen field
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, not {self.method!r}")
        for name in ("epochs", "batch", "lr_batch", "replays", "validation_images", "validation_batch"):
            self._in_range(name, 1, _MOST_PATIENT)
        for name in ("steps", "validation_steps", "checkpoint_batches", "cutout"):
            self._in_range(name, 0, _MOST_PATIENT)
        if self.cutout % 2:
            raise ValueError(f"cutout must be an even number of pixels, not {self.cutout}")
        self._in_range("warmup_epochs", 0, self.epochs)
        for name in ("lr", "warmup_lr", "final_lr", "weight_decay", "beta"):
            self._in_range(name, 0, 1e6)
        for name in ("momentum", "average"):
            self._in_range(name, 0, 1 - 1e-9)
        if self.clip is not None:
            self._in_range("clip", 1e-12, 1e12)

    def _in_range(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            raise ValueError(f"{name} must lie between {low:g} and {high:g}, not be {value!r}")

    def learning_rate(self, batch: int, rate: float) -> float:
        """A rate of this recipe for batches of ``batch`` images."""
        return rate * batch / self.lr_batch

    def augmentation(self, facts: DataFacts) -> Augmentation:
        """What is done to the images of a data set."""
        return Augmentation(
            crop_padding=facts.crop_padding if self.crop_padding is None else self.crop_padding,
            flip=facts.flip if self.flip is None else self.flip,
            cutout=self.cutout,
        )

    def describe(self) -> dict[str, str | int | float | bool | None]:
        """The recipe as plain data, amounts as the text of their fractions."""
        plain: dict[str, str | int | float | bool | None] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            plain[field.name] = fraction_text(value) if isinstance(value, Fraction) else value
        return plain
