"""The command ``optimise``: faster backends of a trained network, each validated on held-out slices."""
