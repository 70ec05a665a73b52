"""Onboarding: from a table to a package that can be served."""
