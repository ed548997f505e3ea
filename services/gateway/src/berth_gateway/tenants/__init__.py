"""Organizations, their projects, and API keys: who may do what."""
