"""The command ``audit``: finds what in a snapshot's pixels and tags would make an evaluation look too good."""
