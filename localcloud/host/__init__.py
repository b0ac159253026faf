"""The processes of the local cloud: its launcher, its server, and what ends them."""
