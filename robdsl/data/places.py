"""Where the files of each data set are looked for."""

from __future__ import annotations

from pathlib import Path

from robdsl.data.registry import canonical_name

# Below the folder of all data. The last two may also be given as the folder itself: see robdsl.data.folders.
_NEEDED: dict[str, tuple[str, ...]] = {
    "digits": (),
    "cifar10": ("cifar-10-batches-py",),
    "cifar100": ("cifar-100-python",),
    "svhn": ("train_32x32.mat", "test_32x32.mat"),
    "tiny_imagenet": ("train", "val"),
    "imagenet": ("train", "val"),
}
_OWN_FOLDER = {"tiny_imagenet": "tiny-imagenet-200", "imagenet": "imagenet"}


def places(name: str, root: Path) -> tuple[Path, ...]:
    """What must exist below ``root`` for a data set to be read; nothing for digits, which scikit-learn holds.

    That they exist says nothing of what is in them, which `robdsl.data.load_data` checks.

    Raises:
        UnknownDataError: there is no such data set.
    """
    name = canonical_name(name)
    folder = root
    if name in _OWN_FOLDER:
        own, other = root / _OWN_FOLDER[name], root
        folder = other if not own.is_dir() and (other / "train").is_dir() else own
    return tuple(folder / needed for needed in _NEEDED[name])
