"""What SmartLead's clients get, as the OpenAPI document says it. Measurements of a warm-up network are zero: Berth runs none."""

from typing import Literal

from pydantic import BaseModel, Field

from berth_gateway.accounts.schemas import Instant

__all__ = [
    "AccountDetail",
    "AccountList",
    "CampaignRemoval",
    "CampaignResult",
    "ListedAccount",
    "OAuthSaved",
    "Refusal",
    "Saved",
    "Suspension",
    "TagAnswer",
    "TagLists",
    "TagsAnswer",
    "TagsGiven",
    "TagsTaken",
    "Told",
    "TooMany",
    "Updated",
    "WarmupStats",
    "WarmupUpdated",
]

AccountType = Literal["GMAIL", "OUTLOOK", "SMTP"]
WarmupStatus = Literal["ACTIVE", "INACTIVE", "PAUSED"]


class SavedWarmup(BaseModel):
    """What warm-up is set to."""

    status: WarmupStatus
    total_warmup_per_day: int


class SavedData(BaseModel):
    """The account that was saved."""

    id: int
    from_email: str
    is_smtp_success: bool
    is_imap_success: bool
    warmup_details: SavedWarmup


class Saved(BaseModel):
    """The account works. `data` is what the newer reference says, the rest what the older one says."""

    ok: Literal[True]
    message: str
    data: SavedData
    emailAccountId: int  # noqa: N815 - as it is sent
    warmupKey: str  # noqa: N815


class OAuthData(BaseModel):
    """The account that was saved."""

    id: int
    from_email: str
    type: AccountType
    is_smtp_success: bool
    is_imap_success: bool


class OAuthSaved(BaseModel):
    """The token works."""

    ok: Literal[True]
    message: str
    data: OAuthData
    emailAccountId: int  # noqa: N815
    warmupKey: str  # noqa: N815


class ListedTag(BaseModel):
    """A tag that an account carries."""

    tag_id: int
    tag_name: str
    tag_color: str
    id: int
    name: str
    color: str


class ListedWarmup(BaseModel):
    """Warm-up in lists: `status` and `reply_rate` are settings, the rest would be measured."""

    status: WarmupStatus
    total_sent_count: int
    total_spam_count: int
    warmup_reputation: str
    warmup_key_id: int
    warmup_created_at: Instant
    reply_rate: int
    blocked_reason: str | None


class DetailedWarmup(BaseModel):
    """Warm-up of one account."""

    id: int
    status: WarmupStatus
    created_at: Instant
    reply_rate: int
    warmup_key_id: int
    blocked_reason: str | None
    total_sent_count: int
    total_spam_count: int
    warmup_max_count: int
    warmup_min_count: int
    is_warmup_blocked: bool
    max_email_per_day: int
    warmup_reputation: str


class _Account(BaseModel):
    id: int
    created_at: Instant
    updated_at: Instant
    user_id: int = Field(description="stands for the project")
    from_name: str
    from_email: str
    minTimeToWaitInMins: int  # noqa: N815
    username: str | None
    password: str | None = Field(description="a constant mask; null for OAuth")
    smtp_host: str | None
    smtp_port: int | None
    smtp_port_type: Literal["SSL", "TLS"] | None
    message_per_day: int
    different_reply_to_address: str | None
    is_different_imap_account: bool
    imap_username: str | None
    imap_password: str | None = Field(description="a constant mask; null for OAuth")
    imap_host: str | None
    imap_port: int | None
    imap_port_type: Literal["SSL", "TLS"] | None
    signature: str | None
    custom_tracking_domain: str | None
    bcc_email: str | None
    is_smtp_success: bool
    is_imap_success: bool
    smtp_failure_error: str | None
    imap_failure_error: str | None
    type: AccountType
    daily_sent_count: int
    client_id: int | None
    campaign_count: int
    is_connected_to_campaign: bool
    is_suspended: bool
    use_whitelabel_credentials: bool
    expires_at: Instant | None
    tags: list[ListedTag]


class ListedAccount(_Account):
    """An account in a list."""

    warmup_details: ListedWarmup
    campaign_ids: list[int] = Field(default=[], description="only with `fetch_campaigns=true`")


class AccountDetail(_Account):
    """One account."""

    warmup_details: DetailedWarmup
    campaign_ids: list[int]


AccountList = list[ListedAccount]


class Updated(BaseModel):
    """It is done."""

    ok: Literal[True]
    message: str
    emailAccountId: int  # noqa: N815


class WarmupUpdated(Updated):
    """The settings are kept."""

    warmupKey: str  # noqa: N815


class SuspensionData(BaseModel):
    """How the account is now."""

    accountId: int  # noqa: N815
    isSuspended: bool  # noqa: N815


class Suspension(BaseModel):
    """It is done."""

    success: Literal[True]
    message: str
    data: SuspensionData


class WarmupDay(BaseModel):
    """One day, in the newer form."""

    date: str
    sent: int
    spam: int
    delivered: int
    opened: int
    replied: int


class OldWarmupDay(BaseModel):
    """One day, in the older form."""

    id: int
    date: str
    sent_count: int
    reply_count: int
    save_from_spam_count: int


class WarmupStats(BaseModel):
    """The last seven days in both forms. Zero throughout: Berth does not warm up."""

    id: int
    sent_count: str
    spam_count: str
    inbox_count: str
    warmup_email_received_count: str
    stats_by_date: list[OldWarmupDay]
    total_sent: int
    reputation_score: int
    daily_stats: list[WarmupDay]


class Told(BaseModel):
    """It is done."""

    ok: Literal[True]
    message: str


class _Mapped(BaseModel):
    """Pairs of an account and a tag. Nothing fails alone: then nothing is done."""

    total_processed: int
    skipped: int
    failed: Literal[0]


class TagsGivenSummary(_Mapped):
    """`skipped` were there already."""

    created: int


class TagsTakenSummary(_Mapped):
    """`skipped` were not there."""

    deleted: int


class TagsGivenData(BaseModel):
    """What was done."""

    summary: TagsGivenSummary


class TagsTakenData(BaseModel):
    """What was done."""

    summary: TagsTakenSummary


class TagsGiven(BaseModel):
    """The accounts carry the tags."""

    ok: Literal[True]
    success: Literal[True]
    message: str
    data: TagsGivenData


class TagsTaken(BaseModel):
    """The accounts do not carry the tags."""

    ok: Literal[True]
    success: Literal[True]
    message: str
    data: TagsTakenData


class AnsweredTag(BaseModel):
    """A tag."""

    id: int
    name: str
    color: str


class TagAnswer(BaseModel):
    """One tag."""

    ok: Literal[True]
    data: AnsweredTag


class TagsAnswer(BaseModel):
    """All tags."""

    ok: Literal[True]
    data: list[AnsweredTag]


class TagListEntry(BaseModel):
    """The tags of one address."""

    email_account_id: int
    from_email: str
    email_id: str
    tags: list[ListedTag]


class TagLists(BaseModel):
    """The tags of those addresses that are accounts."""

    ok: Literal[True]
    data: list[TagListEntry]


class CampaignEntry(BaseModel):
    """An account of a campaign."""

    id: int
    email_campaign_id: int
    email_account_id: int
    updated_at: Instant


class CampaignResult(BaseModel):
    """What the campaign has now of what was sent."""

    ok: Literal[True]
    result: list[CampaignEntry]


class CampaignRemoval(BaseModel):
    """How many accounts the campaign no longer has."""

    ok: Literal[True]
    result: int


class Refusal(BaseModel):
    """An error. Every one has `message`, 401 nothing else. In those of the bulk reconnect `ok` is true, as SmartLead has it."""

    message: str
    ok: bool | None = None
    success: bool | None = None
    error: str | None = None
    errorCode: str | None = None  # noqa: N815
    emailAccountId: int | None = None  # noqa: N815


class LimitError(BaseModel):
    """What the limit says."""

    code: Literal["RATE_LIMIT_EXCEEDED"]
    message: str
    retry_after: int


class TooMany(BaseModel):
    """There were too many requests."""

    message: str
    error: LimitError
