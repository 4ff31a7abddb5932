"""What is to be done? A snapshot in, a plan out; pure."""
