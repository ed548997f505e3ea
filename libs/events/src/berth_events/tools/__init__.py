"""For those who change the contracts: `python -m berth_events.tools`. Needs jsonschema, which nothing else does."""
