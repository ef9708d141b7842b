"""PGD on the RobNets gives what the published implementation gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import robdsl
from robdsl.attacks import bim
from robdsl.weights.published import published_keys
from tests.reference import filled_state, images, labels

FIGURES = json.loads((Path(__file__).parents[1] / "data" / "robnets.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["robnet_large", "robnet_free"])
def test_seven_steps_without_a_random_start(name: str) -> None:
    figures, net = FIGURES[name], robdsl.load(name)
    model = robdsl.compile(net).double()
    model.load_state_dict(filled_state(model.state_dict(), published_keys(net)))
    x = images(figures["batch"], figures["size"])
    y = labels(figures["batch"], 10)
    made = bim(model, x, y, eps="8/255", step_size="2/255", steps=figures["pgd_steps"])
    moved = float((made - x).abs().mean())
    assert moved == pytest.approx(figures["pgd_mean_abs_delta"], rel=1e-9)
    with torch.no_grad():
        logits = model.eval()(made)
    published = torch.tensor(figures["pgd_logits_eval"], dtype=torch.float64)
    torch.testing.assert_close(logits, published, rtol=1e-9, atol=1e-12)
