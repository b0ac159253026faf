"""The commands, one module for each group of them: they read options, call the work, and print."""
