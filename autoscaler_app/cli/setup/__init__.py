"""Setting up, and being helped: is it right, and what is in force?"""
