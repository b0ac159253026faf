"""Least privilege, seen: what the whole story asks IAM, and what becomes of it without each statement."""
