"""Synthesis of a project's app, and deployment of its stack."""
