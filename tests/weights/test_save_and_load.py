from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
from safetensors.torch import save_file
from torch import nn

from robdsl.compiler import compile
from robdsl.graph.load import load, load_space
from robdsl.weights import BrokenWeightsError, Loaded, MisfitError, WeightsError, load_weights, save_weights
from tests.weights.models import TINY, frozen_state, randomized, same_state, tiny


def test_weights_come_back(tmp_path: Path) -> None:
    saved, loaded = randomized(tiny()), tiny(seed=1)
    save_weights(saved, tmp_path / "tiny.safetensors")
    assert load_weights(loaded, tmp_path / "tiny.safetensors") == Loaded("robdsl", "tiny", 0)
    assert same_state(saved.state_dict(), loaded.state_dict())


def test_the_file_says_which_architecture_it_belongs_to(tmp_path: Path) -> None:
    save_weights(tiny(), tmp_path / "w")
    with safetensors.safe_open(tmp_path / "w", framework="pt") as file:
        assert file.metadata() == {"format": "pt", "robdsl.net": "tiny", "robdsl.hash": load(TINY).hash}


def test_the_same_weights_make_the_same_bytes(tmp_path: Path) -> None:
    for name in "abcdefgh":
        save_weights(randomized(tiny(seed=ord(name))), tmp_path / name)
    assert len({each.read_bytes() for each in tmp_path.iterdir()}) == 1


def test_copies_of_a_model_know_its_architecture_too(tmp_path: Path) -> None:
    for model in (copy.deepcopy(tiny()), pickle.loads(pickle.dumps(tiny()))):
        save_weights(model, tmp_path / "w")
        with safetensors.safe_open(tmp_path / "w", framework="pt") as file:
            assert file.metadata()["robdsl.hash"] == load(TINY).hash


def test_channels_last_models_are_saved_and_stay_channels_last(tmp_path: Path) -> None:
    saved, loaded = randomized(tiny()).to(memory_format=torch.channels_last), tiny(seed=1)
    save_weights(saved, tmp_path / "w")
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in maps(saved))
    load_weights(loaded, tmp_path / "w")
    assert same_state(saved.state_dict(), loaded.state_dict())


def maps(model: nn.Module) -> list[torch.Tensor]:
    return [each for each in model.state_dict().values() if each.dim() == 4]


def test_wrappers_leave_no_trace(tmp_path: Path) -> None:
    model = randomized(tiny())
    save_weights(nn.DataParallel(model), tmp_path / "w")
    loaded = tiny(seed=1)
    load_weights(nn.DataParallel(loaded), tmp_path / "w")
    assert same_state(model.state_dict(), loaded.state_dict())


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_the_prefixes_of_wrappers_are_understood(tmp_path: Path, prefix: str) -> None:
    model, loaded = randomized(tiny()), tiny(seed=1)
    save_file({prefix + key: value for key, value in model.state_dict().items()}, tmp_path / "w")
    load_weights(loaded, tmp_path / "w")
    assert same_state(model.state_dict(), loaded.state_dict())


def test_a_stage_may_be_called_module(tmp_path: Path) -> None:
    model = randomized(
        compile(load("net n { input 1 x 4 x 4; module: conv(3, 2) | batch_norm | flatten | linear(2) }"))
    )
    save_weights(model, tmp_path / "w")
    before = frozen_state(model)
    load_weights(randomized(model, seed=1), tmp_path / "w")
    assert same_state(before, model.state_dict())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_numbers_are_converted_to_the_models_type(tmp_path: Path, dtype: torch.dtype) -> None:
    model, loaded = randomized(tiny()).to(dtype), tiny(seed=1)
    save_weights(model, tmp_path / "w")
    load_weights(loaded, tmp_path / "w")
    for key, value in loaded.state_dict().items():
        assert value.dtype in (torch.float32, torch.int64)
        assert torch.equal(value, model.state_dict()[key].to(value.dtype))


def test_what_is_not_a_number_comes_back_too(tmp_path: Path) -> None:
    model, loaded = tiny(), tiny(seed=1)
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    save_weights(model, tmp_path / "w")
    load_weights(loaded, tmp_path / "w")
    assert next(loaded.parameters()).isnan().all()


def test_a_model_that_was_not_compiled_goes_by_its_names(tmp_path: Path) -> None:
    saved, loaded = nn.Linear(2, 3), nn.Linear(2, 3)
    save_weights(saved, tmp_path / "w")
    assert load_weights(loaded, tmp_path / "w") == Loaded("robdsl", "", 0)
    assert torch.equal(saved.weight, loaded.weight)


# --- writing


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w"
    save_weights(tiny(), path)
    before = path.read_bytes()

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(WeightsError, match="Input/output error"):
        save_weights(tiny(seed=1), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="No such file or directory"):
        save_weights(tiny(), tmp_path / "nowhere" / "w")


@pytest.mark.parametrize("what", ["missing", "folder"])
def test_a_file_that_cannot_be_read(tmp_path: Path, what: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(BrokenWeightsError, match="cannot read"):
        load_weights(tiny(), tmp_path / what)


# --- what does not fit


def test_one_error_lists_all_that_does_not_fit_and_nothing_is_loaded(tmp_path: Path) -> None:
    state = frozen_state(randomized(tiny()))
    first, *_ = state
    del state[first]
    state["stage_1.linear_2.weight"] = torch.zeros(5, 4)
    state["stage_1.linear_2.bias"] = torch.zeros(3, dtype=torch.int32)
    state["surplus\x1b[31m"] = torch.zeros(1)
    save_file(state, tmp_path / "w")
    model = tiny()
    before = frozen_state(model)
    with pytest.raises(MisfitError) as raised:
        load_weights(model, tmp_path / "w")
    assert str(raised.value).splitlines() == [
        f"the weights in {tmp_path / 'w'} do not fit `tiny`",
        f"  missing in the file (1): {first}",
        "  not in the model (1): surplus?[31m",
        "  of another shape (1): stage_1.linear_2.weight is 5 x 4 in the file and 3 x 4 in the model",
        "  of another type (1): stage_1.linear_2.bias is int32 in the file and float32 in the model",
    ]
    assert raised.value.misfits.missing == [first]
    assert same_state(before, model.state_dict())


def test_long_lists_are_cut(tmp_path: Path) -> None:
    save_file({f"key_{i:05}": torch.zeros(1) for i in range(2000)}, tmp_path / "w")
    with pytest.raises(MisfitError) as raised:
        load_weights(tiny(), tmp_path / "w")
    assert len(raised.value.misfits.extra) == 2000
    assert "not in the model (2,000): key_00000, " in str(raised.value)
    assert "and 1,992 more" in str(raised.value)
    assert len(str(raised.value)) < 2000


def test_complex_numbers_are_no_weights(tmp_path: Path) -> None:
    state = frozen_state(tiny())
    state["stage_1.linear_2.bias"] = torch.zeros(3, dtype=torch.complex64)
    save_file(state, tmp_path / "w")
    with pytest.raises(MisfitError, match="no type of weights"):
        load_weights(tiny(), tmp_path / "w")


def test_another_architecture_of_the_same_shapes_is_refused_by_name(tmp_path: Path) -> None:
    other = compile(load(TINY.replace("tiny", "other").replace("relu", "sigmoid")))
    save_weights(other, tmp_path / "w")
    model = tiny()
    with pytest.raises(
        MisfitError, match=r"another architecture, `other`, \(hash \w{12}\) and not to this `tiny`"
    ):
        load_weights(model, tmp_path / "w")
    load_weights(model, tmp_path / "w", partial=True)
    assert same_state(model.state_dict(), other.state_dict())


def test_another_form_of_the_same_net_is_refused_too(tmp_path: Path) -> None:
    save_weights(compile(load(TINY.replace("relu", "sigmoid"))), tmp_path / "w")
    with pytest.raises(MisfitError, match="another form of `tiny`"):
        load_weights(tiny(), tmp_path / "w")


# --- supernets


def test_a_sub_network_takes_its_weights_from_the_supernet(tmp_path: Path) -> None:
    space = load_space("cell_based", width=4, layers=3, classes=3)
    whole = randomized(compile(space.supernet()))
    save_weights(whole, tmp_path / "w")
    model = compile(space.net("10 01 | 11 00 11 | 00 01 10 11 | 01 00 10 11 00"))
    loaded = load_weights(model, tmp_path / "w", partial=True)
    state, given = model.state_dict(), whole.state_dict()
    assert loaded.unused == len(given) - len(state) > 0
    assert all(torch.equal(value, given[key]) for key, value in state.items())


def test_without_partial_a_supernets_weights_are_refused(tmp_path: Path) -> None:
    space = load_space("cell_based", width=4, layers=3, classes=3)
    save_weights(compile(space.supernet()), tmp_path / "w")
    model = compile(space.net("10 01 | 11 00 11 | 00 01 10 11 | 01 00 10 11 00"))
    with pytest.raises(MisfitError, match="partial=True"):
        load_weights(model, tmp_path / "w")


def test_partial_lets_nothing_be_missing(tmp_path: Path) -> None:
    space = load_space("cell_based", width=4, layers=3, classes=3)
    save_weights(compile(space.net("10 01 | 11 00 11 | 00 01 10 11 | 01 00 10 11 00")), tmp_path / "w")
    model = compile(space.supernet())
    before = frozen_state(model)
    with pytest.raises(MisfitError, match="missing in the file"):
        load_weights(model, tmp_path / "w", partial=True)
    assert same_state(before, model.state_dict())


def test_any_reader_of_safetensors_finds_the_same_numbers(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    model = randomized(tiny())
    save_weights(model, tmp_path / "w")
    read = load_file(tmp_path / "w")
    assert all(np.array_equal(read[key], value.numpy()) for key, value in model.state_dict().items())
