"""Commands by which a person decides in place of a pass."""
