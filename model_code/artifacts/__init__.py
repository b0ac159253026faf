"""The model folder: its layout, its metadata, how it is packed, and how it is loaded."""
