"""Access to the local cloud: requests signed with its own key or a session that it issued pass; web pages do not."""
