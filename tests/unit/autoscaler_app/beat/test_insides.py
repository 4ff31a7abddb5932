"""The one private name of django-celery-beat that is reached into: it makes the columns of a row."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path


def test_the_columns_of_an_entry_are_made_by_a_class_method_of_the_model_entry() -> None:
    """Read, not imported: its models want a Django that is set up."""
    package = importlib.util.find_spec("django_celery_beat")
    assert package is not None
    assert package.origin is not None
    tree = ast.parse((Path(package.origin).parent / "schedulers.py").read_text())
    [entry] = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == "ModelEntry"]
    [method] = [n for n in entry.body if isinstance(n, ast.FunctionDef) and n.name == "_unpack_fields"]
    assert [ast.unparse(one) for one in method.decorator_list] == ["classmethod"]
    assert {"schedule", "options"} <= {argument.arg for argument in method.args.args}
