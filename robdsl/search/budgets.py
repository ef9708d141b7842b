"""The paper's strategy under a budget: the part of a space with so many convolutions in every cell.

A budget is a space of its own, written in the language, so that it is counted and drawn from exactly, like any other.
"""

from __future__ import annotations

from robdsl.graph.load import load_space
from robdsl.graph.net import Space
from robdsl.search.errors import SearchError
from robdsl.search.space_file import space_text

BUDGETS = {"small": "<= 7", "medium": "in 8..10", "large": ">= 11"}
"""What each budget asks of the count of convolutions in a cell (facts of the paper: small at most 7, large at least 11)."""


def within_budget(space: Space, budget: str, operation: str = "sep_conv_3x3") -> Space:
    """The nets of a space within a budget.

    Args:
        space: with at least one pick.
        budget: a key of `BUDGETS`.
        operation: what is counted, an alternative of the picked cells.

    Raises:
        SearchError: there is no such budget, or no net within it.
        RobError: the cells do not offer the operation.
    """
    if budget not in BUDGETS:
        raise SearchError(f"{budget!r} is no budget: there are {', '.join(BUDGETS)}")
    if not space.picks:
        raise SearchError(f"{space.name} picks nothing, so that no budget applies to it")
    cells = dict.fromkeys(pick.cell for pick in space.picks)
    name = f"{space.name}_within_{budget}"
    rules = [f"require count({cell}, {operation}) {BUDGETS[budget]}" for cell in cells]
    text = f"{space_text(space)}\nspace {name} in {space.name} {{\n" + "\n".join(rules) + "\n}\n"
    narrowed = load_space(text, space=name, **space.parameters)
    if not narrowed.size():
        raise SearchError(f"no net of {space.name} is within the {budget} budget")
    return narrowed
