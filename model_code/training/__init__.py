"""The command ``train``: from a snapshot of labelled slices to a model folder."""
