"""What is said so that only one machine can have said it: key pairs, signatures, and nothing twice.

Pure: randomness and time are arguments. What a node does with it is in `node/sealing.py`; what the control
side does, in its own `listening/trust/`.
"""
