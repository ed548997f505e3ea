"""A Credential reveals its secrets on request only."""

import copy
import dataclasses
import json
import logging
import pickle
import pprint

import pydantic
import pytest
from pydantic_core import PydanticSerializationError

from berth_vault import Credential, MissingSecret, UnusableSecret

SECRET = "hunter2-canary"


@pytest.fixture
def credential() -> Credential:
    return Credential({"imap_password": SECRET, "smtp_password": SECRET + "-smtp"})


def test_reveals_by_name(credential: Credential) -> None:
    assert credential.reveal("imap_password") == SECRET
    assert credential.reveal("smtp_password") == SECRET + "-smtp"
    assert credential.names == ("imap_password", "smtp_password")


def test_a_missing_secret_is_named_and_no_other_is_shown(credential: Credential) -> None:
    with pytest.raises(MissingSecret, match="holds no client_secret, only imap_password, smtp_password") as caught:
        credential.reveal("client_secret")
    assert SECRET not in str(caught.value)


def test_is_printed_masked(credential: Credential, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("%s %r", credential, {"nested": [credential]})
    shown = [repr(credential), str(credential), f"{credential}", pprint.pformat([credential]), caplog.text]
    assert all("***" in text and SECRET not in text for text in shown)


def test_is_not_serialised_by_accident(credential: Credential) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(credential, protocol)
    for serialise in (json.dumps, copy.copy, copy.deepcopy, vars, dataclasses.asdict, dict):
        with pytest.raises(TypeError):
            serialise(credential)


def test_pydantic_does_not_serialise_it(credential: Credential) -> None:
    class Model(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        credential: Credential

    model = Model(credential=credential)
    assert SECRET not in repr(model)
    with pytest.raises(pydantic.ValidationError) as invalid:
        Model(credential=[credential])
    assert SECRET not in str(invalid.value)
    with pytest.raises(PydanticSerializationError) as caught:
        model.model_dump_json()
    assert SECRET not in str(caught.value)


def test_is_frozen_and_does_not_share_the_mapping_it_was_made_from() -> None:
    source = {"imap_password": SECRET}
    credential = Credential(source)
    source["imap_password"] = "changed"
    assert credential.reveal("imap_password") == SECRET
    with pytest.raises(AttributeError):
        credential._secrets = {}
    with pytest.raises(AttributeError):
        del credential._secrets
    with pytest.raises(TypeError):
        hash(credential)


def test_equal_when_the_secrets_are(credential: Credential) -> None:
    assert credential == Credential({"smtp_password": SECRET + "-smtp", "imap_password": SECRET})
    assert credential != Credential({"imap_password": SECRET})
    assert credential != SECRET


def test_refuses_text_that_utf8_cannot_express_without_showing_it() -> None:
    with pytest.raises(UnusableSecret, match="smtp_password is not valid Unicode") as caught:
        Credential({"smtp_password": SECRET + "\ud800"})
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
