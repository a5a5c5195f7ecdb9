"""Reads a CloudFormation template with its short functions: `!Ref x` as {"Ref": "x"}, and every other likewise."""

from __future__ import annotations

from typing import Any

import yaml


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
