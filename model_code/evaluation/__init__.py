"""The command ``evaluate``: candidate and champion on the same held-out slices, in figures and as a page to look at."""
