"""Fault injection into a running local cloud: uploads lost, and seconds until everything has ended."""
