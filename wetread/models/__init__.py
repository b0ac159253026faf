"""Model versions: artifacts, champions, the endpoint, and uploads to be read again."""
