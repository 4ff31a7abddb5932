"""What does this node have, and what fits beside what runs here?"""
