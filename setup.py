"""Which packages a wheel holds; all else is in pyproject.toml.

``cli/``, ``archs/`` and ``grammars/`` stand at the top of the repository, where people look for them, and
are installed inside the package as ``robdsl.cli``, ``robdsl.archs`` and ``robdsl.grammars``. Packages under
``robdsl/`` and ``cli/`` are found, so a new one needs no entry here.
"""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["robdsl", "robdsl.*"]),
        "robdsl.cli",
        *(f"robdsl.cli.{name}" for name in find_packages("cli")),
        "robdsl.archs",
        "robdsl.grammars",
    ],
    package_dir={"robdsl.cli": "cli", "robdsl.archs": "archs", "robdsl.grammars": "grammars"},
    package_data={
        "robdsl": ["py.typed"],
        "robdsl.archs": ["**/*.rob"],
        "robdsl.grammars": ["**/*.lark"],
    },
)
