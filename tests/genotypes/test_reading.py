"""What is read as what, what is refused with which words, and what strangers' text cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import robdsl
from robdsl.diagnostics.diagnostic import RobError
from robdsl.genotypes import GenotypeError, read_genotypes, write_genotype
from robdsl.graph.net import Net

MICRO = "DenseMicroGenotype(cell_0='init_node~2+|skip_connect~0|sep_conv_3x3~0|+||+|sep_conv_3x3~3|+||')"
DARTS_V2 = """
from collections import namedtuple
Genotype = namedtuple('Genotype', 'normal normal_concat reduce reduce_concat')
PRIMITIVES = ['none', 'max_pool_3x3']
NODES = 4 * 1
DARTS_V2 = Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1),
  ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5],
  reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0),
  ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])
DARTS = DARTS_V2
"""


def one(text: str, **options: str) -> Net:
    (net,) = read_genotypes(text, **options)
    return net


class TestReading:
    def test_the_published_list_of_robnet_large(self) -> None:
        text = (
            "a = b = [['11', '11', '11', '11', '11', '01', '11', '01', '10', '11', '01', '01', '01', '11']]"
        )
        first, second = read_genotypes(text)
        assert (first.name, second.name) == ("a", "b")
        assert first.hash == second.hash == robdsl.load("robnet_large").hash

    def test_json(self) -> None:
        code = write_genotype(robdsl.load("robnet_free"), "robnets")
        assert code.startswith('[["11", "10", "11", "11", "10"')
        assert one(code).hash == robdsl.load("robnet_free").hash

    def test_a_file_of_genotypes_as_darts_ships_it(self) -> None:
        net = one(DARTS_V2)
        assert net.name == "DARTS_V2"
        assert net.alpha == ["4 4 | 4 4 0 | 3 4 0 0 | 3 0 6 0 0", "1 1 | 0 1 3 | 1 0 3 0 | 0 1 3 0 0"]

    def test_both_spellings_of_darts_are_one_net(self) -> None:
        flat = "Genotype([('sep_conv_3x3', 0), ('skip_connect', 1)] * 1, [], [], [])"
        with pytest.raises(GenotypeError, match="only strings"):
            read_genotypes(flat)
        pairs = "('sep_conv_3x3', 1), ('skip_connect', 0)"
        nested = f"Genotype(normal=[{', '.join([f'[{pairs}]'] * 4)}], normal_concat=range(2, 6), "
        nested += f"reduce=[{', '.join([f'[{pairs}]'] * 4)}], reduce_concat=range(2, 6))"
        plain = nested.replace(f"[{pairs}]", pairs)
        assert one(nested).choices == one(plain).choices

    def test_nas_bench_201(self) -> None:
        code = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|"
        assert one(code).alpha == ["3 | 0 1 | 1 4 2"]
        assert one(repr(code)).choices == one(code).choices
        assert [net.name for net in read_genotypes(f"{code}\n{code}\n")] == ["imported", "imported_2"]

    def test_a_micro_genotype_is_a_robnet_cell(self) -> None:
        net = one(MICRO)
        assert net.alpha == ["11 00 | 00 00 00 | 00 00 00 01 | 00 00 00 00 00"]
        assert net.layout.spaces[0].name == "cell_based"

    def test_names_that_cannot_be_ours(self) -> None:
        code = str(["01"] * 14)
        names = [
            net.name for net in read_genotypes(f"net = {code}; café = {code}; good = {code}; good = {code}")
        ]
        assert names == ["net_net", "net_caf_", "good", "good_2"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hello", "only strings"),
        ("", "there is no code in this text"),
        ("[['11', '0']]", "14 strings of two bits"),
        ("[['111'] * 14]", "only strings"),
        (str([["111"] * 14]), "14 strings of two bits"),
        (
            "|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|",
            "no operation 'conv'; there are none, skip_connect",
        ),
        ("|none~0|+|none~0|none~1|", "three nodes"),
        ("|none~1|+|none~0|none~1|+|none~0|none~1|none~2|", "reads every node before it once"),
        ("|none|~+", "a node is written"),
        ("|none|~", "a node is written"),
        (
            DARTS_V2.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 0)"),
            "DARTS_V2: normal: node 5 reads 0 twice",
        ),
        (DARTS_V2.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)"), "which comes after it"),
        (DARTS_V2.replace("'dil_conv_3x3'", "'sep_conv_7x7'"), "no operation 'sep_conv_7x7'"),
        (DARTS_V2.replace("reduce_concat=[2, 3, 4, 5]", "reduce_concat=[4, 5]"), "join all of their nodes"),
        (DARTS_V2.replace(", ('dil_conv_3x3', 2)", ""), "8 pairs"),
        (MICRO.replace("init_node~2", "init_node~1"), "two inputs"),
        (MICRO.replace("sep_conv_3x3~3", "sep_conv_3x3~4"), "cannot read 4"),
        (MICRO.replace("sep_conv_3x3~0", "skip_connect~0"), "stands twice"),
        (MICRO.replace("Micro", "Rob"), "normal_0, normal_1, reduce_2"),
        ("DenseRobGenotype(normal_0='init_node~2+|none~0|none~1|')", "two reductions"),
        ("((((", "neither a code nor Python"),
        ("x" * (1 << 20) + "x", "are read at most"),
        ("[" * 5000, "neither a code nor Python"),
        ("\0", "neither a code nor Python"),
    ],
)
def test_what_is_wrong_is_said(text: str, why: str) -> None:
    with pytest.raises(GenotypeError) as caught:
        read_genotypes(text)
    assert why in str(caught.value)


def test_a_net_of_empty_cells_breaks_the_rule_of_its_space() -> None:
    with pytest.raises(RobError):
        read_genotypes(str([["00"] * 14]))


def test_only_formats_that_there_are() -> None:
    with pytest.raises(GenotypeError, match="there are robnets, darts, nas-bench-201, aw-nas"):
        read_genotypes("[]", format="pickle")
    with pytest.raises(GenotypeError, match="there are robnets"):
        write_genotype(robdsl.load("robnet_small"), "pickle")


def test_a_net_of_another_space_has_no_code() -> None:
    for name in ("resnet18", "robnet_large"):
        with pytest.raises(GenotypeError, match="says a net in darts"):
            write_genotype(robdsl.load(name), "darts")
    with pytest.raises(GenotypeError, match="supernet"):
        write_genotype(robdsl.load_space("cell_based").supernet(), "robnets")


EVIL = "__import__('pathlib').Path('harm').write_text('done')"


@given(st.text(max_size=200))
@example(EVIL)
@example(f"x = {EVIL}")
@example(f"Genotype(normal={EVIL}, reduce=[])")
@example("DenseRobGenotype(**{'a': 1})")
@example("range(10**9)")
@example("[range(0, 999, -1)]")
@example("-" * 3000 + "1")
@example("'\\d|~'")
@example("DenseMicroGenotype(cell_0='init_node~2+|a~0|')")
def test_no_text_does_more_than_be_refused(text: str) -> None:
    try:
        nets = read_genotypes(text)
    except (GenotypeError, RobError):
        nets = []
    assert all(isinstance(net, Net) for net in nets)
    assert not Path("harm").exists()
