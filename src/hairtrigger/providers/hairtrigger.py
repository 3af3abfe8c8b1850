"""Defines the service itself as a provider. Its operational events become events of any project that asks for them."""

from pydantic import Field

from hairtrigger import kit


class Asked(kit.Config):
    types: list[kit.OperationalType] = Field(
        default_factory=list,
        max_length=100,
        title="Types",
        description="Only events of these types, such as trigger.failing. None: all of them.",
        examples=[["trigger.failing", "trigger.recovered"]],
    )
    projects: list[str] = Field(
        default_factory=list,
        max_length=1000,
        title="Projects",
        description="Only events about these projects, by their ids, or about all of them. None: about any project.",
    )


provider = kit.Provider(
    id="hairtrigger",
    name="hairtrigger",
    icon="📟",
    triggers=(
        kit.Internal(
            id="on_operational_event",
            name="Operational event",
            description="The service tells of itself: a trigger fails or stalls, a delivery is a dead letter, a quota "
            "is nearly used up.",
            instructions="Deliveries to this project's own target are not told to this project. Use another project or "
            "an alert channel for these.",
            config=Asked,
            key_explained="The operational event's own id.",
            wanted=lambda config: kit.Wanted(config.types, config.projects),
        ),
    ),
)
