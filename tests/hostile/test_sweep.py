"""Every kind of file that may come from a stranger, through the real command: refused in words, within bounds.

What each reader does with each mistake is tested beside the reader (tests/graph/hostile.py, tests/weights,
tests/search, tests/analysis). Here it is the whole command that must end well: see `Jail.run` for what that means.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import torch

import robdsl
from robdsl.weights import save_weights
from tests.graph.hostile import HOSTILE
from tests.hostile.files import DIGITS, NET, PICTURES, evil_name, pickled, png
from tests.hostile.jail import Jail

slow = pytest.mark.slow

# --- text

TEXTS: dict[str, str | bytes] = {
    "ten megabytes of brackets": "(" * 10_000_000,
    "deep nesting": "op a = " + "(" * 900 + "relu" + ")" * 900 + "\n",
    "repeat 1G": HOSTILE["repeat 1G"][0],
    "doubling": HOSTILE["doubling within the depth"][0],
    "a giant image": HOSTILE["a giant image"][0],
    "no text": bytes(range(256)) * 100,
    "terminal escapes": "net \x1b]0;owned\x07\x1b[31m {\n",
    "a use that climbs": "use ../../secret\n" + NET,
    "a use with dots": "use ...secret\n" + NET,
    "names of Python": f"net n {{\n    input 3 x 8 x 8\n    {'__import__'}('os') | flatten | linear(2)\n}}\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts(name: str, jail: Jail) -> None:
    jail.file("x.rob", TEXTS[name])
    said = jail.refused("check", "x.rob")
    assert "x.rob" in said and "the secret" not in said


@pytest.mark.parametrize("command", ["fmt", "info", "compile", "viz"])
def test_other_commands_refuse_them_too(command: str, jail: Jail) -> None:
    jail.file("x.rob", TEXTS["deep nesting"] if command == "fmt" else TEXTS["repeat 1G"])
    jail.refused(command, "x.rob", *(["-o", "out.svg"] if command == "viz" else []))


@slow
@pytest.mark.parametrize("name", [name for name, (_, codes) in HOSTILE.items() if codes - {"W301"}])
def test_every_hostile_program(name: str, jail: Jail) -> None:
    jail.file("x.rob", HOSTILE[name][0])
    jail.refused("info", "x.rob")


def test_files_that_use_each_other(jail: Jail) -> None:
    jail.file("a.rob", "use b\n" + NET)
    jail.file("b.rob", "use a\nop c = relu\n")
    assert "a.rob" in jail.refused("check", "a.rob")


def test_files_that_are_no_files(jail: Jail) -> None:
    os.mkfifo(jail.sent / "pipe.rob")
    (jail.sent / "endless.rob").symlink_to("/dev/zero")
    (jail.sent / "round.rob").symlink_to("round.rob")
    (jail.sent / "folder.rob").mkdir()
    said = jail.refused("check", "pipe.rob", "endless.rob", "round.rob", "folder.rob")
    assert "not a regular file" in said


def test_a_module_holds_only_what_the_text_says(jail: Jail) -> None:
    """Facts and comments that would end a docstring or a string of the module do not."""
    evil = evil_name(jail.canary)
    meta = f'meta note = "\\"\\"\\"; {evil}; \\"\\"\\""'
    text = f"# {evil}\nnet n {{\n    input 3 x 8 x 8\n    {meta}\n    __init__: flatten | linear(2)\n}}\n"
    jail.file("x.rob", text)
    status, said = jail.run("compile", "x.rob", "-o", "x.py", output="x.py")
    assert status == 0, said
    jail.run("-c", "import x", program=Path(sys.executable))
    jail.file("y.rob", f"# {evil}\n{NET}".replace("net n", "net __import__"))
    status, said = jail.run("compile", "y.rob", "-o", "y.py", output="y.py")
    assert status == 0, said
    jail.run("-c", "import y", program=Path(sys.executable))


# --- codes


@pytest.mark.parametrize("name", ["call", "deep", "long", "number"])
def test_codes(name: str, jail: Jail) -> None:
    codes = {
        "call": f"[['01', {evil_name(jail.canary)}]]",
        "deep": "[" * 100_000,
        "long": "|" + "nor_conv_3x3~0|" * 1_000_000,
        "number": "Genotype(normal=[('sep_conv_3x3', 9**9**9**9)], normal_concat=range(10**12))",
    }
    jail.file("code.txt", codes[name])
    jail.refused("import", "code.txt", "-o", "out.rob", output="out.rob")


# --- weights


def attack(weights: str) -> list[str]:
    run = ["attack", "net.rob", "--weights", weights, "--data", "digits", "--attack", "fgsm", "--limit", "2"]
    return [*run, "--device", "cpu", "-o", "out"]


def hostile_weights(name: str, jail: Jail) -> None:
    match name:
        case "pickle":
            jail.file("w", pickled(jail.canary))
        case "zip bomb":
            with zipfile.ZipFile(jail.sent / "w", "w", zipfile.ZIP_DEFLATED) as bomb:
                bomb.writestr("archive/data.pkl", b"\x80\x02}.")
                for number in range(10):
                    bomb.writestr(f"archive/data/{number}", bytes(100 << 20))
        case "zip with a path":
            with zipfile.ZipFile(jail.sent / "w", "w") as file:
                file.writestr("../../escaped/data.pkl", pickled(jail.canary))
        case "huge header":
            with (jail.sent / "w").open("wb") as hole:
                hole.write((1 << 40).to_bytes(8, "little") + b"{")
                hole.truncate((1 << 30) + 8)
        case "huge tensor":
            head = b'{"a": {"dtype": "F32", "shape": [1099511627776], "data_offsets": [0, 4398046511104]}}'
            jail.file("w", len(head).to_bytes(8, "little") + head)
        case "cut short":
            whole = jail.sent.parent / "whole"
            save_weights(robdsl.compile(robdsl.load(jail.sent / "net.rob")), whole)
            jail.file("w", whole.read_bytes()[:-9])
            whole.unlink()
        case "endless":
            (jail.sent / "w").symlink_to("/dev/zero")
        case "pipe":
            os.mkfifo(jail.sent / "w")


@pytest.mark.parametrize(
    "name",
    ["pickle", "huge header"]
    + [
        pytest.param(name, marks=slow)
        for name in ("endless", "zip bomb", "zip with a path", "huge tensor", "cut short", "pipe")
    ],
)
def test_weights(name: str, jail: Jail) -> None:
    jail.file("net.rob", DIGITS)
    hostile_weights(name, jail)
    before = (jail.sent / "w").stat().st_size
    if before > 1 << 20:  # too much to compare
        jail.sent.joinpath("w").rename(jail.folder.parent / f"{jail.folder.name}-w")
        (jail.sent / "w").symlink_to(jail.folder.parent / f"{jail.folder.name}-w")
    said = jail.refused(*attack("w"), output="out")
    assert "w" in said


# --- banks


def row(**changes: object) -> dict[str, object]:
    net = robdsl.load_space("cell_based_small", width=4, layers=3).sample(0)
    given: dict[str, object] = {
        "trial": 0, "space": "cell_based_small", "parameters": '{"width": 4, "layers": 3}', "alpha": list(net.alpha), "hash": net.hash,
        "params": 1, "macs": 1, "density": 0.5, "sampler": "random", "seed": 0, "state": "evaluated", "fsp": None,
        "natural_inherited": 0.5, "robust_inherited": 0.5, "natural_finetuned": None, "robust_finetuned": None,
        "natural_scratch": None, "robust_scratch": None, "examples": 10,
    }  # fmt: skip
    return {**given, **changes}


ROWS: dict[str, dict[str, object]] = {
    "a long alpha": {"alpha": ["1" * 900_000]},
    "an alpha of nothing": {"alpha": [None, 3, {}]},
    "a space that is a path": {"space": "../../secret.rob"},
    "huge parameters": {"parameters": '{"layers": 1000000000, "width": 1000000000}'},
    "deep parameters": {"parameters": "[" * 100_000},
    "parameters that name a file": {"parameters": '{"space": "../../secret.rob"}'},
}


@pytest.mark.parametrize(
    "name", [name if index < 4 else pytest.param(name, marks=slow) for index, name in enumerate(ROWS)]
)
def test_banks(name: str, jail: Jail) -> None:
    jail.file("bank.jsonl", "".join(json.dumps(row(trial=k, **ROWS[name])) + "\n" for k in range(3)))
    said = jail.refused("analyze", "bank.jsonl", "-o", "out/report.html", output="out")
    assert "the secret" not in said


def test_a_page_runs_no_text_of_a_bank(jail: Jail) -> None:
    evil = "</script><script>alert(1)</script>"
    jail.file(
        "bank.jsonl", "".join(json.dumps(row(trial=k, sampler=evil, hash=evil)) + "\n" for k in range(3))
    )
    status, said = jail.run("analyze", "bank.jsonl", "-o", "out/report.html", output="out")
    assert status == 0, said
    assert "<script>alert(1)" not in (jail.sent / "out" / "report.html").read_text(encoding="utf-8")


@slow
@pytest.mark.parametrize("name", ["no parquet", "other columns", "a link"])
def test_parquet_banks(name: str, jail: Jail) -> None:
    if name == "no parquet":
        jail.file("bank.parquet", b"PAR1" + b"\xff" * 1000 + b"PAR1")
    elif name == "other columns":
        pd.DataFrame({"alpha": [pickled(jail.canary)]}).to_parquet(jail.sent / "bank.parquet")
    else:
        (jail.sent / "bank.parquet").symlink_to("/dev/zero")
    jail.refused("analyze", "bank.parquet", "-o", "out/report.html", output="out")


# --- studies

SETTINGS = '{"version": 1, "space": "../../secret.rob", "data": "/etc/passwd"}'


@pytest.mark.parametrize(
    "arguments",
    [
        ("analyze", "study", "-o", "out/report.html"),
        *(
            pytest.param(("search", *each), marks=slow)
            for each in (("status", "study"), ("export", "study", "-o", "out/bank.jsonl"))
        ),
    ],
)
@pytest.mark.parametrize(
    "name", ["paths", pytest.param("deep", marks=slow), pytest.param("pickle", marks=slow)]
)
def test_studies(name: str, arguments: tuple[str, ...], jail: Jail) -> None:
    contents: dict[str, str | bytes] = {
        "paths": SETTINGS,
        "deep": '{"a":' * 100_000,
        "pickle": pickled(jail.canary),
    }
    jail.file("study/study.json", contents[name])
    jail.file("study/place.json", '{"storage": "sqlite:////etc/passwd", "name": "../x"}')
    jail.file("study/space.rob", "use ../../secret\n")
    with sqlite3.connect(jail.sent / "study" / "study.db") as database:
        database.execute("CREATE TABLE studies (study_id INTEGER, study_name TEXT)")
        database.execute("INSERT INTO studies VALUES (1, ?)", ("x" * 1_000_000,))
        database.execute("CREATE TABLE trials (trial_id INTEGER, value BLOB)")
        database.execute("INSERT INTO trials VALUES (1, ?)", (pickled(jail.canary),))
    database.close()
    said = jail.refused(*arguments, output="out")
    assert "the secret" not in said and "root:" not in said


# --- data


def imagenet(jail: Jail, picture: bytes | Path) -> list[str]:
    jail.file("net.rob", PICTURES)
    for place in ("train/a", "train/b", "val/a", "val/b"):
        if isinstance(picture, Path):
            (jail.sent / "data" / place).mkdir(parents=True)
            (jail.sent / "data" / place / "x.png").symlink_to(picture)
        else:
            jail.file(f"data/{place}/x.png", picture)
    torch.manual_seed(0)
    save_weights(robdsl.compile(robdsl.load(jail.sent / "net.rob")), jail.sent / "w.safetensors")
    run = ["attack", "net.rob", "--weights", "w.safetensors", "--data", "imagenet", "--data-root", "data"]
    return [*run, "--attack", "fgsm", "--limit", "2", "--workers", "0", "--device", "cpu", "-o", "out"]


@pytest.mark.parametrize(
    ("width", "height"),
    [(60_000, 60_000), pytest.param(12_000, 12_000, marks=slow), pytest.param(1, 10_000_000, marks=slow)],
)
def test_pictures_that_unpack_to_gigabytes(width: int, height: int, jail: Jail) -> None:
    command = imagenet(jail, png(width, height)[: 1 << 20])
    assert "x.png" in jail.refused(*command, output="out")


@slow
@pytest.mark.parametrize("target", ["/etc/passwd", "/dev/zero", "x.png"])
def test_pictures_that_are_links_to_elsewhere(target: str, jail: Jail) -> None:
    command = imagenet(jail, Path(target))
    assert "root:" not in jail.refused(*command, output="out")


@slow
def test_data_that_are_pickles(jail: Jail) -> None:
    jail.file("net.rob", DIGITS)
    jail.file("data/cifar-10-batches-py/data_batch_1", pickled(jail.canary))
    jail.file("data/cifar-10-batches-py/batches.meta", pickled(jail.canary))
    said = jail.refused(
        "train", "net.rob", "--data", "cifar10", "--data-root", "data", "-o", "out", output="out"
    )
    assert "damaged" in said
