"""APIs of other products that the gateway speaks, each a thin translation onto the same commands and views."""
