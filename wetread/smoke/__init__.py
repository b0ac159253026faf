"""A check after a deployment: small probes of what only an account can show, and a table of what was seen."""
