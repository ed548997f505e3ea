"""Fuzzing: commands that look for what nobody thought of, for as long as they are given."""
