"""Whose credentials these are, asked by boto3."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.local.harness import client


def test_the_caller_is_the_one_user_of_the_example_account(endpoint: str) -> None:
    identity = client(endpoint, "sts").get_caller_identity()
    assert identity["Account"] == "123456789012"
    assert identity["Arn"] == "arn:aws:iam::123456789012:user/local"
    assert identity["UserId"]
    assert identity["ResponseMetadata"]["RequestId"]


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        ({"aws_secret_access_key": "another"}, "SignatureDoesNotMatch"),
        ({"aws_access_key_id": "AKIAANOTHER"}, "InvalidClientTokenId"),
    ],
)
def test_a_wrong_signature_is_refused_in_the_names_of_the_query_protocol(
    endpoint: str, credentials: dict[str, str], code: str
) -> None:
    with pytest.raises(ClientError) as raised:
        client(endpoint, "sts", **credentials).get_caller_identity()
    assert raised.value.response["Error"]["Code"] == code
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_another_operation_is_an_invalid_action(endpoint: str) -> None:
    with pytest.raises(ClientError) as raised:
        client(endpoint, "sts").get_session_token()
    assert raised.value.response["Error"]["Code"] == "InvalidAction"
    assert "GetSessionToken" in raised.value.response["Error"]["Message"]
