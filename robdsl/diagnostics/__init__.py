"""Source positions, errors as data, and their renderers."""
