"""Resolution and vetting of hosts that users name."""

from berth_net.addresses import Address, Network, is_routable
from berth_net.guard import MAIL_PORTS, HostGuard, Policy, PortRefused, VettedHost
from berth_net.hosts import HostRefused, canonical_name
from berth_net.mail_records import DnsMailRecords, MailRecords, ServiceRecord
from berth_net.memory import RememberingResolver
from berth_net.nameservers import Nameserver, parse_nameserver
from berth_net.resolver import AddressResolver, DnsResolver, HostNotFound, LookupFailed, ReverseResolver

__all__ = [
    "MAIL_PORTS",
    "Address",
    "AddressResolver",
    "DnsMailRecords",
    "DnsResolver",
    "HostGuard",
    "HostNotFound",
    "HostRefused",
    "LookupFailed",
    "MailRecords",
    "Nameserver",
    "Network",
    "Policy",
    "PortRefused",
    "RememberingResolver",
    "ReverseResolver",
    "ServiceRecord",
    "VettedHost",
    "canonical_name",
    "is_routable",
    "parse_nameserver",
]
