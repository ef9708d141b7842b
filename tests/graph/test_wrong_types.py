"""What is said to a program that gives the library the wrong kind of thing: what was expected, and what to call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import robdsl

SPACE = robdsl.load_space("cell_based", width=4, layers=3)
NET = SPACE.sample(0)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: robdsl.compile(SPACE), ["takes a net", "cell_based is a space", "space.supernet()"]),  # type: ignore[arg-type]
        (lambda: robdsl.compile("robnet_free"), ["takes a net", "'robnet_free' (str)", "robdsl.load("]),  # type: ignore[arg-type]
        (lambda: robdsl.format(SPACE), ["robdsl.format takes a net", "space.sample()"]),  # type: ignore[arg-type]
        (lambda: robdsl.format(None), ["robdsl.format takes a net", "None"]),  # type: ignore[arg-type]
        (lambda: robdsl.load(3), ["robdsl.load takes the path", "name of a shipped net", "3 (int)"]),  # type: ignore[arg-type]
        (lambda: robdsl.load(NET), ["this is a net already"]),  # type: ignore[arg-type]
        (lambda: robdsl.load(b"net n {}"), ["robdsl.load takes the path", "(bytes)"]),  # type: ignore[arg-type]
        (lambda: robdsl.load("robnet_free", net=3), ["net=...", "3"]),  # type: ignore[arg-type]
        (lambda: robdsl.load_space(SPACE), ["robdsl.load_space", "this is a space already"]),  # type: ignore[arg-type]
        (lambda: robdsl.load_space(None), ["robdsl.load_space takes the path", "shipped space"]),  # type: ignore[arg-type]
        (lambda: robdsl.load("robnet_free", width=[3]), ["the parameter width", "[3]"]),
        (lambda: robdsl.check_file(3), ["robdsl.check_file takes the path", "3 (int)"]),  # type: ignore[arg-type]
        (lambda: SPACE.sample("x"), ["a seed", "random.Random", "'x' (str)"]),  # type: ignore[arg-type]
        (lambda: SPACE.sample(1.5), ["a seed", "1.5 (float)"]),  # type: ignore[arg-type]
        (lambda: SPACE.net(3), ["alpha is a code", "3 (int)"]),  # type: ignore[arg-type]
        (lambda: SPACE.net([3]), ["each code of alpha", "3 (int)"]),  # type: ignore[list-item]
        (lambda: SPACE.net({"c": None}), ["each code of alpha", "None"]),  # type: ignore[dict-item]
        (lambda: SPACE.net(NET), ["alpha is a code"]),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_a_type_error_says_what_was_expected(call: Callable[[], Any], expected: list[str]) -> None:
    with pytest.raises(TypeError) as caught:
        call()
    for words in expected:
        assert words in str(caught.value)


def test_integers_of_numpy_are_seeds() -> None:
    numpy = pytest.importorskip("numpy")
    assert SPACE.sample(numpy.int64(3)).alpha == SPACE.sample(3).alpha
    assert SPACE.sample(numpy.random.default_rng(0)).alpha


def test_a_path_may_be_any_path(tmp_path: Path) -> None:
    (tmp_path / "n.rob").write_text("net n { input 3 x 4 x 4; flatten }")
    assert robdsl.load(tmp_path / "n.rob").name == robdsl.load(str(tmp_path / "n.rob")).name == "n"
