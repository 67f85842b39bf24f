"""Ways of doing the same work that are timed side by side: inside an update, and around it."""
