"""What is there? The world, put into one snapshot."""
