"""What a compiled model costs on a machine, and which passes pay there."""

from robdsl.compiler.cost.choose import Choice, choose
from robdsl.compiler.cost.machine import MACHINES, Machine
from robdsl.compiler.cost.work import Work, total, work_of

__all__ = ["MACHINES", "Choice", "Machine", "Work", "choose", "total", "work_of"]
