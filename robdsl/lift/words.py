"""A primitive of a traced model as a word of the language, for all its uses at once."""

from __future__ import annotations

from collections.abc import Sequence

from robdsl.lift.sizes import Sizes, spelled
from robdsl.lift.values import Applied, Number


def say(uses: Sequence[Applied], entering: Sequence[int], sizes: Sizes) -> str:
    """``conv(3, width, stride)``, as short as the defaults of the language allow.

    Args:
        uses: the same primitive in each use of a block.
        entering: the channels of what it is applied to, in each use.
        sizes: of the block.
    """
    name = uses[0].name
    match name:
        case "conv":
            return _conv(uses, entering, sizes)
        case "linear":
            return _call("linear", [sizes.say("features", _all(uses, "features"))], [_bias(uses, True)])
        case "batch_norm":
            return "batch_norm" if uses[0]["affine"] else "batch_norm(affine=false)"
        case "dropout":
            return f"dropout({sizes.say('p', _all(uses, 'p'))})"
        case "max_pool" | "avg_pool":
            return _pool(uses, sizes)
    return name


def _all(uses: Sequence[Applied], name: str) -> list[Number]:
    return [each[name] for each in uses]


def _conv(uses: Sequence[Applied], entering: Sequence[int], sizes: Sizes) -> str:
    kernel, width, groups = (_all(uses, name) for name in ("kernel", "width", "groups"))
    deep = (
        groups == width == list(entering)
        and not any(_all(uses, "bias"))
        and set(_all(uses, "dilation")) == {1}
    )
    said = [sizes.say("kernel", kernel)]
    if not deep and width != list(entering):
        said.append(sizes.say("width", width))
    padding = _all(uses, "padding")
    usual = [int(each) // 2 for each in kernel]
    named = [
        _named("stride", uses, sizes, [1] * len(uses)),
        "" if padding == usual else f"padding={sizes.say('padding', padding)}",
    ]
    if deep and min(entering) > 1:
        return _call("depthwise", said, named)
    named += [
        _named("groups", uses, sizes, [1] * len(uses)),
        _named("dilation", uses, sizes, [1] * len(uses)),
    ]
    return _call("conv", said, [*named, _bias(uses, False)])


def _pool(uses: Sequence[Applied], sizes: Sizes) -> str:
    kernel = _all(uses, "kernel")
    named = [_named("stride", uses, sizes, kernel), _named("padding", uses, sizes, [0] * len(uses))]
    return _call(uses[0].name, [sizes.say("kernel", kernel)], named)


def _named(name: str, uses: Sequence[Applied], sizes: Sizes, usual: Sequence[Number]) -> str:
    values = _all(uses, name)
    return "" if values == list(usual) else f"{name}={sizes.say(name, values)}"


def _bias(uses: Sequence[Applied], usual: bool) -> str:
    given = uses[0]["bias"]  # the same in all uses: it is part of a block's structure
    return "" if given == usual else f"bias={spelled(given)}"


def _call(name: str, placed: Sequence[str], named: Sequence[str]) -> str:
    return f"{name}({', '.join([*placed, *filter(None, named)])})"
