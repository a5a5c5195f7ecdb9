"""Reads a CloudFormation template with its short functions: `!Ref x` as {"Ref": "x"}, and every other likewise.

And has cfn-lint read it, for regions of three partitions.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

REGIONS = ["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1"]


class _Loader(yaml.SafeLoader):
    pass


def _function(loader: yaml.SafeLoader, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    assert isinstance(node, yaml.SequenceNode)
    return {name: loader.construct_sequence(node, deep=True)}


_Loader.add_multi_constructor("!", _function)


def read(text: str) -> dict[str, Any]:
    return dict(yaml.load(text, _Loader))


def lint_has_nothing_to_say(*templates: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), "--regions", *REGIONS, "--template", *templates],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
