"""The attacks themselves, one algorithm a file."""
