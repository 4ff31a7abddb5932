"""What may be done from a page, by whom, and how it is written down."""
