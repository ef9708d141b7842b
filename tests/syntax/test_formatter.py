"""The canonical style, form by form."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from textwrap import dedent

import pytest

from robdsl.diagnostics.diagnostic import RobError
from robdsl.diagnostics.source import Source
from robdsl.syntax import formatter, nodes
from robdsl.syntax.formatter import FormatError, format_checked, format_source, format_tree
from robdsl.syntax.nodes import Ident
from robdsl.syntax.parser import parse


def formatted(text: str) -> str:
    return format_source(Source("<text>", dedent(text)))


def stays(text: str) -> None:
    """Asserts that a text is canonical."""
    assert formatted(text) == dedent(text)


def becomes(text: str, wanted: str) -> None:
    assert formatted(text) == dedent(wanted)
    stays(wanted)


# --- blanks


def test_blanks_and_parentheses() -> None:
    becomes(
        """\
        op   f( a,b =3 )=conv ( 3,2 * width,stride = 1+a )|( relu)
        use    a . b
        cell c{in x;x->out:f;y=sum( x,out ) ;let n=(3) ; require(n>1)}
        space s{input 3 x(32)x 32;pick c:d
        name : pick d( 3 )
        repeat 2*n{ c(width = 3) };meta k=- 3;meta l="a\\\\b"}
        net n in s(3){pick c=11  01|1;pick 0{x->y:a+b}}
        """,
        """\
        op f(a, b=3) = conv(3, 2*width, stride=1 + a) | relu
        use a.b

        cell c {
            in x
            x -> out : f
            y = sum(x, out)
            let n = 3
            require n > 1
        }

        space s {
            input 3 x 32 x 32
            pick c : d
            name: pick d(3)
            repeat 2*n { c(width=3) }
            meta k = -3
            meta l = "a\\\\b"
        }

        net n in s(3) {
            pick c = 11 01 | 1
            pick 0 {
                x -> y : a + b
            }
        }
        """,
    )


def test_empty_blocks() -> None:
    stays(
        """\
        cell c { }

        net n in s {
            repeat 3 { }
            pick c { }
        }
        """
    )


def test_an_empty_file_is_empty() -> None:
    assert formatted("\n\n \n") == ""


def test_chains_inside_sums_get_parentheses() -> None:
    becomes("op f = a | b + c | d\n", "op f = (a | b) + (c | d)\n")


# --- blank lines


def test_blank_lines_are_the_authors_but_one_at_most() -> None:
    becomes(
        """\


        use a
        use b


        op f = a
        op g = b


        # lead


        # direct
        op h = c

        """,
        """\
        use a
        use b

        op f = a
        op g = b

        # lead

        # direct
        op h = c
        """,
    )


def test_definitions_with_blocks_have_a_blank_line_around_them() -> None:
    becomes(
        """\
        use a
        # of c
        # still of c
        cell c {

            in x

            x -> out

        }
        # of f
        op f = a
        net n { a }
        net m { b }
        # the end
        """,
        """\
        use a

        # of c
        # still of c
        cell c {
            in x

            x -> out
        }

        # of f
        op f = a

        net n {
            a
        }

        net m {
            b
        }

        # the end
        """,
    )


# --- comments


def test_comments_stay_where_they_belong() -> None:
    becomes(
        """\
        # file
        op f = a   # trailing
        cell c {# opening
          # first
          in x# in
            # before the edge

          x -> out : a |  # inside
            # deeper
            b   # behind
          # last
        }# closing
        net n { a; b # of b
        }
        # end""",
        """\
        # file
        op f = a  # trailing

        cell c {  # opening
            # first
            in x  # in
            # before the edge

            # inside
            # deeper
            x -> out : a | b  # behind
            # last
        }  # closing

        net n {
            a
            b  # of b
        }

        # end
        """,
    )


def test_comments_in_headers_move_above_them() -> None:
    becomes(
        """\
        cell c(a,  # first
               b   # second
        ) {  # third
            in x
        }
        net n {
            repeat (  # fourth
                3) { a }  # fifth
            repeat 3 {  # sixth
                a
            }
        }
        """,
        """\
        # first
        # second
        cell c(a, b) {  # third
            in x
        }

        net n {
            # fourth
            repeat 3 { a }  # fifth
            repeat 3 {  # sixth
                a
            }
        }
        """,
    )


def test_a_comment_parts_aligned_edges_but_not_one_behind_a_statement() -> None:
    stays(
        """\
        cell c {
            a   -> b   : f  # so
            bcd -> efg : g
            # from here
            a -> b : f

            bcd -> e : g
        }
        """
    )


# --- edges


def test_edges_align_arrows_and_colons() -> None:
    becomes(
        """\
        cell c {
            in x
            a -> b, c : f
            x0, x1 -> n0
            longer -> d : g
            y = sum(a, b)
            a -> out : h
        }
        """,
        """\
        cell c {
            in x
            a      -> b, c : f
            x0, x1 -> n0
            longer -> d    : g
            y = sum(a, b)
            a -> out : h
        }
        """,
    )


def test_a_long_list_of_sources_sticks_out() -> None:
    stays(
        """\
        cell c {
            x0, x1 -> n0, n1     : skip
            n0     -> n1         : sep
            x1, n0, n1 -> n3     : sep
        }
        """
    )


def test_edges_with_very_many_names_break_after_commas() -> None:
    many = ", ".join(f"node_{index}" for index in range(12))
    becomes(
        f"cell c {{ a -> b : f ; {many} -> {many} : f | g ; a -> b }}",
        """\
        cell c {
            a -> b : f
            node_0, node_1, node_2, node_3, node_4, node_5, node_6, node_7, node_8, node_9,
                node_10, node_11 -> node_0, node_1, node_2, node_3, node_4, node_5, node_6,
                node_7, node_8, node_9, node_10, node_11 : f | g
            a -> b
        }
        """,
    )


# --- long statements


def test_operations_break_before_their_marks() -> None:
    chain = " | ".join(["depthwise(3, stride)", "conv(1, width)", "batch_norm(affine=false)", "relu"] * 2)
    becomes(
        f"op f = {chain}\ncell c {{ x -> out : {chain} }}\nnet n {{ {chain}; name: {chain} }}",
        """\
        op f =
            depthwise(3, stride) | conv(1, width) | batch_norm(affine=false) | relu
                | depthwise(3, stride) | conv(1, width) | batch_norm(affine=false) | relu

        cell c {
            x -> out : depthwise(3, stride) | conv(1, width) | batch_norm(affine=false) | relu
                       | depthwise(3, stride) | conv(1, width) | batch_norm(affine=false) | relu
        }

        net n {
            depthwise(3, stride) | conv(1, width) | batch_norm(affine=false) | relu
                | depthwise(3, stride) | conv(1, width) | batch_norm(affine=false) | relu
            name: depthwise(3, stride) | conv(1, width) | batch_norm(affine=false) | relu
                  | depthwise(3, stride) | conv(1, width) | batch_norm(affine=false) | relu
        }
        """,
    )


def test_sums_break_before_plus() -> None:
    part = "relu | conv(3, 4*width, stride=stride) | batch_norm(affine=false)"
    becomes(
        f"cell c {{ x -> out : ({part}) + ({part}) + skip }}",
        """\
        cell c {
            x -> out : (relu | conv(3, 4*width, stride=stride) | batch_norm(affine=false))
                       + (relu | conv(3, 4*width, stride=stride) | batch_norm(affine=false))
                       + skip
        }
        """,
    )


def test_conditions_of_operations() -> None:
    stays(
        """\
        op skip(stride=1) = if stride == 1 then identity else factorized_reduce(in.channels)
        op projected(width, stride=1) =
            if stride == 1 and in.channels == width then identity
            else if stride == 2 then factorized_reduce(width)
            else conv(1, width, stride) | batch_norm

        cell c(width, stride) {
            x -> y : if stride == 1 and in.channels == width and in.height == 7
                     then relu | depthwise(3) | conv(1, width, stride)
                          | batch_norm(affine=false)
                     else conv(1, width, stride)
            x -> z : if in.channels == width
                        and in.height == in.width
                        and (stride == 1 or stride == 2)
                        and width > 3
                     then relu
                     else (if C then relu else conv(1, width, stride)) | depthwise(3)
                          | conv(1, width, stride) | batch_norm(affine=false)
        }
        """
    )


def test_operations_far_to_the_right_begin_on_their_own_line() -> None:
    stays(
        """\
        cell c {
            a_very_long_name, another_very_long_name -> the_name_of_the_target :
                if stride == 1 then identity
                else relu | conv(1, width, stride) | batch_norm(affine=false)
        }
        """
    )


def test_long_choices_have_an_alternative_a_line() -> None:
    stays(
        """\
        op mixed(stride) = one {
            none,
            max_pool(3, stride, padding=1) | batch_norm(affine=false),
            relu | depthwise(3, stride) | conv(1) | batch_norm(affine=false) | relu
                | depthwise(3) | conv(1) | batch_norm(affine=false),
            if stride == 1 then identity else factorized_reduce(in.channels)
        }

        cell c {
            x0, x1 -> n0, n1, n2, n3 : any {
                skip(stride),
                sep_conv_3x3(stride, affine=false),
                dil_conv_3x3(stride, affine=false)
            }
            n0     -> n1             : any { skip, sep_conv_3x3 }
        }
        """
    )


def test_long_rules_break_before_and_and_or() -> None:
    becomes(
        """\
        space s in t {
            require density(c) > 0.5 and params in 1M..5.5M and (macs < 1G or depth < 40)
            and count(c, skip) > 3
        }
        """,
        """\
        space s in t {
            require density(c) > 0.5
                and params in 1M..5.5M
                and (macs < 1G or depth < 40)
                and count(c, skip) > 3
        }
        """,
    )


def test_long_bits_break_before_a_bar() -> None:
    groups = " | ".join(["11 10", "11 11 10", "11 01 01 10", "11 11 00 11 01"] * 2)
    becomes(
        f"net n in s {{ pick 0 = {groups} }}",
        """\
        net n in s {
            pick 0 = 11 10 | 11 11 10 | 11 01 01 10 | 11 11 00 11 01 | 11 10 | 11 11 10
                   | 11 01 01 10 | 11 11 00 11 01
        }
        """,
    )


def test_long_headers_and_calls_have_an_item_a_line() -> None:
    words = ", ".join(f"parameter_number_{index}=3" for index in range(4))
    becomes(
        f"op f({words}) = relu\ncell c({words}) {{ in x }}\nnet n in s({words}) {{ conv({words}) }}",
        """\
        op f(
            parameter_number_0=3,
            parameter_number_1=3,
            parameter_number_2=3,
            parameter_number_3=3
        ) =
            relu

        cell c(
            parameter_number_0=3,
            parameter_number_1=3,
            parameter_number_2=3,
            parameter_number_3=3
        ) {
            in x
        }

        net n in s(
            parameter_number_0=3,
            parameter_number_1=3,
            parameter_number_2=3,
            parameter_number_3=3
        ) {
            conv(
                parameter_number_0=3,
                parameter_number_1=3,
                parameter_number_2=3,
                parameter_number_3=3
            )
        }
        """,
    )


def test_other_long_statements() -> None:
    names = ", ".join(f"node_number_{index}" for index in range(9))
    total = " + ".join(f"a_node_{index}.channels" for index in range(4))
    becomes(
        f"cell c {{ in {names}; y = concat({names}); let total = {total} }}",
        """\
        cell c {
            in node_number_0, node_number_1, node_number_2, node_number_3, node_number_4,
                node_number_5, node_number_6, node_number_7, node_number_8
            y = concat(
                node_number_0, node_number_1, node_number_2, node_number_3, node_number_4,
                node_number_5, node_number_6, node_number_7, node_number_8
            )
            let total =
                a_node_0.channels + a_node_1.channels + a_node_2.channels + a_node_3.channels
        }
        """,
    )


def test_a_repeat_of_one_stage_stays_on_its_line() -> None:
    becomes(
        """\
        net n {
            repeat 3 {
                a
            }
            repeat 3 { a; b }
            repeat 3 { repeat 2 { a } }
            repeat 3 { a  # so
            }
        }
        """,
        """\
        net n {
            repeat 3 { a }
            repeat 3 {
                a
                b
            }
            repeat 3 {
                repeat 2 { a }
            }
            repeat 3 {
                a  # so
            }
        }
        """,
    )


# --- trees without text, and laws


def test_a_tree_made_by_a_program_is_written() -> None:
    operation = nodes.Sum((nodes.Call(Ident("skip")), nodes.Call(Ident("sep"))))
    picks = nodes.PickEdges(Ident("c"), (nodes.Edge((Ident("x0"),), (Ident("n0"),), operation),))
    net = nodes.NetDefinition("net", Ident("mine"), (), nodes.Call(Ident("cell_based")), (picks,))
    tree = nodes.File((nodes.Use((Ident("spaces"), Ident("cell_based"))), net))
    assert format_checked(tree) == dedent(
        """\
        use spaces.cell_based

        net mine in cell_based {
            pick c {
                x0 -> n0 : skip + sep
            }
        }
        """
    )


def test_a_part_made_by_a_program_keeps_the_comments_around_it() -> None:
    text = "# a\nnet n in s {  # b\n    # c\n    pick c = 11 |  # d\n        10  # e\n    # f\n}\n"
    tree = parse(Source("<text>", text))
    (net,) = tree.statements
    assert isinstance(net, nodes.NetDefinition)
    edge = nodes.Edge((Ident("x"),), (Ident("y"),))
    spelled = replace(net, body=(nodes.PickEdges(Ident("c"), (edge,), span=net.body[0].span),))
    assert format_checked(replace(tree, statements=(spelled,))) == dedent(
        """\
        # a
        net n in s {  # b
            # c
            # d
            pick c {
                x -> y
            }  # e
            # f
        }
        """
    )


@pytest.mark.parametrize(
    "statement",
    [
        nodes.Use((Ident("two words"),)),
        nodes.Use((Ident("any"),)),
        nodes.OpDefinition(Ident("f"), (), nodes.Chain((nodes.Call(Ident("a")),))),
        nodes.OpDefinition(Ident("f"), (), nodes.Call(Ident("a}\nop b = c"))),
        nodes.NetDefinition("net", Ident("n"), (), None, (nodes.Meta(Ident("k"), nodes.Text("two\nlines")),)),
    ],
)
def test_what_no_text_can_say_is_refused(statement: nodes.Use | nodes.Definition) -> None:
    with pytest.raises(FormatError):
        format_checked(nodes.File((statement,)))


@pytest.mark.slow
def test_a_text_whose_canonical_form_is_too_large_is_refused() -> None:
    wide = "a_name_of_some_length, another -> a_name_of_the_same : f\n"
    with pytest.raises(RobError, match="larger than the bound of 1,000,000 characters"):
        formatted("cell c {\n" + wide + "a->b:f\n" * 20_000 + "}\n")


def test_a_text_with_errors_is_not_formatted() -> None:
    with pytest.raises(RobError):
        formatted("op f = a |")


@pytest.mark.parametrize(
    ("wrong", "law"),
    [
        (lambda text, run: text.replace("relu", "conv"), "another tree"),
        (lambda text, run: text.replace("  # so", ""), "same comments"),
        (lambda text, run: text + "\n" * run, "twice"),
        (lambda text, run: text + "}", "does not parse"),
    ],
)
def test_a_broken_law_is_an_error_and_never_text(
    monkeypatch: pytest.MonkeyPatch, wrong: Callable[[str, int], str], law: str
) -> None:
    right = formatter.format_tree
    runs = itertools.count(1)
    monkeypatch.setattr(formatter, "format_tree", lambda file: wrong(right(file), next(runs)))
    with pytest.raises(FormatError, match=law):
        format_source(Source("<text>", "op f = relu  # so\n"))


def test_formatting_a_tree_checks_nothing() -> None:
    assert format_tree(nodes.File((nodes.Use((Ident("any"),)),))) == "use any\n"
