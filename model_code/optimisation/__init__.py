"""The command ``optimise``: a trained network in faster forms, each proved on held-out slices before it may serve."""
