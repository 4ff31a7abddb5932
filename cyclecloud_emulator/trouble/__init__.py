"""What goes wrong, on demand? Faults and lies of answers, mishaps of nodes, and quirks of versions."""
