"""What do the nodes say? The listener, what is believed of what it hears, and asking by name."""
