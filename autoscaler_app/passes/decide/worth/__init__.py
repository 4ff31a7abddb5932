"""How many slots waiting work is worth; also while no run time is known, or after machines came in vain."""
