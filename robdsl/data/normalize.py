"""Normalization as part of the model, so that attacks and their budgets stay in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robdsl.data.dataset import DataFacts


class Normalized(nn.Module):
    """A model behind a normalization: maps images in [0, 1] to ``model((images - mean) / std)``."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, facts: DataFacts) -> None:
        """Wrap ``model``; its weights stay its own (mean and std are not part of the ``state_dict``)."""
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor(facts.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(facts.std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] to logits."""
        logits: Tensor = self.model((images - self.mean) / self.std)
        return logits
