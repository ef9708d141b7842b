"""The network that holds every sub-network of a space, and what is done with one of them at a time."""
