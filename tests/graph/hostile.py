"""Programs that would take all time or memory if nothing bounded them, each with the mistakes that it is."""

from __future__ import annotations

NET = "net n {{\ninput 3 x 8 x 8\n{}\n}}\n"


def net(body: str, definitions: str = "") -> str:
    return f"{definitions}\n{NET.format(body)}"


def _doubling(levels: int) -> str:
    return "op a0 = relu\n" + "".join(f"op a{k + 1} = a{k} | a{k}\n" for k in range(levels))


def _wide_names(count: int, prefix: str = "n") -> str:
    return ", ".join(f"{prefix}{index}" for index in range(count))


def _chain_cell(nodes: int) -> str:
    edges = "".join(f"n{k} -> n{k + 1}\n" for k in range(nodes))
    return f"cell c {{\nin n0\n{edges}n{nodes} -> out\n}}\n"


def _lets(count: int, first: str, then: str) -> str:
    return f"let a0 = {first}\n" + "".join(f"let a{k + 1} = {then.format(k=k)}\n" for k in range(count))


OPEN = "cell o(w=3) {\nin x\nx -> out : any { relu, sigmoid }\n}\n"

#: By name: the text and the codes of what is wrong with it (none where it is merely large).
HOSTILE: dict[str, tuple[str, set[str]]] = {
    "an op that calls itself": (net("a", "op a = relu | a"), {"R604"}),
    "ops that call each other": (net("a", "op a = relu | b\nop b = relu + a"), {"R604"}),
    "an op that calls itself with more": (net("a(1)", "op a(n) = a(n + 1)"), {"R604"}),
    "an op that calls itself on more": (net("a", "op a = conv(1, in.channels + 1) | a"), {"R604"}),
    "a cell in itself": (net("c", "cell c {\nin x\nx -> out : c\n}"), {"R604"}),
    "cells in each other": (net("c", "cell c {\nin x\nx -> out : d\n}\ncell d {\nin x\nx -> out : c\n}"), {"R604"}),
    "a cell in itself, ever wider": (
        net("c(1)", "cell c(n) {\nin x\nx -> y : conv(1, n) | relu\ny -> out : if true then (relu | c(n + 1)) else relu\n}"), {"R604"},
    ),
    "an op whose open body is itself": (net("pick c", "op a = a\ncell c {\nin x\nx -> out : a\n}").replace("net n", "space n"), {"R417"}),
    "an op of open ops in a circle": ("op a = b\nop b = a\ncell c {\nin x\nx -> out : a\n}\n" + net("c"), {"R604"}),
    "a default that grows": (net("a", "op a(n=1, m=n * 1G, k=m * 1G, j=k * 1G) = conv(1, j)"), {"R607"}),
    "deep calls": (net("a120", "op a0 = relu\n" + "".join(f"op a{k + 1} = a{k}\n" for k in range(120))), {"R604"}),
    "calls deep enough": (net("a80", "op a0 = relu\n" + "".join(f"op a{k + 1} = a{k}\n" for k in range(80))), set()),
    "doubling": (net("a60", _doubling(60)), {"R604"}),
    "doubling within the depth": (net("a30", _doubling(30)), {"R608"}),
    "doubling in cells": (
        net("c30", "cell c0 {\nin x\nx -> out : relu\n}\n" + "".join(f"cell c{k + 1} {{\nin x\nx -> y : c{k}\ny -> out : c{k}\n}}\n" for k in range(30))), {"R608"},
    ),
    "a tree of different calls": (net("f(30, 1)", "op f(n, k) = if n == 0 then relu else f(n - 1, 2 * k) | f(n - 1, 2 * k + 1)"), {"R606"}),
    "a tree of different cells": (
        net("f(20, 1)", "cell f(n, k) {\nin x\nx -> y : if n == 0 then relu else f(n - 1, 2 * k)\ny -> out : if n == 0 then relu else f(n - 1, 2 * k + 1)\n}"), {"R606"},
    ),
    "parameters in the billions": (net("conv(99, 1M) | conv(99, 1M)"), {"R608"}),
    "repeat 1G": (net("repeat 1G { relu }"), {"R605"}),
    "repeat 1G of nothing": (net("relu\nrepeat 1G { }"), {"R605"}),
    "repeats in repeats": (net("repeat 10k { repeat 10k { repeat 10k { let a = 1 } } }\nrelu"), {"R605"}),
    "repeats of nothing in repeats": (net("repeat 10k { repeat 10k { repeat 10k { } } }\nrelu"), {"R605"}),
    "repeats of stages": (net("repeat 200 { repeat 100 { relu } }"), {"R605"}),
    "stages of long chains": (net("repeat 9k { " + " | ".join(["relu"] * 2000) + " }"), {"R606"}),
    "stages of long chains of a pick": (net("pick a : o\nrepeat 9k { " + " | ".join(["a"] * 2000) + " }", OPEN).replace("net n", "space n"), {"R606"}),
    "a repeat of a huge cell": (net("repeat 9k { c(in.channels + 1) }", "cell c(w) {\nin x\nx -> a : conv(1, w)\n" + "a -> out\n" * 5000 + "}"), {"R606"}),
    "a giant image": ("net n {\ninput 1M x 1M x 1M\nrelu\n}", {"R607"}),
    "a huge width": (net("conv(3, 1G)"), {"R305"}),
    "an endless flattening": ("net n {\ninput 3 x 5000 x 5000\nconv(1, 1M) | flatten | relu\n}", {"R607"}),
    "a huge number": (net("let a = 999999999G * 1G\nrelu"), {"R607"}),
    "a cell of too many edges": (f"cell c {{\nin x\nx -> {_wide_names(160)}\n{_wide_names(160)} -> {_wide_names(160, 'm')}\n{_wide_names(160, 'm')} -> out\n}}\n" + net("c"), {"R610"}),
    "many edges with a long operation": (
        f"cell c {{\nin x\nx -> {_wide_names(130)}\n{_wide_names(130)} -> {_wide_names(130, 'm')} : {' | '.join(['conv(1, x.channels)'] * 500)}\n{_wide_names(130, 'm')} -> out\n}}\n" + net("c"),
        {"R606"},
    ),
    "a long cell": (_chain_cell(9000) + net("c"), set()),
    "a long cycle": (_chain_cell(19000).replace("n0 -> n1\n", "n0, n18000 -> n1\n") + net("c"), {"R404"}),
    "twenty thousand edges on one pair": ("cell c {\nin x\n" + "x -> out\n" * 19000 + "}\n" + net("c"), set()),
    "thousands of nodes without an edge": (f"cell c {{\nin x\nout = concat(x, {_wide_names(9000)})\n}}\n" + net("c"), {"R407"}),
    "thousands of unknown operations": ("".join(f"op a{k} = b{k} | c{k}\n" for k in range(3000)), {"R203"}),
    "thousands of definitions twice": ("op a = relu\n" * 4000, {"R201"}),
    "thousands of words like names": ("op a(" + _wide_names(900, "parameter_") + ") = conv(" + ", ".join(f"paramter_{k}" for k in range(900)) + ")", {"R302", "W301"}),
    "a long chain of lets": (net(_lets(9000, "1", "a{k} + 1") + "conv(1, a9000)"), set()),
    "lets that double": (net(_lets(100, "1", "a{k} + a{k}") + "relu"), {"R607"}),
    "lets of measures that double": (net("relu\n" + _lets(100, "params", "a{k} + a{k}") + "require a100 > 0"), {"R603"}),
    "a long chain of lets of measures": (net("relu\n" + _lets(9000, "params", "a{k} + 1") + "require a9000 > 0"), {"R602"}),
    "a long chain of lets in a cell": (f"cell c {{\nin x\n{_lets(9000, 'x.channels', 'a{k} + 1')}x -> out : conv(1, a9000)\n}}\n" + net("c"), set()),
    "lets in turns": (net("repeat 9k { " + "; ".join(f"let a{k} = {k}" for k in range(900)) + " }\nrelu"), {"R605"}),
    "a rule that means too much": (
        "".join(f"cell c{k} {{\nin x\nx -> out : any {{ relu, sigmoid }}\n}}\n" for k in range(5))
        + "space s {\ninput 3 x 8 x 8\nrepeat 50 { " + "; ".join(f"pick c{k}" for k in range(5)) + " }\nrequire "
        + " + ".join(f"density(c{k})" for k in range(5)) + " > 0\n}\n",
        {"R612"},
    ),
    "a rule about thousands of picks": (OPEN + "space s {\ninput 3 x 8 x 8\nrepeat 5k { pick o }\nrequire density(o) > 0 and count(o, relu) >= 0\n}\n", set()),
    "thousands of missing picks": (OPEN + "space s {\ninput 3 x 8 x 8\nrepeat 5k { pick o }\n}\nnet n in s {\npick 1 = 11\n}\n", {"R504"}),
    "too many alternatives": ("op a = any { " + ", ".join(f"conv({2 * k + 1})" for k in range(3000)) + " }", {"R611"}),
    "a choice of thousands of edges": (
        "cell c {\nin x\n" + "x -> out : any { relu, sigmoid }\n" * 3000 + "}\nspace s {\ninput 3 x 8 x 8\npick c\n}\nnet n in s {\npick 0 {\n" + "x -> out : relu\n" * 3001 + "}\n}\n",
        {"R507"},
    ),
    "spaces in a long chain": ("space s0 {\ninput 3 x 8 x 8\nrelu\n}\n" + "".join(f"space s{k + 1} in s{k} {{ }}\n" for k in range(500)), {"R604"}),
    "thousands of parameters": ("op a(" + ", ".join(["p0=1", *(f"p{k + 1}=p{k} + 1" for k in range(3000))]) + ") = conv(1, p3000)\n" + net("a"), set()),
    "thousands of arguments": (net("a(" + ", ".join(f"b{k}=1" for k in range(4000)) + ")", "op a(c=1) = relu"), {"R207"}),
    "thousands of conditions": ("op a = relu\n" + net("\n".join(["if in.channels == 3 then a else relu"] * 2000)), set()),
    "thousands of facts": (net("relu\n" + "\n".join(f"meta a{k} = {k}" for k in range(4000))), set()),
    "thousands of labels": (net("\n".join(f"a{k}: relu" for k in range(2000))), set()),
    "thousands of repeats with labels": (net("\n".join(f"a{k}: repeat 3 {{ relu }}" for k in range(1000))), set()),
}  # fmt: skip
