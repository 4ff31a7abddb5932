"""What people read: one module a page, and what they share."""
