"""A net as one self-contained web page: drawings to move about in, facts, and the text beside them."""

from robdsl.viz.page.page import page as page

__all__ = ["page"]
