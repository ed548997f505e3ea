"""Audits the DNS of mail domains: MX, SPF, DKIM, DMARC."""
