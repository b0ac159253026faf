"""The processes of the local cloud: the launcher, its server, guarded children, and the reaper."""
