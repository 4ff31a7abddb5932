"""What runs a node? The protocol of a fleet, and the one whose nodes are processes."""
