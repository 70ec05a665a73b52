"""Archives that mean harm: refused, or harmless."""
