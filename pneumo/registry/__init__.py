"""The registry: which version is champion, and why."""
