"""An answer of AWS that is an error: its status, its name and its body, as they go over the wire.

Who raises which one decides; the app only sends them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping


class AwsError(Exception):
    """An error answer.

    status  HTTP status
    code    AWS's name of the error, sent as `x-amzn-ErrorType`; empty where AWS's front answers before any service
            does and names nothing (boto3 then reports the status as the code)
    fields  the JSON body, or plain text where AWS sends plain text
    """

    def __init__(self, status: int, code: str, fields: Mapping[str, object] | str) -> None:
        super().__init__(f"{status} {code}: {fields}")
        self.status = status
        self.code = code
        self._fields = fields

    @property
    def name(self) -> str:
        """The name it is counted by: '503 ServiceUnavailable'."""
        return f"{self.status} {self.code}".rstrip()

    @property
    def content_type(self) -> bytes:
        return b"text/plain" if isinstance(self._fields, str) else b"application/json"

    @property
    def body(self) -> bytes:
        return (self._fields if isinstance(self._fields, str) else json.dumps(self._fields)).encode()
