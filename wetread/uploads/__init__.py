"""Files sent to the service, waited for, and asked about."""
