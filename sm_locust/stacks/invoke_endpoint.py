"""The Lambda function behind the API: hands a request to the endpoint, and back what the endpoint says of it.

An error of SageMaker keeps its status and its name: `x-amzn-ErrorType`, and `__type` in the body. What API Gateway
itself refuses has a `message` alone, under names that SageMaker does not use. What fails here otherwise raises: a 502.
"""

import base64
import json
import os
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError, ReadTimeoutError

# Together under the function's 28 s, and those under the 29 s for which API Gateway waits. A retry would hide errors.
_runtime = boto3.client(
    "sagemaker-runtime", config=Config(connect_timeout=2, read_timeout=25, retries={"total_max_attempts": 1})
)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Takes and gives what a Lambda proxy integration of a REST API does, its payload format 1.0."""
    body = event.get("body") or ""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    request = {
        "EndpointName": os.environ["ENDPOINT_NAME"],
        "Body": base64.b64decode(body) if event.get("isBase64Encoded") else body.encode(),
        "ContentType": headers.get("content-type"),
        "Accept": headers.get("accept"),
    }
    try:
        answer = _runtime.invoke_endpoint(**{name: value for name, value in request.items() if value is not None})
        said = answer["Body"].read()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return _failure(error.response["ResponseMetadata"]["HTTPStatusCode"], code, error.response["Error"]["Message"])
    except ReadTimeoutError as error:
        return _failure(504, "ReadTimeoutError", str(error))
    except (ConnectionError, HTTPClientError) as error:
        return _failure(502, type(error).__name__, str(error))
    return {
        "statusCode": 200,
        "headers": {"Content-Type": answer.get("ContentType") or "application/octet-stream"},
        "isBase64Encoded": True,
        "body": base64.b64encode(said).decode(),
    }


def _failure(status: int, name: str, message: str) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", "x-amzn-ErrorType": name},
        "isBase64Encoded": False,
        "body": json.dumps({"__type": name, "message": message}),
    }
