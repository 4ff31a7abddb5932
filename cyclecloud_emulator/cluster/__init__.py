"""What is there? Nodes and how they live, what may be made, what it costs, and what is remembered."""
