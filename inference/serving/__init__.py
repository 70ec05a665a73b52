"""Serving: the registry, the models that are loaded, and which version answers a request."""
