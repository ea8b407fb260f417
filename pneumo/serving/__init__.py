"""Serving: the bundle that is registered, the pyfunc around it, batch scoring, export, and a web page."""
