"""The page of an endpoint, in a real browser: whoever fills it in asks what they mean and sees the answer."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import usecases
from serving.http.front import front
from serving.worker import Surroundings, Worker
from tests.integration.page_server import PREFIX, Address, Server, running, serving, tricky
from tests.problems import answer, endpoint

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

KEY = "a key of some length"

# Field → (what a person enters, what is sent for it)
ENTERED: dict[str, dict[str, tuple[str, Any]]] = {
    "taxi": {
        "PULocationID": ("7", 7),
        "DOLocationID": ("132", 132),
        "lpep_pickup_datetime": ("2024-03-01T17:05:30", "2024-03-01T17:05:30"),
        "trip_distance": ("9.75", 9.75),
        "passenger_count": ("4", 4),
        "trip_type": ("2", 2),
        "VendorID": ("1", 1),
    },
    "titanic": {
        "Pclass": ("3", 3),
        "Sex": ("male", "male"),
        "Age": ("64.5", 64.5),
        "SibSp": ("5", 5),
        "Parch": ("3", 3),
        "Fare": ("7.25", 7.25),
        "Embarked": ("Q", "Q"),
    },
}


ENTERED_PLACES = {
    "taxi": {"PULocationID": "130", "DOLocationID": "7"},
    "titanic": {"Embarked": "C", "Sex": "male"},
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("SKIPPED LOUDLY: no Chromium here, so the page was not looked at (apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-software-rasterizer"]
        opened = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield opened
        opened.close()


@contextmanager
def opened(browser: Browser, server: Server | Address, **options: Any) -> Iterator[Page]:
    """The page of a server; at its end, that nothing was against its policy or came from elsewhere."""
    context = browser.new_context(reduced_motion="reduce", **options)
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    requested: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if of_the_page(said.text) else None)
    page.on("request", lambda request: requested.append(request.url))
    page.goto(f"{server.address}/")
    yield page
    assert complaints == []
    assert [url for url in requested if not url.startswith((server.address, "data:"))] == []
    context.close()


def of_the_page(text: str) -> bool:
    """Whether the browser complains of the page itself, not of a status that a test asks for."""
    return not text.startswith("Failed to load resource")


def predict(page: Page) -> str:
    """Press Predict; returns the answer that is then seen, once its reasons are there as well."""
    with page.expect_response(lambda response: response.url.endswith("/explain")):
        page.get_by_role("button", name="Predict").click()
    page.locator("#why").wait_for()
    return page.locator("#answer").inner_text()


def enter(page: Page, name: str, value: str) -> None:
    control = page.locator(f"[name={name}]")
    if control.evaluate("node => node.tagName") == "SELECT":
        control.select_option(label=value)
    else:
        control.fill(value)


@pytest.mark.parametrize("name", ENTERED)
def test_the_example_is_filled_in_and_sent_as_it_is(browser: Browser, name: str) -> None:
    case = usecases.contract_of(name)
    with serving(case) as server, opened(browser, server) as page:
        assert page.title() == page.locator("h1").inner_text() == case.title
        assert page.locator("#version").inner_text() == "3"
        predict(page)
        empty = dict.fromkeys(set(case.request_columns) - set(case.example))
        assert server.asked[0] == (f"{PREFIX}/predict", {**empty, **case.example})
        assert server.asked[1] == (f"{PREFIX}/explain", server.asked[0][1])
        assert "Version 3" in page.locator("#answered").inner_text()


@pytest.mark.parametrize("name", ENTERED)
def test_each_single_field_changes_what_is_sent_and_the_answer_that_is_seen(
    browser: Browser, name: str
) -> None:
    case = usecases.contract_of(name)
    with serving(case) as server, opened(browser, server) as page:
        assert page.locator("#fields label").count() == len(case.request_columns) == len(ENTERED[name])
        before = predict(page)
        (_, body), _ = server.asked
        for one, (text, sent) in ENTERED[name].items():
            server.asked.clear()
            enter(page, one, text)
            answer = predict(page)
            assert server.asked[0][1] == {**body, one: sent}
            assert answer != before, f"{one} has no effect on the answer that is seen"
            page.get_by_role("button", name="Back to the example").click()
        assert predict(page) == before


@pytest.mark.parametrize(("name", "candidate"), [("taxi", "gradient_boosting"), ("titanic", "logistic")])
def test_an_endpoint_shows_the_answers_of_its_own_model_and_each_place_of_a_trip_changes_them(
    browser: Browser, name: str, candidate: str
) -> None:
    worker = Worker(endpoint(name, candidate), Surroundings(state=None, keys=None, database=None))
    with running(front(nothing_else, lambda: worker)) as address, opened(browser, Address(address)) as page:
        seen = [predict(page)]
        for field_, text in ENTERED_PLACES[name].items():
            enter(page, field_, text)
            seen.append(predict(page))
        assert len(set(seen)) == len(seen)
        expected = answer(endpoint(name, candidate), dict(usecases.contract_of(name).example))
        number = next(value for value in expected.values() if isinstance(value, float))
        shown = [float(text) for text in re.findall(r"\d+\.\d+", seen[0])]
        assert any(abs(value - number) < 0.01 for value in shown)
        assert "Version 7" in page.locator("#answered").inner_text()
        assert page.locator("#effects li, #effects tr").count() == len(ENTERED[name])


async def nothing_else(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError(f"BentoML was asked for {scope['path']}")


def test_an_optional_field_that_is_emptied_goes_as_null_and_one_with_a_default_is_left_to_it(
    browser: Browser,
) -> None:
    with serving(usecases.contract_of("titanic")) as server, opened(browser, server) as page:
        enter(page, "Age", "")
        enter(page, "Embarked", "not given")
        enter(page, "SibSp", "")
        predict(page)
        sent = server.asked[0][1]
        assert sent["Age"] is None
        assert sent["Embarked"] is None
        assert "SibSp" not in sent


def test_what_is_wrong_is_said_beside_the_field_and_gone_once_it_is_right(browser: Browser) -> None:
    with serving(usecases.contract_of("taxi")) as server, opened(browser, server) as page:
        enter(page, "PULocationID", "999")
        enter(page, "trip_distance", "")
        page.get_by_role("button", name="Predict").click()
        zone = page.get_by_label("PULocationID")
        page.locator("#field-PULocationID-error").filter(has_text="less than or equal to 265").wait_for()
        assert "Field required" in page.locator("#field-trip_distance-error").inner_text()
        assert zone.get_attribute("aria-invalid") == "true"
        assert zone.evaluate("node => node === document.activeElement")
        assert "The request is not valid." in page.get_by_role("alert").inner_text()
        assert not page.locator("#field-DOLocationID-error").is_visible()

        enter(page, "PULocationID", "74")
        enter(page, "trip_distance", "3.1")
        predict(page)
        assert page.locator("[aria-invalid], .error:visible").count() == 0
        assert not page.get_by_role("alert").is_visible()


def test_what_is_no_number_is_not_sent_as_an_empty_field(browser: Browser) -> None:
    with serving(usecases.contract_of("taxi")) as server, opened(browser, server) as page:
        page.get_by_label("passenger_count").press_sequentially("1e")
        page.get_by_role("button", name="Predict").click()
        page.get_by_text("This is not a number.").wait_for()
        assert server.asked == []


def test_an_endpoint_with_keys_asks_for_one_and_keeps_it_in_this_tab_alone(browser: Browser) -> None:
    with serving(usecases.contract_of("taxi"), key=KEY) as server, opened(browser, server) as page:
        assert not page.get_by_label("API key").is_visible()
        page.get_by_role("button", name="Predict").click()
        key = page.get_by_label("API key")
        key.wait_for()
        key.fill("a wrong one")
        page.get_by_role("button", name="Use key").click()
        page.get_by_text("refused this API key").wait_for()
        assert server.asked == []
        key.fill(KEY)
        page.get_by_role("button", name="Use key").click()
        page.locator("#why").wait_for()
        assert not page.get_by_role("alert").is_visible()
        assert 'Bearer $API_KEY"' in page.locator("#curl").inner_text()
        assert KEY not in page.locator("body").inner_text()
        page.reload()
        predict(page)
        assert page.evaluate("Object.values(localStorage)") == []
        with opened(browser, server) as another:
            another.get_by_role("button", name="Predict").click()
            another.get_by_text("asks for an API key").wait_for()


def test_reasons_are_shown_the_largest_first_with_what_is_typical(browser: Browser) -> None:
    case = usecases.contract_of("taxi")
    typical = {"trip_distance": 1.8, "passenger_count": 1, "DOLocationID": 236, "PULocationID": 200}
    with serving(case, typical) as server, opened(browser, server) as page:
        predict(page)
        rows = page.locator("#effects li").all_inner_texts()
        assert [row.split("\n")[0] for row in rows] == [
            "PULocationID",
            "passenger_count",
            "trip_distance",
            "DOLocationID",
        ]
        assert "74; typically 200" in rows[0]
        assert "\N{MINUS SIGN}0.0126" in rows[0]
        assert "not given; typically 1" in rows[1]
        assert "+0.0005" in rows[2]
        assert "236, which is typical" in rows[3]
        widths = [bar.bounding_box() for bar in page.locator("#effects .bar").all()]
        assert widths[0]["width"] > widths[1]["width"] > 0 == widths[3]["width"]
        zero = page.locator("#effects .zero").first.bounding_box()
        assert widths[0]["x"] < zero["x"]
        assert widths[2]["x"] == pytest.approx(zero["x"], abs=1)


def test_round_trips_are_counted_and_only_the_last_fifty_drawn(browser: Browser) -> None:
    with serving(usecases.contract_of("taxi")) as server, opened(browser, server) as page:
        for count in range(1, 4):
            predict(page)
            assert page.locator("#spark rect").count() == count
        assert "The last 3" in page.locator("#trips").inner_text()
        assert "median" in page.locator("#trips").inner_text()
        page.evaluate("for (let i = 0; i < 100; i++) trips.push(i)")
        predict(page)
        assert page.locator("#spark rect").count() == 50


def arguments(command: str) -> list[str]:
    """What a shell hands to curl."""
    shell = shutil.which("sh")
    assert shell is not None
    script = f"curl() {{ printf '%s\\n' \"$@\"; }}\n{command}"
    return subprocess.run([shell, "-c", script], capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )


def test_the_command_that_is_copied_sends_what_the_page_sends(browser: Browser) -> None:
    allowed = ["clipboard-read", "clipboard-write"]
    with (
        serving(usecases.contract_of("titanic")) as server,
        opened(browser, server, permissions=allowed) as page,
    ):
        enter(page, "Fare", "7.25")
        page.get_by_role("button", name="Copy").click()
        page.get_by_role("button", name="Copied").wait_for()
        url, _, content_type, _, body, _ = arguments(page.evaluate("navigator.clipboard.readText()"))
        predict(page)
        assert url == f"{server.address}/predict"
        assert content_type == "Content-Type: application/json"
        assert json.loads(body) == server.asked[0][1]


def test_the_browser_runs_and_asks_nothing_else_whatever_gets_into_the_page(browser: Browser) -> None:
    with serving(usecases.contract_of("taxi")) as server, serving(usecases.contract_of("taxi")) as elsewhere:
        page = browser.new_page()
        page.goto(f"{server.address}/")
        page.evaluate(
            """() => {
                const script = document.createElement("script");
                script.textContent = "document.title = 'caught'";
                document.body.append(script);
            }"""
        )
        assert page.title() == "Duration of a New York green taxi trip"
        options = "{method: 'POST', mode: 'no-cors', body: '{}'}"
        asking = f"url => fetch(url, {options}).then(() => 'sent', () => 'refused')"
        assert page.evaluate(asking, f"{elsewhere.address}/predict") == "refused"
        assert elsewhere.asked == []
        page.close()


def test_markup_in_values_and_texts_is_shown_not_run(browser: Browser) -> None:
    with serving(tricky(), {"word": "<u>usual</u>"}) as server, opened(browser, server) as page:
        predict(page)
        assert "<img src=x" in page.locator("#answer dd").first.inner_text()
        assert "</script>" in page.locator("#answer").inner_text()
        assert "<u>usual</u>" in page.locator("#effects").inner_text()
        assert "<b>bold</b>" in page.locator("#field-word-help").inner_text()
        enter(page, "word", "<s>" * 30)
        page.get_by_role("button", name="Predict").click()
        page.locator("#field-word-error").filter(has_text="at most 60").wait_for()
        assert page.title() == "<script>document.title = 'caught'</script>"
        assert page.locator("img, b, i, u, s").count() == 0


def test_named_codes_truth_values_and_what_a_shell_would_break_at_are_sent_as_meant(browser: Browser) -> None:
    with serving(tricky()) as server, opened(browser, server) as page:
        enter(page, "word", "O'Hara")
        enter(page, "zone", "O'Hare (2)")
        enter(page, "maybe", "no")
        page.get_by_label("sure").uncheck()
        body = json.loads(arguments(page.locator("#curl").inner_text())[-2])
        predict(page)
        assert body == server.asked[0][1] == {"word": "O'Hara", "zone": 2, "sure": False, "maybe": False}


def test_a_server_that_is_gone_is_told_of(browser: Browser) -> None:
    with serving(usecases.contract_of("taxi")) as server, opened(browser, server) as page:
        page.route("**/predict", lambda route: route.abort())
        page.get_by_role("button", name="Predict").click()
        page.get_by_text("The endpoint could not be asked").wait_for()
        page.unroute("**/predict")
        page.route("**/predict", lambda route: route.fulfill(status=502, body="<html>Bad gateway</html>"))
        page.get_by_role("button", name="Predict").click()
        page.get_by_text("The endpoint answered with status 502.").wait_for()


def test_a_page_reached_without_the_slash_at_its_end_asks_the_same_endpoint(browser: Browser) -> None:
    with serving(usecases.contract_of("taxi")) as server, opened(browser, server) as page:
        page.route(
            f"{server.address}", lambda route: route.fulfill(response=route.fetch(url=f"{server.address}/"))
        )
        page.goto(server.address)
        predict(page)
        assert server.asked[0][0] == f"{PREFIX}/predict"
        links = page.get_by_role("navigation").get_by_role("link")
        assert links.first.evaluate("link => link.href") == f"{server.address}/docs"


def test_the_whole_form_is_used_by_keyboard_and_fits_a_narrow_screen(browser: Browser) -> None:
    narrow = {"width": 340, "height": 700}
    with serving(usecases.contract_of("titanic")) as server, opened(browser, server, viewport=narrow) as page:
        page.get_by_label("Age").focus()
        page.keyboard.press("Enter")
        page.locator("#why").wait_for()
        assert len(server.asked) == 2
        assert page.evaluate("document.documentElement.scrollWidth") <= 340
        labelled = page.locator("#request input, #request select").evaluate_all(
            "nodes => nodes.every((node) => node.labels.length === 1)"
        )
        assert labelled
