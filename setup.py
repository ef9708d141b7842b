"""Which packages a wheel holds; all else is in pyproject.toml.

``cli/``, ``archs/`` and ``grammars/`` stand at the top of the repository, where people look for them, and
are installed inside the package as ``robdsl.cli``, ``robdsl.archs`` and ``robdsl.grammars``. Folders are
found, so a new one needs no entry here; a new kind of file that is no Python needs its pattern.
"""

from setuptools import find_namespace_packages, find_packages, setup


def data_folders(name: str) -> list[str]:
    """A folder of data and those within it, as packages: Python knows no other kind of folder."""
    return [f"robdsl.{name}", *(f"robdsl.{name}.{inner}" for inner in find_namespace_packages(name))]


setup(
    packages=[
        *find_packages(include=["robdsl", "robdsl.*"]),
        "robdsl.cli",
        *(f"robdsl.cli.{name}" for name in find_packages("cli")),
        *data_folders("archs"),
        *data_folders("grammars"),
    ],
    package_dir={"robdsl.cli": "cli", "robdsl.archs": "archs", "robdsl.grammars": "grammars"},
    package_data={"": ["py.typed", "*.rob", "*.lark", "*.css", "*.js", "*.json"]},
)
