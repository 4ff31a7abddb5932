"""The emulator answers what its OpenAPI document says, whatever it is asked; nothing makes it fail."""

import json
import logging
import socket
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cyclecloud_emulator.http.openapi import document

DOCUMENT = document("http://emulator")
FUZZ = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
OPERATIONS = [(method, path) for path, operations in DOCUMENT["paths"].items() for method in operations]
DISTURBING = ("restart", "faults", "schedule")
"""Admin calls after which other answers are wrong on purpose: fuzzed last, and with nothing behind them."""


def resolve(schema):
    return (
        DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    )


# -- does a value have the shape that a schema says ------------------------------------------------------

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}


def misfit(value, schema, place="$"):
    """What is wrong with a value, or None."""
    schema = resolve(schema)
    if "enum" in schema and value not in schema["enum"]:
        return f"{place}: {value!r} is not one of {schema['enum']}"
    types = schema.get("type")
    if types is not None:
        types = [types] if isinstance(types, str) else types
        is_flag = isinstance(value, bool) and "boolean" not in types
        if is_flag or not any(isinstance(value, TYPES[name]) for name in types):
            return f"{place}: {value!r} is not {types}"
    if "minimum" in schema and value < schema["minimum"]:
        return f"{place}: {value!r} is less than {schema['minimum']}"
    if isinstance(value, dict):
        missing = [name for name in schema.get("required", ()) if name not in value]
        if missing:
            return f"{place}: {missing} missing"
        for name, part in schema.get("properties", {}).items():
            if name in value and (wrong := misfit(value[name], part, f"{place}.{name}")):
                return wrong
    if isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            if wrong := misfit(item, schema["items"], f"{place}[{number}]"):
                return wrong
    return None


def check(answer, method, path):
    """Hold an answer to the document."""
    responses = DOCUMENT["paths"][path][method]["responses"]
    assert str(answer.status_code) in responses, f"{answer.status_code}: {answer.text}"
    said = responses[str(answer.status_code)]
    if "$ref" in said:
        said = DOCUMENT["components"]["responses"][said["$ref"].rpartition("/")[2]]
    if "content" in said:
        assert answer.headers["content-type"] == "application/json"
        assert misfit(answer.json(), said["content"]["application/json"]["schema"]) is None


# -- requests made from the document --------------------------------------------------------------------

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["worker", "worker-1", "celery", "Standard_F2s_v2", "none", "a"])
GOOD = {
    "cluster": st.just("celery"),
    "nodearray": st.just("worker"),
    "node": st.sampled_from(["worker-1", "scheduler", "none"]),
    "id": NAMES,
    "machineType": st.sampled_from(["Standard_F2s_v2", "Standard_F8s_v2"]),
    "count": st.integers(0, 5),
    "nameFormat": st.just("n-%d"),
    "names": st.lists(st.sampled_from(["worker-1", "worker-2", "none"])),
    "nodes": st.booleans(),
    "totalNodeCount": st.integers(0, 5),
}
"""What something of this name is, if it is not just anything."""


def named(name, otherwise):
    """Mostly something good of that name, if there is such a thing."""
    good = GOOD.get(name)
    return otherwise if good is None else st.integers(0, 4).flatmap(lambda n: good if n else otherwise)


def values(schema):
    """Values that a schema allows, more or less: now and then one that it does not."""
    schema = resolve(schema)
    if "anyOf" in schema:
        return st.one_of([values(part) for part in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "object" if "properties" in schema:
            required = set(schema.get("required", ()))
            parts = {name: named(name, values(part)) for name, part in schema["properties"].items()}
            return st.fixed_dictionaries(
                {name: part for name, part in parts.items() if name in required},
                optional={name: part for name, part in parts.items() if name not in required},
            )
        case "object":
            return st.dictionaries(st.text() | NAMES, ANY_JSON, max_size=3)
        case "array":
            return st.lists(values(schema.get("items", {})), max_size=3)
        case "string":
            return NAMES | st.text()
        case "integer":
            return st.integers(-2, 30) | st.integers()
        case "number":
            return st.floats(0, 1) | st.floats(allow_nan=False, allow_infinity=False)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
    return ANY_JSON


@st.composite
def requests(draw, method, path):
    """A request of one operation."""
    operation = DOCUMENT["paths"][path][method]
    query = {}
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            text = draw(named(parameter["name"], st.text(min_size=1).filter(lambda t: t.strip("."))))
            path = path.replace(f"{{{parameter['name']}}}", quote(text, safe=""))
        elif draw(st.booleans()):
            value = draw(named(parameter["name"], values(parameter["schema"]) | st.text()))
            query[parameter["name"]] = str(value).lower() if isinstance(value, bool) else str(value)
    body = b""
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        body = draw(
            st.one_of(
                values(schema).map(lambda value: json.dumps(value).encode()),
                values(schema).map(lambda value: json.dumps(value).encode()),
                ANY_JSON.map(lambda value: json.dumps(value).encode()),
                st.binary(),
            )
        )
    return path, query, body


@pytest.mark.parametrize(
    ("method", "path"),
    [o for o in OPERATIONS if o[0] != "post" or o[1].rpartition("/")[2] not in DISTURBING],
    ids=lambda part: part.strip("/"),
)
def test_every_answer_is_one_that_the_document_knows(cloud, caplog, method, path):
    """Also the log is clean: a request that could not be handled would be in it."""
    cloud.create(2)

    @FUZZ
    @given(request=st.data())
    def ask(request):
        there, query, body = request.draw(requests(method, path))
        answer = cloud.request(method.upper(), there, params=query, content=body)
        check(answer, method, path)

    with caplog.at_level(logging.WARNING):
        ask()
    assert caplog.records == []
    assert cloud.get("/clusters/celery/status").status_code == 200


@pytest.mark.parametrize("path", ["/emulator/faults", "/emulator/schedule"])
def test_faults_are_read_with_the_same_care(cloud, caplog, path):
    @FUZZ
    @given(request=st.data())
    def ask(request):
        _, _, body = request.draw(requests("post", path))
        check(cloud.post(path, content=body), "post", path)
        cloud.delete("/emulator/faults")

    with caplog.at_level(logging.WARNING):
        ask()
    assert caplog.records == []


def test_bytes_that_are_no_http_stop_nothing(cloud, caplog):
    @FUZZ
    @given(data=st.binary(min_size=1, max_size=200))
    def send(data):
        with socket.create_connection(("127.0.0.1", cloud.emulator.port), 5) as connection:
            connection.sendall(data + b"\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                continue

    with caplog.at_level(logging.WARNING):
        send()
    assert caplog.records == []
    assert cloud.get("/clusters/celery/status").status_code == 200


def test_the_document_is_served_and_names_its_own_address(cloud):
    served = cloud.get("/emulator/openapi.json").json()
    assert served["servers"] == [{"url": cloud.emulator.url}]
    assert served["paths"].keys() == DOCUMENT["paths"].keys()


def test_the_document_knows_every_path_that_is_answered(cloud):
    """Verbs and admin paths are taken from the program, not from the document."""
    from cyclecloud_emulator.cluster.management import VERBS
    from cyclecloud_emulator.http.admin import Admin

    for verb in VERBS:
        assert f"/clusters/{{cluster}}/nodes/{verb}" in DOCUMENT["paths"]
    for name, handlers in Admin(cloud.emulator).handlers.items():
        path = "/emulator/clusters/{cluster}" if name == "clusters" else f"/emulator/{name}"
        assert {method.lower() for method in handlers} == DOCUMENT["paths"][path].keys()


def test_every_reference_in_the_document_leads_somewhere():
    def walk(value):
        if isinstance(value, dict):
            if "$ref" in value:
                _, _, kind, name = value["$ref"].lstrip("#").split("/")
                assert name in DOCUMENT["components"][kind]
            for part in value.values():
                walk(part)
        elif isinstance(value, list):
            for part in value:
                walk(part)

    walk(DOCUMENT)
