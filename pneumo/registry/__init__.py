"""Who may be champion, and why."""
