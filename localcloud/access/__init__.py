"""Who may speak to the local cloud: requests that its own key, or a session that it issued, has signed; no web page."""
