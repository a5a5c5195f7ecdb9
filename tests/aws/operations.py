"""Which operations of AWS are asked for from where: read from the code, whatever runs in the tests.

A function or class of `sm_locust/aws` asks for the operations whose names stand in it, and for those of the functions
and classes of `sm_locust/aws` that it names. A name that several services have is that of the service named beside it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from botocore.loaders import Loader

from sm_locust.aws.session import IAM_PREFIXES, SERVICES

PACKAGE = Path(__file__).parents[2] / "sm_locust"
AWS = "sm_locust.aws"
IN_NO_POLICY = {"sts:GetCallerIdentity"}  # IAM asks no permission for it

Unit = tuple[str, str]  # module of sm_locust/aws, and the name of what is defined there


@cache
def actions() -> dict[str, set[str]]:
    """Operation → the IAM actions of its name, of the services that we have clients for."""
    found: dict[str, set[str]] = {}
    for service in SERVICES:
        prefix = IAM_PREFIXES.get(service, service)
        for name, operation in Loader().load_service_model(service, "service-2")["operations"].items():
            # API Gateway's actions are its methods.
            action = operation["http"]["method"] if service == "apigateway" else name
            found.setdefault(name, set()).add(f"{prefix}:{action}")
    return found


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _modules() -> dict[str, ast.Module]:
    return {p.stem: _tree(p) for p in sorted((PACKAGE / "aws").glob("*.py")) if p.stem not in ("__init__", "policy")}


@cache
def _units() -> dict[Unit, ast.AST]:
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {(m, node.name): node for m, tree in _modules().items() for node in tree.body if isinstance(node, kinds)}


def _named(node: ast.AST, tree: ast.Module, module: str | None) -> Iterator[Unit]:
    """What is named in `node`, a part of `tree`, which is that module of sm_locust/aws or any other file."""
    modules: dict[str, str] = {}
    names: dict[str, Unit] = {}
    for found in ast.walk(tree):
        if isinstance(found, ast.ImportFrom) and found.module and found.module.startswith(AWS):
            for alias in found.names:
                if found.module == AWS:
                    modules[alias.asname or alias.name] = alias.name
                else:
                    names[alias.asname or alias.name] = (found.module.rpartition(".")[2], alias.name)
    for found in ast.walk(node):
        if isinstance(found, ast.Attribute) and isinstance(found.value, ast.Name) and found.value.id in modules:
            yield modules[found.value.id], found.attr
        elif isinstance(found, ast.Name):
            if found.id in names:
                yield names[found.id]
            elif module is not None:
                yield module, found.id


def asked_from(files: Iterable[str]) -> set[str]:
    """IAM actions that files of the package (paths below it, `*` for many) lead to."""
    left: list[Unit] = []
    for pattern in files:
        for path in PACKAGE.glob(pattern):
            left += _named(_tree(path), _tree(path), None)
    return _asked(left) - IN_NO_POLICY


def asked_anywhere() -> set[str]:
    """IAM actions of all of sm_locust/aws."""
    return _asked(list(_units())) - IN_NO_POLICY


def _asked(left: list[Unit]) -> set[str]:
    units, seen, found = _units(), set[Unit](), set[str]()
    while left:
        unit = left.pop()
        if unit in seen or unit not in units:
            continue
        seen.add(unit)
        node, module = units[unit], unit[0]
        prefixes = _services(node, _modules()[module])
        for text in _texts(node):
            of_it = actions().get(text, set())
            found |= of_it if len(of_it) == 1 else {action for action in of_it if action.split(":")[0] in prefixes}
        left += _named(node, _modules()[module], module)
    return found


def _texts(node: ast.AST) -> set[str]:
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def _services(node: ast.AST, tree: ast.Module) -> set[str]:
    """IAM's prefixes of the services that are named in `node`, by themselves or by a constant of its module."""
    constants = {
        target.id: assigned.value
        for assigned in tree.body
        if isinstance(assigned, ast.Assign)
        for target in assigned.targets
        if isinstance(target, ast.Name)
    }
    named = {constants[n.id] for n in ast.walk(node) if isinstance(n, ast.Name) and n.id in constants}
    texts = _texts(node).union(*(_texts(constant) for constant in named))
    return {IAM_PREFIXES.get(text, text) for text in texts if text in SERVICES}
