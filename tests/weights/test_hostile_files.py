"""Files from strangers: whatever is in them, loading ends well or with an error of `robdsl.weights`."""

from __future__ import annotations

import io
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from robdsl.weights import (
    BrokenWeightsError,
    MisfitError,
    UnsafeWeightsError,
    WeightsError,
    load_weights,
    save_weights,
)
from robdsl.weights.tensors_file import MAX_HEADER
from tests.weights.models import frozen_state, header_of, randomized, same_state, tiny, with_header


class Calls:
    """Pickles to a call of a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def zipped(content: object, **options: bool) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def old(content: object) -> bytes:
    return zipped(content, _use_new_zipfile_serialization=False)


FORMATS = pytest.mark.parametrize("written", [zipped, old])


# --- pickles that want to run code


@FORMATS
@pytest.mark.parametrize("place", ["all", "weight", "beside", "key"])
def test_code_in_a_checkpoint_is_refused_and_not_run(
    tmp_path: Path, written: Callable[[object], bytes], place: str
) -> None:
    marker = tmp_path / "marker"
    evil = Calls(os.mkdir, str(marker))
    state: dict[str, object] = dict(randomized(tiny()).state_dict())
    strange: dict[object, object] = {evil: 1}
    strange.update(state)
    contents: dict[str, object] = {
        "all": evil,
        "weight": {"state_dict": {**state, "stage_1.linear_2.bias": evil}},
        "beside": {"state_dict": state, "epoch": 3, "best": evil},
        "key": strange,
    }
    (tmp_path / "w.pth.tar").write_bytes(written(contents[place]))
    model = tiny()
    before = frozen_state(model)
    with pytest.raises(UnsafeWeightsError, match=r"wants to call `\w+\.mkdir`"):
        load_weights(model, tmp_path / "w.pth.tar")
    assert not marker.exists()
    assert same_state(before, model.state_dict())


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_bare_pickle_that_runs_code_is_refused(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "w").write_bytes(pickle.dumps(Calls(os.mkdir, str(tmp_path / "marker")), protocol))
    with pytest.raises(UnsafeWeightsError, match=r"wants to call `\w+\.mkdir`"):
        load_weights(tiny(), tmp_path / "w")
    assert not (tmp_path / "marker").exists()


@FORMATS
def test_calls_that_torch_allows_but_weights_never_need_are_refused(
    tmp_path: Path, written: Callable[[object], bytes]
) -> None:
    """``bytearray(10**12)`` would fill the memory."""
    (tmp_path / "w").write_bytes(written({"state_dict": {}, "more": Calls(bytearray, 10**12)}))
    with pytest.raises(UnsafeWeightsError, match="bytearray"):
        load_weights(tiny(), tmp_path / "w")


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02(S'x'\ni__builtin__\neval\n.",  # INST
        b"\x80\x04\x8c\x08builtins\x94\x8c\x04eval\x94\x93.",  # STACK_GLOBAL
        b"\x80\x04\x8c\x04eval\x94\x8c\x08builtins\x94\x8c\x01x\x940h\x00\x93.",  # its names out of sight
        b"\x80\x02\x82\x01.",  # an extension
    ],
)
def test_every_instruction_that_looks_up_a_function_is_seen(tmp_path: Path, pickled: bytes) -> None:
    (tmp_path / "w").write_bytes(pickled)
    with pytest.raises(UnsafeWeightsError):
        load_weights(tiny(), tmp_path / "w")


# --- checkpoints


@FORMATS
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_training_programs_checkpoint(
    tmp_path: Path, written: Callable[[object], bytes], prefix: str
) -> None:
    model, loaded = randomized(tiny()), tiny(seed=1)
    state = {prefix + key: value for key, value in model.state_dict().items()}
    momenta = {index: {"momentum_buffer": torch.ones(3)} for index in range(3)}
    optimizer = {"state": momenta, "param_groups": [{"lr": 0.1, "nesterov": False, "params": [0, 1, 2]}]}
    content = {"epoch": 3, "best_acc": 0.5, "state_dict": state, "optimizer": optimizer}
    (tmp_path / "w.pth.tar").write_bytes(written(content))
    load_weights(loaded, tmp_path / "w.pth.tar")
    assert same_state(model.state_dict(), loaded.state_dict())


@FORMATS
def test_parameters_and_half_precision_and_views(tmp_path: Path, written: Callable[[object], bytes]) -> None:
    model, loaded = randomized(tiny()), tiny(seed=1)
    state = dict(model.state_dict())
    state["stage_1.linear_2.weight"] = nn.Parameter(state["stage_1.linear_2.weight"].half())
    state["stage_1.linear_2.bias"] = torch.stack([state["stage_1.linear_2.bias"]] * 2, 1)[:, 0]
    (tmp_path / "w").write_bytes(written(state))
    load_weights(loaded, tmp_path / "w")
    for key, value in state.items():
        assert torch.equal(loaded.state_dict()[key], value.to(loaded.state_dict()[key].dtype))


@FORMATS
@pytest.mark.parametrize("content", [3, [torch.zeros(1)], {}, {"state_dict": 3}, {1: torch.zeros(1)}])
def test_a_checkpoint_without_weights(
    tmp_path: Path, written: Callable[[object], bytes], content: object
) -> None:
    (tmp_path / "w").write_bytes(written(content))
    with pytest.raises(BrokenWeightsError, match="holds no weights"):
        load_weights(tiny(), tmp_path / "w")


@pytest.mark.parametrize("value", [3, "text", torch.zeros(3).to_sparse(), torch.zeros(3, device="meta")])
def test_what_is_no_plain_tensor_is_no_weight(tmp_path: Path, value: object) -> None:
    state: dict[str, object] = dict(tiny().state_dict())
    state["stage_1.linear_2.bias"] = value
    (tmp_path / "w").write_bytes(zipped(state))
    with pytest.raises(WeightsError):
        load_weights(tiny(), tmp_path / "w")


def test_a_huge_view_of_little_data_is_only_misshapen(tmp_path: Path) -> None:
    state = dict(tiny().state_dict())
    state["stage_1.linear_2.bias"] = torch.zeros(1).expand(10**15)
    (tmp_path / "w").write_bytes(zipped(state))
    with pytest.raises(MisfitError, match="1000000000000000 in the file"):
        load_weights(tiny(), tmp_path / "w")


def test_a_compressed_zip_is_refused(tmp_path: Path) -> None:
    source = zipfile.ZipFile(io.BytesIO(zipped(tiny().state_dict())))
    with zipfile.ZipFile(tmp_path / "w", "w", zipfile.ZIP_DEFLATED) as bomb:
        for each in source.infolist():
            bomb.writestr(each.filename, source.read(each))
        bomb.writestr("archive/data/bomb", bytes(1 << 20))
    with pytest.raises(BrokenWeightsError, match="compressed"):
        load_weights(tiny(), tmp_path / "w")


def test_a_program_is_not_weights(tmp_path: Path) -> None:
    class One(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is on its way out
        torch.jit.save(torch.jit.trace(One(), torch.zeros(1)), tmp_path / "w")
    with pytest.raises(BrokenWeightsError, match="TorchScript"):
        load_weights(tiny(), tmp_path / "w")


# --- safetensors


@pytest.fixture
def good(tmp_path: Path) -> bytes:
    save_weights(randomized(tiny()), tmp_path / "good")
    return (tmp_path / "good").read_bytes()


def test_a_header_longer_than_the_file(tmp_path: Path, good: bytes) -> None:
    (tmp_path / "w").write_bytes((10**12).to_bytes(8, "little") + good[8:])
    with pytest.raises(BrokenWeightsError, match="cut short"):
        load_weights(tiny(), tmp_path / "w")


def test_a_header_of_enormous_length(tmp_path: Path) -> None:
    with (tmp_path / "w").open("wb") as file:
        file.write((MAX_HEADER + 1).to_bytes(8, "little") + b"{")
        file.truncate(MAX_HEADER + 100)  # a hole: no disk is used
    with pytest.raises(BrokenWeightsError, match="at most"):
        load_weights(tiny(), tmp_path / "w")


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 10**9]},
        {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 12]},
        {"dtype": "F32", "shape": [-3], "data_offsets": [0, 12]},
        {"dtype": "F32", "shape": [3], "data_offsets": [12, 0]},
        {"dtype": "Q9", "shape": [3], "data_offsets": [0, 12]},
        {"dtype": "F32"},
        "nothing",
    ],
)
def test_a_header_that_lies(tmp_path: Path, entry: object) -> None:
    with_header(tmp_path / "w", {"stage_1.linear_2.bias": entry}, bytes(12))
    with pytest.raises(BrokenWeightsError, match="damaged or cut short"):
        load_weights(tiny(), tmp_path / "w")


def test_a_header_nested_deeply(tmp_path: Path) -> None:
    text = b'{"a":' * 100_000
    (tmp_path / "w").write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(BrokenWeightsError, match="damaged or cut short"):
        load_weights(tiny(), tmp_path / "w")


def test_metadata_of_strangers_is_shown_safely(tmp_path: Path, good: bytes) -> None:
    header = header_of(good)
    header["__metadata__"] = {"robdsl.net": "\x1b[31m" + "x" * 10**6, "robdsl.hash": "\n\x07"}
    with_header(tmp_path / "w", header, good[8 + int.from_bytes(good[:8], "little") :])
    with pytest.raises(MisfitError, match="another architecture") as raised:
        load_weights(tiny(), tmp_path / "w")
    assert all(each.isprintable() or each == "\n" for each in str(raised.value))
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize(
    "content", [b"", b"{", b"net tiny {}", b"\x00" * 64, b"PK\x03\x04", b"\x80", b"\x80\x02."]
)
def test_what_is_no_file_of_weights_at_all(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(BrokenWeightsError):
        load_weights(tiny(), tmp_path / "w.safetensors")


# --- any damage

MODEL = tiny()
STATE = frozen_state(randomized(tiny()))
FILES = {"zipped": zipped(STATE), "old": old(STATE), "safetensors": b""}


@pytest.fixture(scope="module", params=list(FILES))
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("damaged")
    save_weights(randomized(tiny()), folder / "good")
    return folder / "w", FILES[request.param] or (folder / "good").read_bytes()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_loads_or_is_refused(whole: tuple[Path, bytes], data: st.DataObject) -> None:
    path, content = whole
    changed = bytearray(content)
    places = st.integers(0, len(content) - 1)
    for place in data.draw(st.lists(places, max_size=6)):
        changed[place] = data.draw(st.integers(0, 255))
    path.write_bytes(changed[: data.draw(st.just(len(content)) | places)])
    try:
        load_weights(MODEL, path)
        said = str(path)
    except WeightsError as error:
        said = str(error)
    assert str(path) in said


def test_a_file_cut_short_anywhere_is_refused(whole: tuple[Path, bytes]) -> None:
    path, content = whole
    for length in range(0, len(content), max(1, len(content) // 40)):
        path.write_bytes(content[:length])
        with pytest.raises(WeightsError):
            load_weights(MODEL, path)
