"""Usage adds up core-hours and money, over the window and in the pieces that were asked for."""

import pytest

PATH = "/clusters/c/usage"


def test_two_machines_for_an_hour(world):
    """D4 at 0.4 an hour and a spot D4 at 0.1 an hour, billed from 2 s after the create."""
    world.create(1)
    world.create(1, nodearray="spot")
    world.wait(2)
    world.wait(3600)
    [piece] = world.get(PATH)["usage"]
    assert piece["total"]["category"] == "cluster"
    assert piece["total"]["hours"] == pytest.approx(8)
    assert piece["total"]["cost"] == pytest.approx(0.5)
    assert [(item["node"], item["hours"]) for item in piece["breakdown"]] == [
        ("spot", pytest.approx(4)),
        ("worker", pytest.approx(4)),
    ]
    detail = piece["breakdown"][0]["details"][0]
    assert (detail["vm_size"], detail["core_count"], detail["priority"]) == ("D4", 4, "Spot")


def test_a_window_is_cut_into_pieces(world):
    world.create(1)
    world.wait(2)
    world.wait(7200)
    query = "?timeframe=custom&from=1970-01-12T13:00:00&to=1970-01-12T16:00:00Z&granularity=hourly"
    pieces = world.get(PATH + query)["usage"]
    assert [piece["start"] for piece in pieces] == [f"1970-01-12T{hour}:00:00Z" for hour in (13, 14, 15)]
    assert sum(piece["total"]["hours"] for piece in pieces) == pytest.approx(8)


@pytest.mark.parametrize("timeframe", ["monthToDate", "lastMonth", "weekToDate"])
def test_named_windows(world, timeframe):
    assert len(world.get(f"{PATH}?timeframe={timeframe}")["usage"]) == 1


@pytest.mark.parametrize(
    "query",
    [
        "timeframe=year",
        "granularity=weekly",
        "timeframe=custom",
        "timeframe=custom&from=x&to=y",
        "timeframe=custom&from=2026-01-02&to=2026-01-01",
        "timeframe=custom&from=0001-01-01&to=2026-01-01",
        "timeframe=custom&from=1990-01-01&to=2026-01-01&granularity=hourly",
    ],
)
def test_a_window_that_makes_no_sense_is_refused(world, query):
    assert world.ask("GET", f"{PATH}?{query}").status == 400
