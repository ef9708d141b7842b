"""The language server, driven over its protocol as an editor drives it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from robdsl.diagnostics.render import to_json
from robdsl.graph.load import check_file
from robdsl.resources import folder
from robdsl.syntax.formatter import format_source
from robdsl.syntax.parser import source_of
from tests.editor.client import Client, ServerError, place

BLOCKS = """\
op norm = batch_norm(affine=false)

# Two branches and a choice.
cell block(width, stride=1) {
    in x
    x -> y : conv(3, width, stride) | norm
    x -> y : if stride == 1 and x.channels == width then identity else conv(1, width, stride)
    y -> z : any { identity, conv(3), relu }
    y, z -> out
}
"""
MAIN = """\
use blocks

space small(width=4, classes=10) {
    input 3 x 8 x 8
    pick c : block
    conv(3, width)
    c(width)
    c(2*width, stride=2)
    global_avg_pool | flatten | linear(classes)
    require density(c) > 0
}

net first in small {
    pick c = 101
}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("project")
    (made / "blocks.rob").write_text(BLOCKS, encoding="utf-8")
    (made / "main.rob").write_text(MAIN, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def client(project: Path) -> Iterator[Client]:
    with Client(project) as made:
        yield made


@pytest.fixture
def main(client: Client, project: Path) -> str:
    uri = client.open(project / "main.rob", MAIN)
    client.open(project / "blocks.rob", BLOCKS)
    return uri


def whole(text: str) -> dict[str, Any]:
    return {"text": text}


def labels(client: Client, uri: str, text: str, words: str) -> list[str]:
    """What is offered behind some words of a text that is being typed."""
    client.change(uri, whole(text))
    offset = text.index(words) + len(words)
    line, character = text.count("\n", 0, offset), offset - (text.rfind("\n", 0, offset) + 1)
    return [each["label"] for each in client.about("completion", uri, line, character)]


# --- diagnostics


def test_a_sound_text_has_no_problems(client: Client, main: str) -> None:
    assert client.problems(main) == []


def test_problems_are_those_of_the_command_line(client: Client, project: Path, tmp_path: Path) -> None:
    text = "net n {\n    input 3 x 8 x 8\n    conv(3, 4) | rleu | linear(0)\n    repeat 2 { conv(0) }\n}\n"
    path = tmp_path / "wrong.rob"
    path.write_text(text, encoding="utf-8")
    uri = client.open(path)
    found = client.problems(uri)
    expected = [to_json(each) for each in check_file(path)]
    assert [each["code"] for each in found] == [each["code"] for each in expected]
    for ours, theirs in zip(found, expected, strict=True):
        start = ours["range"]["start"]
        assert (start["line"] + 1, start["character"] + 1) == (theirs["line"], theirs["column"])
        assert str(theirs["title"]) in ours["message"]
    assert "did you mean `relu`?" in next(each["message"] for each in found if each["code"] == "R203")


def test_problems_follow_each_key(client: Client, main: str) -> None:
    line, character = place(MAIN, "conv(3, width)", "width")
    end = {"line": line, "character": character + 5}
    client.change(
        main, {"range": {"start": {"line": line, "character": character}, "end": end}, "text": "wdith"}
    )
    assert {each["code"] for each in client.problems(main)} == {"R304"}
    client.change(
        main, {"range": {"start": {"line": line, "character": character}, "end": end}, "text": "width"}
    )
    assert client.problems(main) == []


def test_a_mistake_in_a_used_file_stands_where_it_is_used(client: Client, tmp_path: Path) -> None:
    (tmp_path / "far.rob").write_text("op wrong(k) = conv(k - 3)\nop far = rleu\n", encoding="utf-8")
    text = "use far\nnet n {\n    input 3 x 8 x 8\n    wrong(3) | flatten\n}\n"
    uri = client.open(tmp_path / "near.rob", text)
    found = client.problems(uri)
    line, _ = place(text, "wrong(3)")
    assert [each["range"]["start"]["line"] for each in found] == [line]
    (related, *_) = found[0]["relatedInformation"]
    assert related["location"]["uri"].endswith("far.rob")
    assert related["location"]["range"]["start"] == {"line": 0, "character": 19}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_positions_count_what_was_agreed(encoding: str, tmp_path: Path) -> None:
    text = 'net n { input 3 x 8 x 8; meta a = "é🦉"; rleu }\n'
    units = {"utf-8": 6, "utf-16": 3, "utf-32": 2}[encoding]
    with Client(tmp_path, (encoding,)) as client:
        assert client.capabilities["positionEncoding"] == encoding
        uri = client.open(tmp_path / "n.rob", text)
        (found,) = client.problems(uri)
        assert found["range"]["start"]["character"] == text.index("rleu") - 2 + units


# --- what is said


def test_hover_says_what_an_operation_comes_to(client: Client, main: str, project: Path) -> None:
    said = client.about("hover", main, *place(MAIN, "conv(3, width)"))["contents"]["value"]
    assert "3 x 8 x 8 → 4 x 8 x 8" in said and "108 parameters, 6,912 MACs" in said
    assert "conv(kernel, width=in.channels" in said
    said = client.about("hover", main, *place(MAIN, "c(2*width"))["contents"]["value"]
    assert "`block`" in said and "into `z` from `y` (any of identity, conv, relu)" in said
    said = client.about("hover", main, *place(MAIN, "net first", "first"))["contents"]["value"]
    assert "3 x 8 x 8 → 10" in said


def test_hover_expands_an_operation(client: Client, tmp_path: Path) -> None:
    text = "use robnet\nnet n { input 4 x 8 x 8; sep_conv_3x3(2) | flatten }\n"
    uri = client.open(tmp_path / "n.rob", text)
    said = client.about("hover", uri, *place(text, "sep_conv_3x3"))["contents"]["value"]
    assert "op sep_conv_3x3(stride=1)" in said and "4 x 8 x 8 → 4 x 4 x 4" in said
    assert "relu | depthwise(kernel=3, stride=2, padding=1) | conv(" in said


def test_hover_over_a_node_gives_its_shapes(client: Client, tmp_path: Path) -> None:
    text = BLOCKS.replace("any { identity, conv(3), relu }", "conv(3)")
    text += "net n { input 3 x 8 x 8; block(4); block(8, 2); flatten }\n"
    uri = client.open(tmp_path / "n.rob", text)
    said = client.about("hover", uri, *place(text, "x -> y", "y"))["contents"]["value"]
    assert said == "the node `y` of `block`: 4 x 8 x 8, 8 x 4 x 4"


def test_hints_give_the_shape_at_every_node_and_stage(client: Client, tmp_path: Path) -> None:
    text = BLOCKS + MAIN.removeprefix("use blocks\n")
    uri = client.open(tmp_path / "n.rob", text)
    lines = text.count("\n")
    everything = {"start": {"line": 0, "character": 0}, "end": {"line": lines, "character": 0}}
    found = client.ask("textDocument/inlayHint", textDocument={"uri": uri}, range=everything)
    shown = {(each["position"]["line"], each["position"]["character"]): each["label"] for each in found}
    expected = {
        ("in x", "x", 1): ": 4 x 8 x 8", ("x -> y", "y", 1): ": 4 x 8 x 8, 8 x 4 x 4", ("y -> z", "z", 1): ": 4 x 8 x 8, 8 x 4 x 4",
        ("z -> out", "out", 3): ": 4 x 8 x 8, 8 x 4 x 4", ("c(width)", "c(width)", 8): " → 4 x 8 x 8",
        ("linear(classes)", "linear(classes)", 15): " → 10",
    }  # fmt: skip
    for (words, at, length), label in expected.items():
        line, character = place(text, words, at)
        assert shown[line, character + length] == label
    part = {"start": {"line": 0, "character": 0}, "end": {"line": 6, "character": 0}}
    fewer = client.ask("textDocument/inlayHint", textDocument={"uri": uri}, range=part)
    assert 0 < len(fewer) < len(found)


# --- completion


def test_operations_nodes_and_choices_are_offered(client: Client, main: str, project: Path) -> None:
    blocks = (project / "blocks.rob").as_uri()
    typed = BLOCKS.replace("    y, z -> out\n}\n", "    y -> out : re")
    assert {"relu", "conv", "norm", "any", "one", "if"} <= set(labels(client, blocks, typed, "y -> out : re"))
    assert {"x", "y", "z", "out"} <= set(
        labels(
            client, blocks, typed[: -len("out : re")], "y -> z : any { identity, conv(3), relu }\n    y -> "
        )
    )
    typed = MAIN.replace("pick c = 101\n}\n", "pick c { y -> z : ")
    assert labels(client, main, typed, "y -> z : ") == ["identity", "conv", "relu"]
    assert labels(client, main, typed, "pick c { ") == ["y"]
    assert labels(client, main, typed, "pick c { y -> ") == ["z"]


def test_keywords_parameters_and_values_are_offered(client: Client, main: str) -> None:
    assert {"use", "op", "cell", "space", "net"} == set(
        labels(client, main, "use blocks\n\n", "use blocks\n")
    )
    typed = MAIN.replace("c(width)\n", "c(wi\n")
    assert {"width=", "stride=", "width", "classes"} <= set(labels(client, main, typed, "    c("))
    typed = MAIN.replace("conv(3, width)", "conv(3, ")
    assert {"kernel=", "groups=", "width", "classes"} <= set(labels(client, main, typed, "conv(3, "))
    typed = MAIN.replace("require density(c) > 0", "require ")
    assert {"density", "params", "c", "width"} <= set(labels(client, main, typed, "    require "))
    assert "small" in labels(client, main, MAIN.replace("net first in small {", "net one in "), "net one in ")
    assert {"blocks", "robnet", "spaces.cell_based"} <= set(labels(client, main, "use ", "use "))
    assert labels(client, main, MAIN.replace("pick c = 101", "pi"), "net first in small {\n    pi") == [
        "pick",
        "meta",
    ]
    assert labels(client, main, "# net ", "# net ") == []
    assert set(labels(client, main, "op f = conv(in.", "in.")) == {"channels", "height", "width", "shape"}


def test_a_pick_is_offered_with_a_code_that_fits(client: Client, main: str) -> None:
    text = MAIN.replace("pick c = 101", "pick ")
    client.change(main, whole(text))
    line, character = place(text, "    pick \n")
    (item,) = client.about("completion", main, line, character + 9)
    client.change(main, whole(text.replace("    pick \n", f"    pick {item['insertText']}\n")))
    assert client.problems(main) == []


# --- names


def test_definition_goes_across_files(client: Client, main: str, project: Path) -> None:
    client.change(main, whole(MAIN))
    found = client.about("definition", main, *place(MAIN, "pick c : block", "block"))
    assert found["uri"] == (project / "blocks.rob").as_uri()
    line, character = place(BLOCKS, "cell block", "block")
    assert found["range"]["start"] == {"line": line, "character": character}
    assert client.about("definition", main, 0, 5)["uri"] == (project / "blocks.rob").as_uri()
    found = client.about("definition", main, *place(MAIN, "net first in small", "small"))
    assert found["range"]["start"]["line"] == place(MAIN, "space small")[0]
    found = client.about("definition", main, *place(MAIN, "stride=2"))
    assert found["range"]["start"] == dict(
        zip(("line", "character"), place(BLOCKS, "stride=1)"), strict=True)
    )
    assert client.about("definition", main, *place(MAIN, "flatten")) is None


def renamed(client: Client, uri: str, text: str, words: str, at: str, name: str) -> dict[str, str]:
    """The texts of the project after a name was changed."""
    edit = client.about("rename", uri, *place(text, words, at), newName=name)
    changed = {}
    for each, edits in edit["changes"].items():
        before = MAIN if each.endswith("main.rob") else BLOCKS
        lines = before.split("\n")
        for change in sorted(
            edits,
            key=lambda one: (one["range"]["start"]["line"], one["range"]["start"]["character"]),
            reverse=True,
        ):
            start, end = change["range"]["start"], change["range"]["end"]
            line = lines[start["line"]]
            lines[start["line"]] = line[: start["character"]] + change["newText"] + line[end["character"] :]
        changed[each.rpartition("/")[2]] = "\n".join(lines)
    return changed


def test_a_new_name_goes_everywhere(client: Client, main: str, project: Path) -> None:
    blocks = (project / "blocks.rob").as_uri()
    changed = renamed(client, blocks, BLOCKS, "cell block", "block", "unit")
    assert changed == {
        "blocks.rob": BLOCKS.replace("cell block", "cell unit"),
        "main.rob": MAIN.replace("pick c : block", "pick c : unit"),
    }
    changed = renamed(client, main, MAIN, "pick c : block", "c :", "choice")
    assert changed == {
        "main.rob": MAIN.replace("pick c", "pick choice")
        .replace("c(width)", "choice(width)")
        .replace("c(2*", "choice(2*")
        .replace("(c)", "(choice)")
    }
    changed = renamed(client, blocks, BLOCKS, "stride=1)", "stride", "step")
    assert changed["main.rob"] == MAIN.replace("stride=2", "step=2")
    assert changed["blocks.rob"] == BLOCKS.replace("stride", "step")
    changed = renamed(client, blocks, BLOCKS, "x -> y", "y", "sum_")
    assert changed == {"blocks.rob": BLOCKS.replace("-> y ", "-> sum_ ").replace("    y", "    sum_")}


@pytest.mark.parametrize(
    ("words", "at", "name", "reason"),
    [
        ("cell block", "block", "relu", "is a primitive"),
        ("cell block", "block", "no name", "cannot be a name"),
        ("cell block", "block", "if", "cannot be a name"),
        ("cell block", "block", "norm", "already"),
        ("x -> y", "y", "z", "already"),
        ("z -> out", "out", "end", "result of every cell"),
        ("batch_norm", "batch_norm", "bn", "no name here"),
    ],
)
def test_a_name_that_would_mean_something_else_is_refused(
    client: Client, main: str, project: Path, words: str, at: str, name: str, reason: str
) -> None:
    blocks = (project / "blocks.rob").as_uri()
    with pytest.raises(ServerError, match=reason):
        client.about("rename", blocks, *place(BLOCKS, words, at), newName=name)


def test_installed_files_keep_their_names(client: Client, tmp_path: Path) -> None:
    text = "use robnet\nnet n { input 3 x 8 x 8; norm; flatten }\n"
    uri = client.open(tmp_path / "n.rob", text)
    with pytest.raises(ServerError, match="installed"):
        client.about("rename", uri, *place(text, "norm"), newName="normal")


# --- the rest


def test_formatting_is_that_of_the_command_line(client: Client, tmp_path: Path) -> None:
    text = "net   n{input 3 x 8 x 8;flatten|linear(3)}"
    uri = client.open(tmp_path / "n.rob", text)
    options = {"tabSize": 4, "insertSpaces": True}
    (edit,) = client.ask("textDocument/formatting", textDocument={"uri": uri}, options=options)
    assert edit["newText"] == format_source(source_of(text, "n.rob"))
    assert edit["range"]["end"] == {"line": 0, "character": len(text)}
    client.change(uri, whole(edit["newText"]))
    assert client.ask("textDocument/formatting", textDocument={"uri": uri}, options=options) == []
    client.change(uri, whole("net n {"))
    assert client.ask("textDocument/formatting", textDocument={"uri": uri}, options=options) is None


def test_the_cell_under_the_cursor_is_drawn(client: Client, main: str) -> None:
    client.change(main, whole(MAIN))

    def drawn(words: str) -> dict[str, str] | None:
        line, character = place(MAIN, words)
        where = {"line": line, "character": character}
        made = client.ask("workspace/executeCommand", command="robdsl.drawCell", arguments=[main, where])
        assert made is None or isinstance(made, dict)
        return made

    made = drawn("pick c = 101")
    assert made is not None and made["net"] == "first" and made["stage"] == "block_1"
    assert ElementTree.fromstring(made["svg"]).tag.endswith("svg")
    made = drawn("c(2*width")
    assert made is not None and made["stage"] == "block_2"
    assert drawn("use blocks") is None


def test_every_prefix_of_a_program_has_answers(client: Client, tmp_path: Path) -> None:
    """Text is half typed most of the time: nothing that is asked then is an error."""
    text = BLOCKS + MAIN.removeprefix("use blocks\n")
    uri = client.open(tmp_path / "typed.rob", "")
    for length in range(0, len(text), 23):
        client.change(uri, whole(text[:length]))
        line = text.count("\n", 0, length)
        character = length - (text.rfind("\n", 0, length) + 1)
        for method in ("completion", "hover", "definition"):
            client.about(method, uri, line, character)
        client.about("prepareRename", uri, line, character)
        everything = {"start": {"line": 0, "character": 0}, "end": {"line": line + 1, "character": 0}}
        client.ask("textDocument/inlayHint", textDocument={"uri": uri}, range=everything)
        client.ask(
            "workspace/executeCommand",
            command="robdsl.drawCell",
            arguments=[uri, {"line": line, "character": character}],
        )
        client.problems(uri)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\ufeff",
        "{" * 5000,
        "net n {\r\n  input 3 x 8 x 8\r\n",
        "\x00é\u2028",
        "use use use",
        "pick",
        "cell c { in x; x ->",
    ],
)
def test_broken_texts_have_answers(client: Client, tmp_path: Path, text: str) -> None:
    uri = client.open(tmp_path / "broken.rob", text)
    for character in (0, 3, 10_000):
        for method in ("completion", "hover", "definition"):
            client.about(method, uri, 0, character)
    assert isinstance(client.problems(uri), list)


def test_a_text_without_a_file_has_answers(client: Client) -> None:
    uri = "untitled:Untitled-1"
    client.tell(
        "textDocument/didOpen",
        textDocument={"uri": uri, "languageId": "rob", "version": 1, "text": "op f = rleu\nop g = f\n"},
    )
    client._versions[uri] = 1
    assert [each["code"] for each in client.problems(uri)] == ["R203"]
    assert client.about("definition", uri, 1, 7)["uri"] == uri


def test_the_server_imports_no_torch() -> None:
    code = "import sys; from robdsl.editor.server import make_server; from robdsl.editor.drawing import draw_cell; make_server(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_shipped_files_have_answers(client: Client, tmp_path: Path) -> None:
    shutil.copytree(folder("archs"), tmp_path / "archs")
    path = tmp_path / "archs" / "robnet_free.rob"
    uri = client.open(path)
    assert client.problems(uri) == []
    text = path.read_text(encoding="utf-8")
    said = client.about("hover", uri, *place(text, "net robnet_free", "robnet_free"))["contents"]["value"]
    assert "3 x 32 x 32 → 10" in said and "5,439,790 parameters" in said
    found = client.about("definition", uri, *place(text, "in cell_free", "cell_free"))
    assert found["uri"] == (tmp_path / "archs" / "spaces" / "cell_free.rob").as_uri()
