"""Tests. A package of its own, because some installed libraries bring a package of that name along (robustbench)."""
