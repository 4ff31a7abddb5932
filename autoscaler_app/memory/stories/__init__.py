"""What became of each node, and what it cost: told on by every pass, kept when the node is gone."""
