"""The machines that the cost model knows, and how long work takes there at best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from robdsl.compiler.cost.work import Work

#: Bytes of a number of float32.
_BYTES = 4


@dataclass(frozen=True)
class Machine:
    """What bounds a step on a machine.

    Attributes:
        name: ``cpu``, or ``cuda`` with the compute capability.
        about: which machine the figures are of.
        bandwidth: bytes a second to and from memory.
        flops: float32 operations a second, two for a multiplication with an addition.
        overhead: seconds that a library call takes besides its work.
        batch: how many images a step is reckoned for.
        capability: what CUDA calls compute capability; 0 where there is no CUDA. Kernels run from 8 on.
    """

    name: str
    about: str
    bandwidth: float
    flops: float
    overhead: float
    batch: int
    capability: int = 0

    def seconds(self, work: Iterable[Work]) -> float:
        """How long calls take one after the other, each bound by memory or by arithmetic, and by its overhead."""
        return sum(
            self.overhead
            + self.batch * max(_BYTES * each.numbers / self.bandwidth, 2 * each.macs / self.flops)
            for each in work
        )

    def floor(self, work: Iterable[Work]) -> float:
        """How long the multiplications alone take, nothing else being done."""
        return sum(2 * each.macs for each in work) * self.batch / self.flops


#: Bandwidths and float32 rates of GPUs are those in their makers' data sheets (for sm_90, the bandwidth that a copy
#: reaches of the 4.8 TB/s); those of the CPU are round figures for one core of a server with AVX-512.
MACHINES: Mapping[str, Machine] = {
    each.name: each
    for each in (
        Machine("cpu", "one core with AVX-512", 15e9, 100e9, 5e-6, 32),
        Machine("sm_80", "A100, 80 GB", 2.039e12, 19.5e12, 5e-6, 32, 8),
        Machine("sm_90", "H200", 4.3e12, 67e12, 5e-6, 32, 9),
    )
}
