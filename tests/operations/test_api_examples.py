"""The examples of the OpenAPI document are a story that is run here, call by call, as it stands in the file."""

import json
from typing import Any

import httpx

from biobank.operations import api_examples
from tests import seed
from tests.conftest import Api

Json = dict[str, Any]
PASSWORD = "correct horse battery staple"


def at(answer: Any, path: str) -> str:
    """The text at `specimens.0.code`."""
    for part in path.split("."):
        answer = answer[int(part) if part.isdigit() else part]
    return str(answer)


def differs(shown: Any, real: Any, where: str = "answer") -> list[str]:
    """Where an example says what a bank does not answer: a member that is not there, or one of another type."""
    if isinstance(shown, dict) and isinstance(real, dict):
        missing = [f"{where}.{name} is not answered" for name in shown.keys() - real.keys()]
        return missing + [
            one for name in shown.keys() & real.keys() for one in differs(shown[name], real[name], f"{where}.{name}")
        ]
    if isinstance(shown, list) and isinstance(real, list):
        if bool(shown) != bool(real):
            return [f"{where}: {len(shown)} shown, {len(real)} answered"]
        return differs(shown[0], real[0], f"{where}.0") if shown else []
    return [] if type(shown) is type(real) else [f"{where}: {shown!r} is shown, {real!r} is answered"]


def told(api: Api, story: list[Json]) -> list[tuple[Json, httpx.Response]]:
    """Run a story; return its steps with what was answered."""
    names: dict[str, str] = {}
    ran = []
    for step in story:
        sent = json.dumps({"path": step["path"], "body": step.get("body"), "form": step.get("form")})
        for sample, own in names.items():
            sent = sent.replace(sample, own)
        given = json.loads(sent)
        method = step["call"].split(" ")[0]
        answer = getattr(api, step["as"]).request(method, given["path"], json=given["body"], data=given["form"])
        assert answer.status_code == step["status"], (step["says"], answer.text)
        names |= {at(step["answer"], path): at(answer.json(), path) for path in step.get("keep", ())}
        ran.append((step, answer))
    return ran


def test_every_example_of_the_document_is_what_a_bank_answers(api: Api) -> None:
    wrong = [
        f"{step['call']} ({step['says']}): {one}"
        for step, answer in told(api, api_examples.steps())
        for one in differs(step["answer"], answer.json())
    ]
    assert wrong == []


def test_the_examples_stand_in_the_document_with_their_calls(api: Api) -> None:
    document = httpx.get(f"{api.url}/openapi.json", timeout=120).json()
    for step in api_examples.steps():
        method, address = step["call"].split(" ")
        described = document["paths"][address][method.lower()]
        answers = described["responses"][str(step["status"])]["content"].values()
        assert step["answer"] in [one["value"] for media in answers for one in media.get("examples", {}).values()], step["call"]
        sent = step.get("body") or step.get("form")
        if sent:
            bodies = described["requestBody"]["content"].values()
            assert sent in [one["value"] for media in bodies for one in media.get("examples", {}).values()], step["call"]


def test_an_example_that_a_bank_does_not_answer_is_found() -> None:
    assert differs({"seq": 1, "gone": 2}, {"seq": "1"}) == [
        "answer.gone is not answered",
        "answer.seq: 1 is shown, '1' is answered",
    ]
    assert differs({"items": [{"a": 1}]}, {"items": []}) == ["answer.items: 1 shown, 0 answered"]


def test_the_story_is_told_by_people_of_the_test_bank() -> None:
    assert {step["as"] for step in api_examples.steps()} <= {"anonymous", *seed.USERS}
    assert seed.PASSWORD == PASSWORD, "the story says it"
