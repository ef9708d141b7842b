"""scikit-learn's handwritten digits as 3 x 32 x 32 images: real data that needs no download.

The recipe. The 1,797 images are 8 x 8 with whole grey levels 0 to 16. Each is enlarged four times by
bilinear interpolation between pixel centres, edges repeated, which is exact in integers: along one axis the
four new pixels that lie between the centres of old pixels a and b are (7a + b)/8, (5a + 3b)/8, (3a + 5b)/8
and (a + 7b)/8. The result, 0 to 1024, is scaled to 0 to 255, rounded half up, and repeated for the three
channels. No floating point takes part, so that the images are the same on every machine.

The splits. A fifth of each class (:func:`robdsl.data.splits.hold_out` with the fixed seed) is the test set;
the validation set comes out of the rest, as it does for every other data set.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robdsl.data.dataset import DataFacts
from robdsl.data.errors import MissingLibraryError
from robdsl.data.splits import hold_out

TEST_FRACTION = 0.2
FACTS = DataFacts(
    name="digits",
    shape=(3, 32, 32),
    mean=(0.3053, 0.3053, 0.3053),
    std=(0.3239, 0.3239, 0.3239),
    crop_padding=4,
    flip=False,
)
CLASSES = tuple("0123456789")


def read() -> tuple[Tensor, Tensor]:
    """All 1,797 digits: images (N, 3, 32, 32) uint8 and labels (N,) int64."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingLibraryError(
            f"the digits come with scikit-learn, which cannot be loaded ({error}): pip install scikit-learn"
        ) from error
    bunch = load_digits()
    grey = enlarge(enlarge(bunch.images.astype(np.int64), axis=1), axis=2)
    pixels = ((grey * 255 + 512) // 1024).astype(np.uint8)
    images = torch.from_numpy(pixels).unsqueeze(1).repeat(1, 3, 1, 1)
    return images, torch.from_numpy(bunch.target.astype(np.int64))


def enlarge(values: NDArray[np.int64], axis: int) -> NDArray[np.int64]:
    """Eight times the bilinear enlargement by four along one axis, in integers."""
    moved = np.moveaxis(values, axis, -1)
    before = np.concatenate([moved[..., :1], moved[..., :-1]], axis=-1)
    after = np.concatenate([moved[..., 1:], moved[..., -1:]], axis=-1)
    quarters = [3 * before + 5 * moved, before + 7 * moved, 7 * moved + after, 5 * moved + 3 * after]
    wide = np.stack(quarters, axis=-1).reshape(*moved.shape[:-1], 4 * moved.shape[-1])
    return np.moveaxis(wide, -1, axis)


def parts(labels: Tensor) -> tuple[Tensor, Tensor]:
    """The indices of the images to train on (validation included) and those of the test set."""
    return hold_out(labels, TEST_FRACTION)
