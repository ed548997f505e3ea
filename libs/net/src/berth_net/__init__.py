"""Resolution and vetting of hosts that users name."""
