"""`use`: which file is meant, what it brings, and what can go wrong with files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from robdsl.diagnostics.diagnostic import Diagnostic, RobError
from robdsl.graph.index import shipped
from robdsl.graph.load import check_file, check_source, load, load_space
from robdsl.syntax.parser import source_of

NET = "net n {\ninput 3 x 8 x 8\nblock\nflatten\n}\n"


def write(folder: Path, **files: str) -> Path:
    """Writes files (``a__b`` is ``a/b.rob``); the path of the last one."""
    path = folder
    for name, text in files.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".rob")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return path


def codes(path: Path) -> list[str]:
    return [each.code.id for each in check_file(path)]


def errors(path: Path) -> tuple[Diagnostic, ...]:
    return check_file(path)


def test_beside_the_file_first(tmp_path: Path) -> None:
    main = write(tmp_path, robnet="op block = conv(3, 7)", main="use robnet\n" + NET)
    assert load(main).stages[0].shape == (7, 8, 8)


def test_then_the_installed_architectures(tmp_path: Path) -> None:
    main = write(tmp_path, main="use robnet\nnet n {\ninput 3 x 8 x 8\nsep_conv_3x3\n}\n")
    assert load(main).stages[0].operation.name == "sep_conv_3x3"


def test_folders(tmp_path: Path) -> None:
    main = write(tmp_path, a__b__blocks="op block = relu", main="use a.b.blocks\n" + NET)
    assert codes(main) == []


def test_a_text_uses_installed_files_or_those_beside_its_path(tmp_path: Path) -> None:
    write(tmp_path, blocks="op block = relu")
    source = source_of("use blocks\n" + NET, "main.rob")
    assert [each.code.id for each in check_source(source)] == ["R204"]
    assert check_source(source, tmp_path / "main.rob") == ()


def test_the_used_file_looks_beside_itself(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        lib__inner="op inner = conv(3, 5)",
        inner="op inner = conv(3, 6)",
        lib__blocks="use inner\nop block = inner",
        main="use lib.blocks\n" + NET,
    )
    assert load(main).stages[0].shape == (5, 8, 8)


def test_what_a_used_file_uses_is_not_passed_on(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        inner="op inner = relu",
        blocks="use inner\nop block = inner",
        main="use blocks\nop mine = inner\n" + NET,
    )
    (error,) = errors(main)
    assert (error.code.id, error.span.text) == ("R203", "inner")


def test_a_name_means_what_it_means_in_its_file(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        blocks="op width_of = conv(3, 5)\nop block = width_of",
        main="use blocks\nop norm = relu\n" + NET,
    )
    write(tmp_path, other="op norm = sigmoid\nop block_ = norm")
    assert load(main).stages[0].shape == (5, 8, 8)


def test_the_same_file_over_two_ways_is_one(tmp_path: Path) -> None:
    main = write(
        tmp_path, norm="op norm = batch_norm", a="use norm\nop a = norm", b="use norm\nop b = norm",
        main="use norm\nuse a\nuse b\nnet n {\ninput 3 x 8 x 8\na | b | norm | flatten\n}\n",
    )  # fmt: skip
    assert codes(main) == []


def test_a_file_used_twice(tmp_path: Path) -> None:
    main = write(tmp_path, blocks="op block = relu", main="use blocks\nuse blocks\n" + NET)
    (warning,) = errors(main)
    assert (warning.code.id, warning.span.line, warning.severity) == ("W201", 2, "warning")
    assert load(main).warnings == (warning,)


def test_names_that_clash(tmp_path: Path) -> None:
    main = write(tmp_path, a="op block = relu", b="op block = sigmoid", main="use a\nuse b\n" + NET)
    (error,) = errors(main)
    assert (error.code.id, error.span.text, len(error.related)) == ("R201", "use b", 2)
    assert {Path(label.span.source.name).name for label in error.related} == {"a.rob", "b.rob"}
    main = write(tmp_path, main="use a\nop block = relu\n" + NET)
    assert codes(main) == ["R201"]
    main = write(tmp_path, main="op block = relu\ncell block {\nin x\nx -> out\n}\n" + NET)
    assert codes(main) == ["R201"]


def test_nets_and_spaces_share_the_names(tmp_path: Path) -> None:
    assert codes(write(tmp_path, main="op n = relu\n" + NET.replace("block", "relu"))) == ["R201"]


@pytest.mark.parametrize(
    "definition",
    ["op conv = relu", "cell relu {\nin x\nx -> out\n}", "net identity {\ninput 3 x 8 x 8\nrelu\n}"],
)
def test_a_primitive_cannot_be_defined(tmp_path: Path, definition: str) -> None:
    assert codes(write(tmp_path, main=definition)) == ["R202"]


def test_files_in_a_circle(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        a="use b\nop a = relu",
        b="use c\nop b = relu",
        c="use a\nop c = relu",
        main="use a\n" + NET.replace("block", "a"),
    )
    (error,) = errors(main)
    assert (error.code.id, error.label) == ("R211", "a.rob uses b.rob uses c.rob uses a.rob")
    assert codes(write(tmp_path, me="use me")) == ["R211"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    write(tmp_path, blocks="op block = relu", lib__cells="op block = relu")
    (error,) = errors(write(tmp_path, main="use blcks\n" + NET))
    assert (error.code.id, error.help) == ("R204", "did you mean `blocks`?")
    (error,) = errors(write(tmp_path, main="use lib.cels\n" + NET))
    assert error.help == "did you mean `lib.cells`?"
    (error,) = errors(write(tmp_path, main="use spaces.cell_basd\n" + NET))
    assert error.help == "did you mean `spaces.cell_based`?"
    assert codes(write(tmp_path, main=f"use {'a' * 5000}\n" + NET)) == ["R204"]
    assert codes(write(tmp_path, main=f"use {'.'.join(['a'] * 900)}\n" + NET)) == ["R204"]


def test_missing_names_of_a_missing_file_are_not_called_unknown(tmp_path: Path) -> None:
    assert codes(
        write(
            tmp_path,
            main="use nowhere\nop a = foo | bar\nnet n in baz { }\nspace s {\ninput 3 x 8 x 8\npick qux\n}",
        )
    ) == ["R204"]


def test_mistakes_in_a_used_file_are_told(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        blocks="op block = relu |\nop other = sigmoid",
        main="use blocks\nop mine = other | block\n" + NET,
    )
    (error,) = errors(main)
    assert (error.code.id, Path(error.span.source.name).name) == ("R105", "blocks.rob")


def test_a_mistake_inside_a_used_cell_names_the_calls(tmp_path: Path) -> None:
    blocks = "cell block(width) {\nin x\nx -> out : inner(width) | relu\n}\nop inner(width) = conv(9, width, padding=0)"
    main = write(
        tmp_path,
        blocks=blocks,
        main="use blocks\nnet n(w=5) {\ninput 3 x 8 x 8\nconv(3, w)\nblock(2 * w)\n}\n",
    )
    (error,) = errors(main)
    assert (error.code.id, error.span.text) == ("R410", "conv(9, width, padding=0)")
    assert [each.text for each in error.trace] == ["in `inner(width=10)`", "in `block(width=10)`"]
    assert [Path(each.span.source.name).name for each in error.trace] == ["blocks.rob", "main.rob"]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "folder.rob").mkdir()
    (tmp_path / "bytes.rob").write_bytes(b"op block = relu # \xff\xfe")
    (tmp_path / "loop.rob").symlink_to(tmp_path / "loop.rob")
    os.mkfifo(tmp_path / "pipe.rob")
    (tmp_path / "big.rob").write_text("#" * 1_100_000)
    for name, code in (
        ("folder", "R204"),
        ("loop", "R204"),
        ("pipe", "R204"),
        ("bytes", "R109"),
        ("big", "R601"),
    ):
        assert codes(write(tmp_path, main=f"use {name}\n" + NET)) == [code], name
    for name, code in (
        ("folder", "R110"),
        ("loop", "R110"),
        ("pipe", "R110"),
        ("bytes", "R109"),
        ("big", "R601"),
        ("missing", "R110"),
    ):
        assert codes(tmp_path / f"{name}.rob") == [code], name
        with pytest.raises(RobError):
            load(tmp_path / f"{name}.rob")
    for strange in ("a\0b.rob", "x" * 5000 + ".rob", "x" * 5000, "", ".", "/", "~nobody/x.rob"):
        with pytest.raises(RobError):
            load(strange)


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    blocks = write(tmp_path, blocks="op block = relu")
    blocks.chmod(0)
    if os.access(blocks, os.R_OK):
        pytest.skip("this user may read everything")
    assert codes(write(tmp_path, main="use blocks\n" + NET)) == ["R110"]


def test_a_link_to_a_file_is_that_file(tmp_path: Path) -> None:
    write(tmp_path, blocks="op block = relu")
    (tmp_path / "again.rob").symlink_to(tmp_path / "blocks.rob")
    assert codes(write(tmp_path, main="use blocks\nuse again\n" + NET)) == []


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    main = write(tmp_path, blocks="op block = conv(3, 5)", main="use blocks\n" + NET)
    assert load(main).stages[0].shape[0] == 5
    write(tmp_path, blocks="op block = conv(3, 16)")
    assert load(main).stages[0].shape[0] == 16


def test_too_many_files(tmp_path: Path) -> None:
    for index in range(120):
        write(tmp_path, **{f"f{index}": f"use f{index + 1}\nop o{index} = relu"})
    assert codes(tmp_path / "f0.rob") == ["R609"]
    wide = "\n".join(f"use g{index}" for index in range(120))
    for index in range(120):
        write(tmp_path, **{f"g{index}": f"op p{index} = relu"})
    assert set(codes(write(tmp_path, wide=wide))) == {"R609"}


# --- which net a file stands for


def test_a_file_stands_for_its_only_net(tmp_path: Path) -> None:
    one = "net {} {{\ninput 3 x 8 x 8\nrelu\n}}\n"
    assert load(write(tmp_path, any_name=one.format("n"))).name == "n"
    two = one.format("a") + one.format("b")
    assert load(write(tmp_path, b=two)).name == "b"
    assert load(tmp_path / "b.rob", net="a").name == "a"
    with pytest.raises(RobError, match="defines 2 nets, and none is called `other`"):
        load(write(tmp_path, other=two))
    with pytest.raises(RobError, match="did you mean `long_name`"):
        load(write(tmp_path, third=two + one.format("long_name")), net="long_nam")
    spaces = two.replace("net", "space")
    assert load_space(write(tmp_path, a=spaces)).name == "a"
    assert load_space(tmp_path / "a.rob", space="b").name == "b"
    with pytest.raises(RobError, match="load it with `load_space`"):
        load(tmp_path / "a.rob")
    with pytest.raises(RobError, match="load it with `load`"):
        load_space(tmp_path / "b.rob")
    with pytest.raises(RobError, match="defines no net"):
        load(write(tmp_path, empty="op f = relu"))


def test_bare_names_mean_what_ships() -> None:
    assert load("robnet-large").name == "robnet_large"
    assert load("robnet_large_v2").name == "robnet_large_v2"  # though the file is called robnet_large.rob
    assert load_space("cell-based", width=8).parameters["width"] == 8
    with pytest.raises(RobError, match="did you mean `robnet_large`"):
        load("robnet_lrge")
    with pytest.raises(RobError, match="it is a space: load it with `load_space`"):
        load("cell-free")
    with pytest.raises(RobError, match="it is a net: load it with `load`"):
        load_space("robnet_free")


def test_shipped_nets_and_spaces_have_names_of_their_own() -> None:
    names = [name for kind in ("net", "space") for name, _ in shipped(kind)]
    assert len(names) == len(set(names))


def test_a_broken_net_is_not_called_missing(tmp_path: Path) -> None:
    main = write(tmp_path, main="net n {\ninput 3 x 8 x 8\nrelu |\n}\nnet m {\ninput 3 x 8 x 8\nrelu\n}")
    for name in (None, "n"):
        with pytest.raises(RobError) as caught:
            load(main, net=name)
        assert [each.code.id for each in caught.value.diagnostics] == ["R105"]
    with pytest.raises(RobError) as caught:
        load(main, net="m")  # a file with a mistake is no program, whichever net is asked for
    assert [each.code.id for each in caught.value.diagnostics] == ["R105"]
