"""Tree to checked networks: elaboration, shapes, choices, rules, statistics. Nothing here needs torch."""
