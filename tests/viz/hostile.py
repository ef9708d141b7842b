"""A program whose every free text tries to become something else."""

from __future__ import annotations

ATTACKS = (
    "</script><script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    '"]; x [label=<b>]; y ["',
    "]]><svg onload=window.hit=1>",
    "&lt;b&gt; &#x41; --> <!-- {title}",
    r"\N \G \" -> a; }",
)


def literal(text: str) -> str:
    """A string of the language."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_META = "\n".join(f"    meta key{number} = {literal(text)}" for number, text in enumerate(ATTACKS))

HOSTILE = f"""# </pre></script><script>window.hit=1</script> <!-- -->
cell digraph(strict) {{ # "]; }} </li><img src=x onerror=window.hit=1>
    in node
    node -> edge : any {{ relu, conv(1, strict) }}
    edge -> out  : identity
}}

space graph_ {{
    input 3 x 8 x 8
    pick subgraph : digraph
    subgraph(3)
    global_avg_pool | flatten | linear(2)
}}

net strict in graph_ {{
    pick subgraph {{ node -> edge : relu + conv }}
{_META}
}}
"""
