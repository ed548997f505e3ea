"""Thunderbird's database of mail services (ISPDB), as a data file with a licence of its own: MPL 2.0 (LICENSE, NOTICE)."""
