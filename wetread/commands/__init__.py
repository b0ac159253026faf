"""The commands, one module for each group: they parse options, call library code, and print."""
