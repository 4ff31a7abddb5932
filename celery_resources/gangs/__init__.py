"""Several nodes for one task: how a gang is formed, led and dissolved."""
