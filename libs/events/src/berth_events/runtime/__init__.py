"""The runtime: event store, outbox and relay, consumers, leased work, parking, buses. Needs the extra `runtime`."""
