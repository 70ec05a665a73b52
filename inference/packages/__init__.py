"""Packages: `model.toml`, the manifest, and what versions of one model must have in common."""
