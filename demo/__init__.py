"""A whole cluster on this machine: broker, emulator, control worker, beat and nodes, all real processes."""
