"""The command ``audit``: what in a snapshot's pixels and tags would make an evaluation look better than it is."""
