"""The checks of an audit. Each asks the resolver and returns its verdict with its findings."""
