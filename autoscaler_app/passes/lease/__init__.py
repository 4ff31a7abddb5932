"""Exactly one control side acts on a broker, wherever it was started.

A control side is the processes of one machine that share a state file. Among themselves they are kept apart
by the lock of a pass (`passes/lock.py`) and by the mark of the control worker (`mark.py`). Against those of
other machines, or with another state file, stands a lease in the broker itself (`claim.py`): all that could
do harm together share a broker, and nothing else for certain.
"""
