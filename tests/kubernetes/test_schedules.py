"""A cluster trains by itself when it was told to, and no longer once it was told not to."""

from __future__ import annotations

from tests.integration.command_line import CommandLine
from tests.kubernetes.cluster import Platform, wait_for


def test_a_time_that_is_none_is_refused_and_an_earlier_schedule_stays(run: CommandLine) -> None:
    assert run("--stack", "kubernetes", "schedule", "titanic", "--cron", "0 3 * * 1").code == 0
    wrong = run("--stack", "kubernetes", "schedule", "titanic", "--cron", "61 * *")
    assert wrong.code == 2
    assert "five fields" in wrong.document["error"]
    (schedule,) = run("--stack", "kubernetes", "schedules").document["schedules"]
    assert schedule["cron"] == "0 3 * * 1"


def test_a_new_schedule_replaces_the_one_before_and_its_run_trains_promotes_and_releases(
    run: CommandLine, platform: Platform
) -> None:
    done = run("--stack", "kubernetes", "schedule", "titanic", "--cron", "* * * * *", "--release")
    assert done.code == 0, done
    assert done.document["before"] == "0 3 * * 1"
    (job,) = platform.get("cronjobs", namespace=platform.pipelines)
    assert job["spec"]["schedule"] == "* * * * *"

    def newest() -> dict[str, str] | None:
        (found,) = run("--stack", "kubernetes", "schedules").document["schedules"]
        return found if found["status"] in ("completed", "failed") else None

    found = wait_for(newest, "a run of the schedule that has ended", seconds=240, pause=2)
    assert found["status"] == "completed", found
    followed = run("--stack", "kubernetes", "follow", found["run"]).document
    assert {"promote", "deploy"} <= {stage["stage"].rpartition(": ")[2] for stage in followed["stages"]}
    (serving, *_) = run("--stack", "kubernetes", "history", "titanic").document["releases"]
    (found,) = platform.get("deployment", "titanic", namespace=platform.inference)
    assert serving["status"] == "serving"
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == serving["image"]


def test_without_its_schedule_nothing_is_left_that_could_start_or_log_in(
    run: CommandLine, platform: Platform
) -> None:
    assert run("--stack", "kubernetes", "unschedule", "titanic").code == 0
    assert platform.get("cronjobs", namespace=platform.pipelines) == []
    wait_for(
        lambda: (
            not [
                secret
                for secret in platform.get("secrets", namespace=platform.pipelines)
                for owner in secret["metadata"].get("ownerReferences", ())
                if owner["kind"] == "CronJob"
            ]
        ),
        "the token's Secret gone with its CronJob",
    )
    assert run("--stack", "kubernetes", "schedules").document["schedules"] == []
    again = run("--stack", "kubernetes", "unschedule", "titanic")
    assert again.code == 2
    assert "has no such schedule" in again.document["error"]


def test_a_laptops_stack_has_no_schedules(run: CommandLine) -> None:
    done = run("--stack", "local", "schedules")
    run("stop")
    assert done.code == 2
    assert "--stack kubernetes" in done.document["error"]
