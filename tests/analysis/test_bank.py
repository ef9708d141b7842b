"""A table of architectures is checked, whoever made it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import robdsl
from robdsl import resources
from robdsl.analysis import StudyError, TooFew, analyze, bank
from robdsl.analysis.bank import open_space
from robdsl.search import BankError, read_bank, write_bank
from tests.analysis.synthetic import made


def small(**changes: Any) -> pd.DataFrame:
    """The first rows of a bank, with columns changed."""
    return made(count=40).frame.head(5).assign(**changes)


def test_a_bank_is_its_rows() -> None:
    found = bank(made().frame)
    assert len(found) == 300 and found.left_out == 0
    assert found.space.name == "cell_based" and found.space.parameters["width"] == 4
    assert found.column("params").tolist() == [net.cost.params for net in made().nets]
    assert found.fsp().shape == (300, 5)
    assert found.states == {"evaluated": 300}
    assert found.judged == "robust_finetuned"


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Through the files of the search: Parquet and JSON lines give the same figures as the table itself."""
    frame = made().frame.head(60)
    for name in ("bank.parquet", "bank.jsonl"):
        write_bank(frame, tmp_path / name)
        found = bank(read_bank(tmp_path / name))
        assert np.array_equal(found.alpha.values, bank(frame).alpha.values)
        for column in ("robust_finetuned", "density", "examples", "robust_scratch"):
            assert np.array_equal(found.column(column), bank(frame).column(column), equal_nan=True)


def test_another_studys_table_needs_two_columns() -> None:
    nets = made().nets[:6]
    found = bank(pd.DataFrame({"space": "cell-based", "alpha": [net.alpha[0] for net in nets]}))
    assert len(found) == 6 and np.isnan(found.column("robust_finetuned")).all()
    assert found.fsp().shape == (6, 0)
    result = analyze(found)
    assert all(isinstance(each, TooFew) for each in result.findings.values())
    assert result.to_json()["figures"]["figure_5"]["have"] == 0


def test_narrower_spaces_stand_together_and_others_apart() -> None:
    narrow = robdsl.load_space("cell_based_small", width=4, layers=5).sample(1)
    other = robdsl.load_space("cell_free", width=4, layers=5).sample(1)
    rows = [
        {"space": "cell_based_small", "alpha": narrow.alpha},
        {"space": "cell_free", "alpha": other.alpha},
    ]
    parameters = json.dumps({"width": 4, "layers": 5})
    mixed = pd.concat(
        [small(), pd.DataFrame(rows).assign(parameters=parameters, state="sampled")], ignore_index=True
    )
    mixed[["hash", "sampler"]] = ""
    found = bank(mixed)
    assert (len(found), found.left_out, found.space.name) == (6, 1, "cell_based")


@pytest.mark.parametrize(
    ("inherited", "finetuned", "judged"),
    [
        (300, 300, "finetuned"),
        (300, 100, "finetuned"),
        (300, 99, "inherited"),
        (60, 30, "finetuned"),
        (60, 29, "inherited"),
        (0, 0, "finetuned"),
    ],
)
def test_a_study_is_judged_by_what_bears_its_figures(inherited: int, finetuned: int, judged: str) -> None:
    frame = made().frame
    some = frame.assign(
        robust_inherited=frame["robust_inherited"].where(frame["trial"] < inherited),
        robust_finetuned=frame["robust_finetuned"].where(frame["trial"] < finetuned),
    )
    assert bank(some).judged == f"robust_{judged}"
    assert bank(some).known("robust_finetuned") == finetuned


def test_only_robust_accuracies_judge() -> None:
    with pytest.raises(ValueError, match="is none of robust_inherited"):
        analyze(bank(small()), accuracy="natural_finetuned")


def test_spaces_of_ones_own(tmp_path: Path) -> None:
    text = "use robnet\nspace mine(width=4) {\n input 3 x 32 x 32\n pick c : robnet_cell\n conv(3, 3*width) | batch_norm\n c(width)\n global_avg_pool | flatten | linear(10)\n}\n"
    space = robdsl.load_space(text, "mine", width=6)
    frame = pd.DataFrame({"space": "mine", "parameters": '{"width": 6}', "alpha": [space.sample(0).alpha]})
    (tmp_path / "mine.rob").write_text(text, encoding="utf-8")
    (tmp_path / "net.rob").write_text(
        robdsl.format(space.sample(1)), encoding="utf-8"
    )  # as a study keeps its space
    for name in ("mine.rob", "net.rob"):
        found = bank(frame, open_space(tmp_path / name, frame))
        assert found.space.parameters == {"width": 6} and len(found) == 1
    with pytest.raises(StudyError, match="does not define the space 'mine'"):
        open_space(Path(resources.folder("archs")) / "robnet.rob", frame)
    with pytest.raises(StudyError, match=r"give the \.rob file that defines it"):
        bank(frame)
    # The name of a space is never a path, whatever lies there, nor a program.
    for name in (str(tmp_path / "mine.rob"), str(tmp_path / "mine"), text, "../mine.rob"):
        with pytest.raises(StudyError, match="is not shipped"):
            bank(frame.assign(space=name))


HUGE = json.dumps({"layers": 10**6})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"parameters": "{"}, "no JSON object"),
        ({"parameters": "[1]"}, "no JSON object"),
        ({"parameters": '{"width": [1]}'}, "no JSON object"),
        ({"parameters": "[" * 50_000}, "no JSON object"),
        ({"parameters": HUGE}, "cannot be read: the net is longer"),
        ({"parameters": '{"width": -1}'}, "cannot be read"),
        ({"parameters": '{"width": NaN}'}, "cannot be read"),
        ({"parameters": '{"wdth": 3}'}, "has no parameter"),
        ({"parameters": '{"space": "cell_free"}'}, "no parameter"),
        ({"space": "nowhere"}, "is not shipped"),
        ({"space": 3}, "no (short) text"),
        ({"state": None}, "no (short) text"),
        ({"hash": "x" * 200_000}, "no (short) text"),
        ({"alpha": 7}, "no list of codes"),
        ({"alpha": "11"}, "does not fit its space"),
        ({"params": "many"}, "`params` holds something that is no number"),
        ({"params": -3}, "cannot be one"),
        ({"robust_finetuned": 1.5}, "cannot be one"),
        ({"robust_finetuned": np.inf}, "cannot be one"),
        ({"density": 2.0}, "cannot be one"),
        ({"fsp": "abc"}, "`fsp` holds something"),
        ({"fsp": 3}, "`fsp` holds something"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError) as caught:
        bank(small(**changes))
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300


def test_what_cannot_be_a_bank() -> None:
    with pytest.raises(StudyError, match="no column `alpha`"):
        bank(pd.DataFrame({"space": ["cell_based"]}))
    with pytest.raises(StudyError, match="is empty"):
        bank(pd.DataFrame({"space": [], "alpha": []}))
    ragged = small()
    ragged["fsp"] = [[1.0], [1.0, 2.0], None, None, None]
    with pytest.raises(StudyError, match="1 numbers in one row and 2 in another"):
        bank(ragged)
    many = pd.concat([small()] * 13, ignore_index=True)
    many["parameters"] = [json.dumps({"width": 4 + i}) for i in range(65)]
    with pytest.raises(StudyError, match="mixes 65 spaces"):
        bank(many)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.text(max_size=3), max_size=3),
)


@given(
    name=st.sampled_from(list(made(count=40).frame.columns)), values=st.lists(SCALARS, min_size=5, max_size=5)
)
@settings(max_examples=30)
def test_whatever_a_column_holds_it_is_read_or_refused(name: str, values: list[Any]) -> None:
    frame = small()
    frame[name] = pd.Series(values, dtype=object)
    try:
        found = bank(frame)
    except StudyError:
        return
    assert len(found) + found.left_out == 5


@given(st.binary(max_size=300))
@settings(max_examples=30)
def test_files_that_are_no_bank(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for name, magic in (("a.parquet", b"PAR1"), ("a.jsonl", b"")):
            path = Path(folder) / name
            path.write_bytes(magic + content + magic)
            try:
                frame = read_bank(path)
            except BankError:
                continue
            assert len(frame) == 0
