"""The serving bundle: what is registered, and all that its code needs when it is loaded."""
