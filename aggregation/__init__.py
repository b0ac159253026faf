"""How the slices of a study become one answer: the same code closes studies, fits the rule, and evaluates it."""
