"""Operations and expressions as one line of canonical text.

Parentheses stand only where the tree needs them, but for a chain inside a sum and an `if` inside a branch,
which get them for the reader.
"""

from __future__ import annotations

from collections.abc import Iterable

from robdsl.syntax import nodes

#: How tightly expressions bind, loosest first: `or`, `and`, `not`, comparisons, sums, products, signs, atoms.
_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _SIGN, _ATOM = range(8)
_BINDING = {"or": _OR, "and": _AND, "+": _SUM, "-": _SUM, "*": _PRODUCT, "//": _PRODUCT, "%": _PRODUCT}


def show_expression(expression: nodes.Expr) -> str:
    """The expression as canonical text."""
    return _expression(expression, _OR)


def show_operation(operation: nodes.Op) -> str:
    """The operation as canonical text, however long."""
    match operation:
        case nodes.Call():
            return show_call(operation)
        case nodes.Chain(parts=parts):
            return " | ".join(map(show_part, parts))
        case nodes.Sum(parts=parts):
            return " + ".join(map(show_part, parts))
        case nodes.If():
            condition, then = show_expression(operation.condition), show_then(operation)
            return f"if {condition} then {then} else {show_operation(operation.otherwise)}"
        case nodes.Nothing():
            return "none"
        case nodes.Choice(kind=kind, alternatives=alternatives):
            return f"{kind} {{ {', '.join(map(show_operation, alternatives))} }}"


def stands_alone(operation: nodes.Op) -> bool:
    """Whether an operation needs no parentheses inside a chain or a sum."""
    return isinstance(operation, nodes.Call | nodes.Nothing | nodes.Choice)


def show_part(operation: nodes.Op) -> str:
    """A part of a chain or a sum."""
    shown = show_operation(operation)
    return shown if stands_alone(operation) else f"({shown})"


def show_then(operation: nodes.If) -> str:
    """The branch between ``then`` and ``else``."""
    shown = show_operation(operation.then)
    return f"({shown})" if isinstance(operation.then, nodes.If) else shown


def show_call(call: nodes.Call) -> str:
    """``conv(3, stride=2)``; without arguments only the name."""
    return (
        f"{call.callee}({', '.join(map(show_argument, call.arguments))})"
        if call.arguments
        else str(call.callee)
    )


def show_argument(argument: nodes.Argument) -> str:
    """``3`` or ``stride=2``"""
    value = show_expression(argument.value)
    return value if argument.name is None else f"{argument.name}={value}"


def show_parameter(parameter: nodes.Parameter) -> str:
    """``width`` or ``stride=1``"""
    return (
        str(parameter.name)
        if parameter.default is None
        else f"{parameter.name}={show_expression(parameter.default)}"
    )


def show_names(names: Iterable[nodes.Ident]) -> str:
    """``a, b, c``"""
    return ", ".join(map(str, names))


def show_parameters(parameters: Iterable[nodes.Parameter]) -> str:
    """``(width, stride=1)``; nothing when there are none."""
    shown = ", ".join(map(show_parameter, parameters))
    return f"({shown})" if shown else ""


def show_conditions(expression: nodes.Expr) -> list[str] | None:
    """``["a", "or b", "or c"]``: what ``and`` or ``or`` joins; None for other expressions."""
    if not isinstance(expression, nodes.Binary) or expression.operator not in ("and", "or"):
        return None
    binding = _BINDING[expression.operator]
    joined: list[str] = []
    first: nodes.Expr = expression
    while isinstance(first, nodes.Binary) and first.operator == expression.operator:
        joined.append(f"{expression.operator} {_expression(first.right, binding + 1)}")
        first = first.left
    return [_expression(first, binding), *reversed(joined)]


# --- expressions


def _expression(expression: nodes.Expr, loosest: int) -> str:
    """The text of an expression that must bind at least as tightly as ``loosest``."""
    text, binding = _bound(expression)
    return f"({text})" if binding < loosest else text


def _bound(expression: nodes.Expr) -> tuple[str, int]:
    match expression:
        case nodes.Number(text=text) | nodes.Name(name=text):
            return text, _ATOM
        case nodes.Boolean(value=value):
            return ("true" if value else "false"), _ATOM
        case nodes.Attribute(value=value, attribute=attribute):
            return f"{value}.{attribute}", _ATOM
        case nodes.Measure():
            return _measure(expression), _ATOM
        case nodes.Unary(operator="not", operand=operand):
            return f"not {_expression(operand, _NOT)}", _NOT
        case nodes.Unary(operand=operand):
            # `--x` would be the same tree; two signs are told apart for the reader
            return f"-{_expression(operand, _ATOM)}", _SIGN
        case nodes.Within(value=value, low=low, high=high):
            within = f"{_expression(value, _SUM)} in {_expression(low, _SUM)}..{_expression(high, _SUM)}"
            return within, _COMPARISON
        case nodes.Binary():
            return _binary(expression)


def _binary(expression: nodes.Binary) -> tuple[str, int]:
    operator = expression.operator
    binding = _BINDING.get(operator, _COMPARISON)
    if binding == _COMPARISON:  # one comparison: neither side is another
        return (
            f"{_expression(expression.left, _SUM)} {operator} {_expression(expression.right, _SUM)}",
            binding,
        )
    left, right = _expression(expression.left, binding), _expression(expression.right, binding + 1)
    return (f"{left}*{right}" if _tight(expression) else f"{left} {operator} {right}"), binding


def _tight(expression: nodes.Binary) -> bool:
    """``3*width``, but ``a // b * c``, which would else look like ``a // (b*c)``."""
    if expression.operator != "*":
        return False
    left = expression.left
    return not (
        isinstance(left, nodes.Binary)
        and (left.operator in ("//", "%") or (left.operator == "*" and not _tight(left)))
    )


def _measure(measure: nodes.Measure) -> str:
    target = str(measure.target) if measure.node is None else f"{measure.target}.{measure.node}"
    operation = "" if measure.operation is None else f", {show_operation(measure.operation)}"
    return f"{measure.function}({target}{operation})"
