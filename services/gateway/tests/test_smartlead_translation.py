"""Between SmartLead's forms and ours: what holds for every value."""

import json
import string
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_gateway.dialects.smartlead import requests
from berth_gateway.dialects.smartlead.presentation import user_number
from berth_gateway.dialects.smartlead.refusals import Refused, owns
from berth_gateway.dialects.smartlead.translation import names_of, provider_of

FORMS = [
    requests.SaveRequest,
    requests.SaveOAuthRequest,
    requests.UpdateRequest,
    requests.WarmupRequest,
    requests.ListQuery,
    requests.NewTag,
    requests.TagChange,
    requests.TagListRequest,
    requests.TagMapping,
    requests.TagRemoval,
    requests.CampaignAccounts,
]
NAMES = sorted({name for form in FORMS for name in form.model_json_schema()["properties"]} | {"username", "emails"})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["access_token", "x"]), inner, max_size=2)
    ),
    max_leaves=5,
)


@given(st.text(string.ascii_letters + " \t-äß", max_size=40))
def test_a_name_is_shown_as_it_was_sent_but_for_blanks_around_it(name: str) -> None:
    first, last = names_of(name)
    assert " " not in first
    assert f"{first} {last}".strip() == name.strip()


def refused(form: type[requests.Form], fields: dict[str, object]) -> Refused | None:
    try:
        requests.parsed(form, fields)
    except Refused as error:
        return error
    return None


@given(st.sampled_from(FORMS), st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8))
def test_a_form_is_read_or_refused_with_its_fields(form: type[requests.Form], fields: dict[str, object]) -> None:
    error = refused(form, fields)
    if error is not None:
        said = error.body["message"]
        assert (error.status, said) == (422, error.body["error"])
        assert said.split()[0].partition(".")[0] in NAMES
        json.dumps(said, ensure_ascii=False).encode()


@given(st.uuids())
def test_a_project_is_a_positive_number_of_31_bits(project_id: UUID) -> None:
    assert 0 < user_number(project_id) < 2**31


@pytest.mark.parametrize(
    ("kind", "provider"),
    [("GMAIL", "gmail"), ("OUTLOOK", "outlook"), ("SMTP", "custom"), ("ZOHO", "custom"), (None, "custom")],
)
def test_who_runs_the_mailbox(kind: str | None, provider: str) -> None:
    assert provider_of(kind) == provider


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("/api/v1/email-accounts", True),
        ("/api/v1/email-accounts/", True),
        ("/api/v1/email-accounts/1/x", True),
        ("/api/v1/campaigns/1/email-accounts", True),
        ("/api/v1/tags", True),
        ("/api/v1/tags/", True),
        ("/api/v1/tags/1/link", False),
        ("/api/v1/email-accountsx", False),
        ("/api/v1/accounts", False),
        ("/v1/tags", False),
    ],
)
def test_which_paths_are_smartleads(path: str, *, ours: bool) -> None:
    assert owns(path) is ours
