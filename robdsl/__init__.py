"""A text language for neural architectures, and what is done with them."""
