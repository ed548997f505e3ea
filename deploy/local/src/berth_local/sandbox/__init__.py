"""Mail providers on loopback: real IMAP and SMTP servers and the DNS zone that names them, in one process.

python -m berth_local.sandbox [DIR]
"""
