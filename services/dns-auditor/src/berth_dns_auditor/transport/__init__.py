"""How questions travel: the wire format, sockets, and the recursive name servers behind them."""
