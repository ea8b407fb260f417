"""A flow run from outside: who holds it, how it is followed, what closes it, and its summary."""
