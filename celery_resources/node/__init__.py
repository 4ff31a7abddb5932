"""How does a node stand, what does it say, and what can it be told? The worker's step and its commands."""
