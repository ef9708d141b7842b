"""One image file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from robdsl.data.errors import BrokenDataError, MissingDataError
from robdsl.data.torchvision_sets import torchvision


def open_image(file: Path) -> Any:
    """The decoded RGB image (PIL) of a file.

    Raises:
        MissingDataError: the file, or the folder that it was listed in, is no longer there.
        BrokenDataError: it cannot be decoded.
    """
    try:
        return torchvision("datasets.folder").pil_loader(file)
    except FileNotFoundError as error:
        gone = file
        while not gone.parent.is_dir():
            gone = gone.parent
        raise MissingDataError(
            f"{gone} has vanished: put the data back and run the same command again"
        ) from error
    except (OSError, ValueError) as error:
        raise BrokenDataError(f"{file} is no readable image ({error}): fetch it again") from error
