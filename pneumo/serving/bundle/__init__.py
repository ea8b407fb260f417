"""The serving bundle: what is registered, and the code that it needs when it is loaded."""
