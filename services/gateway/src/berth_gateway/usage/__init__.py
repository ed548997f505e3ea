"""Usage: seats that are or were taken, under which limit."""
