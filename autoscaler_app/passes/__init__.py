"""What is one pass? `one_pass` is the table of contents; `snapshot`, `plan`, `report` are handed on."""
