"""The command ``evaluate``: measures candidate and champion on the same held-out slices and writes a report."""
