"""Lambda execution environments: AWS's own runtime client on a real Runtime API, one process for each environment."""
