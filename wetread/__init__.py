"""What a person types and sees: the command line, the local cloud, the demo."""
