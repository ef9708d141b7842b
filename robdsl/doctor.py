"""What robdsl finds on this machine: versions, devices, kernels, extras, programs, data, and what to install.

Libraries are really imported, because one that is installed may still not load (a torchvision built for another
torch is the common case). What is needed and what belongs to which extra is read from the installed metadata.
"""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

State = Literal["ok", "missing", "broken"]

EXTRAS: dict[str, str] = {
    "data": "data sets other than digits",
    "torchattacks": "robdsl attack --backend torchattacks",
    "foolbox": "robdsl attack --backend foolbox",
    "art": "robdsl attack --backend art",
    "onnx": "robdsl compile --emit onnx",
    "tensorboard": "TensorBoard's files of a training run",
    "postgres": "searches on many machines",
    "dashboard": "Optuna's page on a running search",
    "lsp": "robdsl lsp, for editors",
    "images": "robdsl analyze --format png,pdf,svg",
}
"""What each extra is for; the order is that of the report."""

_MODULES = {
    "adversarial-robustness-toolbox": "art",
    "optuna-dashboard": "optuna_dashboard",
    "scikit-learn": "sklearn",
}
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        name: what it is.
        state: ``ok``, ``missing``, or ``broken`` (there, but it does not load or is of a wrong version).
        detail: its version or place, or what is wrong with it.
        remedy: what to do where it is not ok; None where there is nothing to do.
    """

    name: str
    state: State
    detail: str
    remedy: str | None = None


@dataclass(frozen=True)
class Report:
    """All that was found, by kind.

    Attributes:
        needed: what nothing works without.
        devices: what nets can run on, and whether kernels run there.
        extras: libraries behind optional parts.
        programs: programs that are not Python's.
        data: data sets.
        root: the folder in which data sets are looked for.
    """

    needed: tuple[Finding, ...]
    devices: tuple[Finding, ...]
    extras: tuple[Finding, ...]
    programs: tuple[Finding, ...]
    data: tuple[Finding, ...]
    root: Path

    @property
    def healthy(self) -> bool:
        """Whether everything that is needed is there and loads."""
        return all(each.state == "ok" for each in self.needed)

    @property
    def remedies(self) -> tuple[str, ...]:
        """What to do about what is missing or broken, each thing once."""
        found = (*self.needed, *self.devices, *self.extras, *self.programs, *self.data)
        return tuple(dict.fromkeys(each.remedy for each in found if each.remedy is not None))

    def to_json(self) -> dict[str, object]:
        """The report as plain data."""
        return {"healthy": self.healthy, **asdict(self), "root": str(self.root), "remedies": self.remedies}


def examine(root: Path | None = None) -> Report:
    """Looks at this machine; imports torch and every optional library that is installed.

    Args:
        root: where data sets are looked for; as in `robdsl.data.load_data` unless given.
    """
    needed = tuple(_needed())
    torch_works = all(each.state == "ok" for each in needed if each.name == "torch")
    if root is None:
        root = Path(os.environ.get("ROBDSL_DATA", "data"))
    return Report(
        needed=needed,
        devices=tuple(_devices()) if torch_works else (),
        extras=tuple(_extra(name) for name in EXTRAS),
        programs=(_graphviz(), _browser()),
        data=tuple(_data(root)) if torch_works else (),
        root=root.absolute(),
    )


def _requirements(extra: str | None) -> list[Requirement]:
    """What robdsl requires here, or what one of its extras adds to that."""
    parsed = [Requirement(each) for each in requires("robdsl") or ()]
    base = [each for each in parsed if each.marker is None or each.marker.evaluate({"extra": ""})]
    if extra is None:
        return base
    added = [each for each in parsed if each.marker is not None and each.marker.evaluate({"extra": extra})]
    return [each for each in added if each not in base and each.name != "robdsl"]


def _needed() -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Finding("robdsl", "ok", version("robdsl"))
    for each in _requirements(None):
        yield _library(each, f"pip install '{each.name}{each.specifier}'")


def _extra(name: str) -> Finding:
    remedy = f"pip install 'robdsl[{name}]'"
    parts = [_library(each, remedy) for each in _requirements(name)]
    wrong = [each for each in parts if each.state != "ok"]
    if wrong:
        broken = [each for each in wrong if each.state == "broken"]
        first = (broken or wrong)[0]
        return Finding(name, first.state, f"{first.name}: {first.detail}", first.remedy)
    return Finding(name, "ok", ", ".join(f"{each.name} {each.detail}" for each in parts))


def _library(wanted: Requirement, remedy: str) -> Finding:
    """Whether a library is installed, of a fitting version, and loads."""
    try:
        installed = version(wanted.name)
    except PackageNotFoundError:
        return Finding(wanted.name, "missing", "not installed", remedy)
    if not wanted.specifier.contains(installed, prereleases=True):
        return Finding(wanted.name, "broken", f"{installed}, and {wanted.specifier} is needed", remedy)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a library thinks of its own imports helps nobody here
            importlib.import_module(_MODULES.get(wanted.name, wanted.name))
    except Exception as error:  # noqa: BLE001 - whatever a library raises when it loads is the finding
        said = " ".join(str(error).split())[:200] or type(error).__name__
        again = remedy.replace("pip install", "pip install --force-reinstall", 1)
        return Finding(wanted.name, "broken", f"{installed} does not load: {said}", again)
    return Finding(wanted.name, "ok", installed)


def _devices() -> Iterator[Finding]:
    import torch

    from robdsl.kernels import available

    yield Finding("cpu", "ok", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads")
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        memory = facts.total_memory / 2**30
        yield Finding(f"cuda:{index}", "ok", f"{facts.name}, {memory:.0f} GiB, CUDA {torch.version.cuda}")
    try:
        yield Finding("triton", "ok", version("triton"))
    except PackageNotFoundError:
        yield Finding("triton", "missing", "it comes with the builds of torch for GPUs on Linux")
    found = available()
    yield Finding("kernels", "ok" if found else "missing", found.reason)


def _graphviz() -> Finding:
    try:
        return Finding("graphviz", "ok", f"pygraphviz {version('pygraphviz')}")
    except PackageNotFoundError:
        pass
    if (found := shutil.which("dot")) is not None:
        return Finding("graphviz", "ok", found)
    return Finding("graphviz", "missing", "no pygraphviz, no `dot`: no PNG and PDF", "pip install pygraphviz")


def _browser() -> Finding:
    wanted = (os.environ.get("BROWSER_PATH"), *_BROWSERS)
    for name in filter(None, wanted):
        if (found := shutil.which(name)) is not None:
            return Finding("browser", "ok", found)
    remedy = "apt-get install chromium  (or any Chrome; BROWSER_PATH names one elsewhere)"
    return Finding("browser", "missing", "no Chrome or Chromium: no images of reports", remedy)


def _data(root: Path) -> Iterator[Finding]:
    from robdsl.data import FACTS
    from robdsl.data.places import places

    for name in FACTS:
        wanted = places(name, root)
        lacking = [str(each) for each in wanted if not each.exists()]
        if lacking:
            yield Finding(name, "missing", f"looked for {', '.join(lacking)}")
        else:
            yield Finding(name, "ok", ", ".join(map(str, wanted)) or "inside scikit-learn")
