"""The command ``serve``: HTTP on one side, the artifact's script on the other."""
