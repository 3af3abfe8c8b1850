"""Defines the clock as a provider. It fires at times of the calendar, at an interval, or once."""

from datetime import UTC, datetime
from typing import Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from hairtrigger import kit

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


class Timed(kit.Config):
    """A configuration that makes a schedule. One that makes none is refused with an error that names the field at
    fault.
    """

    def schedule(self, anchor: datetime) -> kit.Schedule:
        return kit.parse_schedule(dict(self), anchor=anchor)

    @model_validator(mode="after")
    def _makes_a_schedule(self) -> Self:
        try:
            self.schedule(_ANY_TIME)
        except kit.Invalid as error:
            issues = [issue for issue in error.issues if issue.path[0] in type(self).model_fields]
            raise ValidationError.from_exception_data(
                type(self).__name__, [_detail(issue) for issue in issues]
            ) from error
        return self


def _detail(issue: kit.Issue) -> InitErrorDetails:
    problem = PydanticCustomError("schedule", "{message}", {"message": issue.message})
    return InitErrorDetails(type=problem, loc=issue.path, input=None)


class Recurring(Timed):
    cron: str | None = Field(
        default=None,
        title="Cron",
        description="Minute, hour, day, month, day of the week: '0 9 * * 1-5' is nine o'clock on working days.",
        examples=["0 9 * * 1-5"],
    )
    timezone: str = Field(
        default="UTC",
        title="Time zone",
        description="Whose clocks the cron expression or the rule is read on.",
        examples=["Europe/Berlin"],
    )
    interval: float | str | None = Field(
        default=None,
        title="Interval",
        description="In place of cron: seconds, or a text such as '5m', '1h30m', '2w' or 'PT5M'. Counts from the "
        "start, or else from when it is enabled.",
        examples=["15m"],
    )
    rrule: str | None = Field(
        default=None,
        title="Rule",
        description="In place of cron: a recurrence rule of iCalendar. 'FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;BYHOUR=9' is "
        "nine o'clock on every second Monday.",
        examples=["FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;BYHOUR=9"],
    )
    start: str | None = Field(
        default=None,
        title="Start",
        description="Of an interval or a rule, in ISO 8601: the first time, from which it counts. "
        "An interval of whole days then keeps the time on the clock.",
        examples=["2030-01-07T09:00:00"],
    )
    missed: kit.Missed = Field(
        default=kit.Missed.LATEST,
        title="Missed times",
        description="What becomes of times that passed while the service was down: none of them, the latest, or all.",
    )


class Once(Timed):
    run_at: str = Field(
        title="Time",
        description="A date and time in ISO 8601, with an offset or on the clocks of the time zone.",
        examples=["2030-05-01T09:00:00+02:00"],
    )
    timezone: str | None = Field(
        default=None, title="Time zone", description="Needed where the time has no offset.", examples=["Europe/Berlin"]
    )


provider = kit.Provider(
    id="schedule",
    name="Schedule",
    icon="⏰",
    triggers=(
        kit.Scheduled(
            id="on_schedule",
            name="Schedule",
            description="At times of the calendar (cron or a rule), or at an interval.",
            config=Recurring,
            schedule=Recurring.schedule,
            key_explained="The time for which the firing was planned.",
            missed=lambda config: config.missed,
        ),
        kit.Scheduled(
            id="on_schedule_once",
            name="Schedule once",
            description="Once, at a date and time. The trigger disables itself afterwards.",
            config=Once,
            schedule=Once.schedule,
            key_explained="The time for which the firing was planned.",
            missed=lambda _: kit.Missed.LATEST,  # a missed firing is made late
        ),
    ),
)
