"""Every code has a program that makes the mistake, and what is said of it is held to the letter."""

from __future__ import annotations

from pathlib import Path

import pytest

from robdsl import resources
from robdsl.diagnostics import codes
from robdsl.diagnostics.index import error_index
from tests.conftest import Golden
from tests.diagnostics.goldens import GOLDEN, check, example, golden_codes, said_of

PAGE = resources.folder("archs").parent / "docs" / "errors.md"


def test_every_code_has_a_golden_program_and_every_program_a_code() -> None:
    assert golden_codes() == sorted(code.id for code in codes.ALL)


def test_no_code_is_used_twice() -> None:
    identifiers = [code.id for code in codes.ALL]
    assert len(identifiers) == len(set(identifiers))


@pytest.mark.parametrize("code", golden_codes())
def test_what_is_said(code: str, golden: Golden, tmp_path: Path) -> None:
    found, text = said_of(code, tmp_path)
    severity = "warning" if code.startswith("W") else "error"
    assert [each.code.id for each in found if each.severity == severity][:1] == [code], text
    golden.check(GOLDEN / f"{code}.err", text)


def test_there_is_nothing_else_in_the_folder() -> None:
    known = {f"{code}{suffix}" for code in golden_codes() for suffix in ("", ".rob", ".err")}
    assert {path.name for path in GOLDEN.iterdir()} <= known


def test_the_error_index_is_in_step(golden: Golden) -> None:
    golden.check(PAGE, error_index({code: example(code) for code in golden_codes()}))


def test_a_sound_file_has_no_diagnostics() -> None:
    assert check(resources.folder("archs") / "resnet18.rob") == ()
