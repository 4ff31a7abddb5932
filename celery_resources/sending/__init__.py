"""Where does a task go, and who is told of it? From the constraints of a call to a queue."""
