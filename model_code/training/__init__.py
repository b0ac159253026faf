"""The command ``train``: trains on a snapshot of labelled slices and writes a model folder."""
