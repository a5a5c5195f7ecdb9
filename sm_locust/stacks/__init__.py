"""The CloudFormation template that puts an API in front of an endpoint, and the Lambda function in it.

The function is a file of its own, `invoke_endpoint.py`, and exists once: `template` writes it into the template, and
the local endpoint runs the same file. What the template calls things stands here too, for who looks for them at AWS.
Deploying is aws's.
"""

from __future__ import annotations

import re
from pathlib import Path

API_NAME = "DecisionTreeAPI"
FUNCTION_NAME = "InvokeDecisionTreeSMEP"
FUNCTION_LOG = f"/aws/lambda/{FUNCTION_NAME}"
TAG = {"Key": "created-by", "Value": "sm-locust"}  # by which the stack, and what is in it, is known to be ours

_HERE = Path(__file__).parent
_CODE = re.compile(r"^( +)ZipFile: .*invoke_endpoint\.py.*$", re.MULTILINE)
_ENDPOINT = re.compile(r"^( +)Description: (The endpoint that is invoked)$", re.MULTILINE)
_IN_ARN = re.compile(r"^( +)Description: (Its name once more, .*)$", re.MULTILINE)


def template(endpoint: str | None = None) -> str:
    """The template as CloudFormation takes it, the function's code in it.

    endpoint  a default for its parameters EndpointName and EndpointInArn, which otherwise have to be given
    """
    text = (_HERE / "api_gateway.yaml").read_text(encoding="utf-8")
    code = (_HERE / "invoke_endpoint.py").read_text(encoding="utf-8")

    def inlined(found: re.Match[str]) -> str:
        indent = found[1]
        lines = (f"{indent}  {line}".rstrip() for line in code.splitlines())
        return f"{indent}ZipFile: |\n" + "\n".join(lines)

    text = _CODE.sub(inlined, text)
    if endpoint is not None:
        text = _ENDPOINT.sub(rf'\1Description: \2\n\1Default: "{endpoint}"', text)
        text = _IN_ARN.sub(rf'\1Description: \2\n\1Default: "{endpoint.lower()}"', text)
    return text
