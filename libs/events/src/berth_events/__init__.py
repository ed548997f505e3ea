"""Berth's event contracts (`berth_events.contracts`) and, with the extra `runtime`, what stores, publishes and consumes them."""
