"""One image file."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

from robdsl.data.errors import BrokenDataError, MissingDataError
from robdsl.data.torchvision_sets import torchvision

#: The longest side of a picture over its shortest: resized by the shortest, a strip would grow without bound.
MAX_ASPECT = 100


def open_image(file: Path) -> Any:
    """The decoded RGB image (PIL) of a file.

    Raises:
        MissingDataError: the file, or the folder that it was listed in, is no longer there.
        BrokenDataError: it cannot be decoded, or unpacks to more pixels than PIL believes in (89 million),
            or is a strip of more than `MAX_ASPECT` to 1.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = torchvision("datasets.folder").pil_loader(file)
    except FileNotFoundError as error:
        gone = file
        while not gone.parent.is_dir():
            gone = gone.parent
        raise MissingDataError(
            f"{gone} has vanished: put the data back and run the same command again"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BrokenDataError(f"{file} is no picture of a data set ({error})") from error
    # What PIL's decoders raise for damaged files; a SyntaxError is one about the file's own syntax.
    except (OSError, ValueError, SyntaxError, IndexError, struct.error, zlib.error) as error:
        raise BrokenDataError(f"{file} is no readable image ({error}): fetch it again") from error
    if max(image.size) > MAX_ASPECT * min(image.size):
        raise BrokenDataError(
            f"{file} is no picture of a data set: it is {image.width} x {image.height}, more than {MAX_ASPECT} to 1"
        )
    return image
