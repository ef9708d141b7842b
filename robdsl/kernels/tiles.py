"""How maps are cut into tiles."""

from __future__ import annotations

from dataclasses import dataclass


def up_to_power(n: int) -> int:
    """The least power of two that is not less than `n`, which is at least 1."""
    return 1 << (n - 1).bit_length()


def over(n: int, block: int) -> int:
    """How many blocks cover `n`."""
    return -(-n // block)


@dataclass(frozen=True)
class Tile:
    """A tile of whole maps, or of rows of one map with a halo row above and below.

    Attributes:
        rows: positions on chip, a power of two.
        lines: rows of the map that the tile answers for; 0 where it holds whole maps.
        images: whole maps that it holds; 1 where it holds `lines`.
    """

    rows: int
    lines: int
    images: int

    def count(self, n: int, height: int) -> int:
        """Tiles that cover `n` maps of `height` rows."""
        return n * over(height, self.lines) if self.lines else over(n, self.images)


#: More positions than this do not fit on chip with a block of channels.
MOST_ROWS = 1024


def tile_of(rows: int, height: int, width: int) -> Tile | None:
    """The tile that holds about `rows` positions of maps of `height` x `width`; None if not even three rows fit."""
    size = height * width
    if size <= rows:
        return Tile(rows, 0, rows // size)
    if up_to_power(size) <= rows or up_to_power(3 * width) > rows:
        rows = up_to_power(min(size, 3 * width))
        if rows > MOST_ROWS:
            return None
        if size <= rows:
            return Tile(rows, 0, 1)
    return Tile(rows, rows // width - 2, 1)


def whole_maps(rows: int, height: int, width: int) -> Tile | None:
    """A tile of whole maps with at least `rows` positions where they are small; None if one does not fit on chip."""
    size = height * width
    if up_to_power(size) > MOST_ROWS:
        return None
    rows = max(rows, up_to_power(size))
    return Tile(rows, 0, rows // size)


def chunks(outputs: int, block: int, most: int) -> tuple[int, int]:
    """`outputs` channels in blocks, at most `most` of them a chunk, chunks alike: how many chunks, and blocks in each."""
    total = over(outputs, block)
    count = over(total, most)
    return count, over(total, count)
