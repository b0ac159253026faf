"""A check after a deployment: small probes of what only an account can tell, and a table of what was seen."""
