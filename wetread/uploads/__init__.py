"""Send files to the service, wait for them, and query them."""
