"""Names of the text as names of modules and values in Python; without torch, for whoever writes code as text.

The name of a stage, edge or operation may be one that a module already has (``train``, ``forward``) or that
Python keeps to itself (``class``). Such a name gets an underscore, and so does every name that it would then
clash with. A name that begins with an underscore, as what modules keep to themselves does, gets three.
"""

from __future__ import annotations

import keyword

#: What a `torch.nn.Module` or a `torch.fx.GraphModule` has that begins with no underscore. A constant, so that the
#: keys of weights are the same under every torch; a test compares it with the torch that is there.
MODULE_ATTRIBUTES = frozenset(
    {
        "T_destination", "add_module", "add_submodule", "apply", "bfloat16", "buffers", "call_super_init",
        "children", "code", "compile", "cpu", "cuda", "delete_all_unused_submodules", "delete_submodule",
        "double", "dump_patches", "eval", "extra_repr", "float", "forward", "get_buffer", "get_extra_state",
        "get_parameter", "get_submodule", "graph", "half", "ipu", "load_state_dict", "meta", "modules",
        "mtia", "named_buffers", "named_children", "named_modules", "named_parameters", "parameters",
        "print_readable", "recompile", "register_backward_hook", "register_buffer", "register_forward_hook",
        "register_forward_pre_hook", "register_full_backward_hook", "register_full_backward_pre_hook",
        "register_load_state_dict_post_hook", "register_load_state_dict_pre_hook", "register_module",
        "register_parameter", "register_state_dict_post_hook", "register_state_dict_pre_hook",
        "requires_grad_", "set_extra_state", "set_submodule", "shape_env", "share_memory", "state_dict", "to",
        "to_empty", "to_folder", "train", "training", "type", "xpu", "zero_grad",
    }
)  # fmt: skip

#: How many underscores lead out of the taken names, for each of them without those at its end.
_UNDERSCORES = {
    name.rstrip("_"): len(name) - len(name.rstrip("_")) + 1
    for name in (*MODULE_ATTRIBUTES, *keyword.kwlist, "self")
}
#: As many lead out of all names with an underscore in front: those of Python end in two at most.
_HIDDEN = 3


def module_name(name: str) -> str:
    """The attribute for a part of a path; different for different names.

    ``conv_0`` as it is, ``train`` -> ``train_``, ``train_`` -> ``train__``, ``_x`` -> ``_x___``.
    """
    if name.startswith("_"):
        return name + "_" * _HIDDEN
    return name + "_" * _UNDERSCORES.get(name.rstrip("_"), 0)


def module_path(stage: str, key: str = "") -> str:
    """The path of a stage's module (dots divide), or of the one at a key below it, as in the `state_dict`."""
    path = f"{stage}.{key}" if key else stage
    return ".".join(map(module_name, path.split(".")))


def value_name(key: str) -> str:
    """The name of a value in generated code; `torch.fx` sees to the rest (keywords, builtins, doubles)."""
    name = key.replace(".", "_")
    return "self_" if name == "self" else name
