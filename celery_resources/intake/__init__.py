"""What may come to this node now, and what becomes of what came and cannot start?"""
