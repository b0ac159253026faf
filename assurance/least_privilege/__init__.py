"""Least privilege, measured: the IAM requests of the whole story, and its outcome without each statement."""
