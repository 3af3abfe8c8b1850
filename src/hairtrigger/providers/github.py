"""The provider GitHub. One webhook serves all accounts that have installed the operator's app.

https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

from pydantic import Field, ValidationInfo, field_validator

from hairtrigger import kit

_PAGE = 100  # https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api
_INSTRUCTIONS = (
    "Install the app for the repository. Connect with a token of a person who may push to it, or, for a whole "
    "installation, with a token that the app made for a person who administers the account."
)


class Source(kit.Config):
    """The source of events: one repository, or all repositories that an installation of the app covers."""

    repository: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]+/[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*$",
        title="Repository",
        description="Its owner and name. Either this or the installation is given.",
        examples=["octocat/hello-world"],
    )
    installation_id: int | None = Field(
        default=None,
        ge=1,
        validate_default=True,
        title="Installation",
        description="The id at the end of the address of the installation's settings.",
    )

    @field_validator("installation_id", mode="after")
    @classmethod
    def _one_of_both(cls, installation_id: int | None, given: ValidationInfo) -> int | None:
        if "repository" in given.data and (given.data["repository"] is None) == (installation_id is None):
            raise ValueError("Give either repository or installation_id.")
        return installation_id


class Branch(Source):
    branch: str | None = Field(
        default=None, min_length=1, title="Branch", description="Only pushes to this one.", examples=["main"]
    )


class Thing(kit.Payload):
    id: int


class Repository(Thing):
    full_name: str


class PullRequest(Thing):
    merged: bool | None = None


class Happening(kit.Payload):
    """The parts of a request's body that are read, for any kind of event."""

    action: str | None = None
    installation: Thing | None = None
    repository: Repository | None = None
    ref: str | None = None
    deleted: bool = False
    issue: Thing | None = None
    comment: Thing | None = None
    pull_request: PullRequest | None = None
    release: Thing | None = None
    starred_at: str | None = None
    workflow_run: Thing | None = None


def _accounts(request: kit.Request) -> Sequence[str]:
    """Return the accounts that a request is for, which are its installation and its repository. An account is written
    like `repository:42`.

    Accounts are named by number, because an account can give up its name and another account can take it.
    """
    happening = Happening.of(_payload(request))
    named = {"installation": happening.installation, "repository": happening.repository}
    return [f"{kind}:{thing.id}" for kind, thing in named.items() if thing]


def _payload(request: kit.Request) -> bytes:
    """Return the JSON of a request. It is the body or, if the content type of the app's webhook is set so, the field
    `payload` of a form.

    Raises `Malformed` for a form without exactly one such field.
    """
    if not request.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
        return request.body
    try:
        (payload,) = parse_qs(request.body.decode(), strict_parsing=True, errors="strict")["payload"]
    except (ValueError, KeyError):
        raise kit.Malformed("The body is a form without one payload.") from None
    return payload.encode()


class Permissions(kit.Payload):
    admin: bool = False
    push: bool = False


class OwnRepository(Thing):
    """A repository, with what the connection's user may do in it.

    https://docs.github.com/en/rest/repos/repos#get-a-repository
    """

    permissions: Permissions = Permissions()


class Owner(Thing):
    login: str = ""
    type: str = ""


class Installation(Thing):
    account: Owner | None = None


class Installations(kit.Payload):
    """A page of the installations that the connection can see.

    https://docs.github.com/en/rest/apps/installations#list-app-installations-accessible-to-the-user-access-token
    """

    installations: list[Installation]


class Membership(kit.Payload):
    """The membership of the connection's user in an organization.

    https://docs.github.com/en/rest/orgs/members#get-an-organization-membership-for-the-authenticated-user
    """

    role: str
    state: str


async def _own_account(question: kit.Question[Source]) -> Sequence[str]:
    config = question.config
    if config.repository is not None:
        return [f"repository:{await _own_repository(question.api, config.repository)}"]
    assert config.installation_id is not None
    return [f"installation:{await _own_installation(question.api, config.installation_id)}"]


async def _own_repository(api: kit.Api, name: str) -> int:
    """Return the id of the repository with this name. Raises `InvalidConfig` if the connection may not push to the
    repository.

    Every account can read a public repository, but only an account that may push learns of everything in it.
    """
    repository = kit.read(OwnRepository, await api.get(f"repos/{name}"))
    if not (repository.permissions.admin or repository.permissions.push):
        raise _foreign("repository", f"The connection may not push to {name}, so its events are not for it.")
    return repository.id


async def _own_installation(api: kit.Api, id_: int) -> int:
    """Return the id of the installation. Raises `InvalidConfig` if the connection's user does not administer the
    account that has it.

    An installation is listed for every user that can read one of its repositories, but it delivers the events of all
    its repositories.
    """
    installation = await _installation(api, id_)
    if not (installation and installation.account and await _administers(api, installation.account)):
        raise _foreign("installation_id", f"The connection does not administer the account of installation {id_}.")
    return installation.id


async def _installation(api: kit.Api, id_: int) -> Installation | None:
    page = 1
    while True:
        answer = await api.get("user/installations", {"per_page": _PAGE, "page": page})
        listed = kit.read(Installations, answer).installations
        if found := next((one for one in listed if one.id == id_), None):
            return found
        if len(listed) < _PAGE:
            return None
        page += 1


async def _administers(api: kit.Api, account: Owner) -> bool:
    match account.type:
        case "User":
            return kit.read(Thing, await api.get("user")).id == account.id
        case "Organization":
            try:
                membership = kit.read(Membership, await api.get(f"user/memberships/orgs/{account.login}"))
            except kit.MissingAtProvider:
                return False
            return (membership.role, membership.state) == ("admin", "active")
        case _:
            return False


def _foreign(field: str, message: str) -> kit.InvalidConfig:
    return kit.InvalidConfig(None, kit.Issue((field,), message))


def _on(
    event: str,
    id_: str,
    name: str,
    description: str,
    wanted: Callable[[Happening, Any], bool],
    config: type[Source] = Source,
) -> kit.AppWebhook[Any]:
    """Return a trigger for one kind of event, which the header X-GitHub-Event names `event`.

    That header is not signed, so `wanted` also looks for the thing itself in the body. The header with the request's id
    is not signed either, so the digest of the body is the event key.
    """

    def events(incoming: kit.Incoming[Any]) -> Iterable[kit.Draft]:
        if incoming.request.headers.get("x-github-event") != event:
            return
        payload = _payload(incoming.request)
        happening = Happening.of(payload)
        if wanted(happening, incoming.config):
            subject = happening.repository.full_name if happening.repository else None
            yield kit.Draft(key=kit.digest(incoming.request.body), data=payload, subject=subject)

    return kit.AppWebhook(
        id=id_,
        name=name,
        description=description,
        instructions=_INSTRUCTIONS,
        config=config,
        accounts=_own_account,
        events=events,
        key_explained="The digest of the body, which GitHub signs. The id in X-GitHub-Delivery is not signed.",
        requires_verification=True,
    )


def _pushed(happening: Happening, config: Branch) -> bool:
    if happening.ref is None or happening.deleted:
        return False
    if config.branch is not None and happening.ref != f"refs/heads/{config.branch}":
        raise kit.NotWanted(f"It is a push to {happening.ref[:300]}; this trigger listens to {config.branch}.")
    return True


def _merged(happening: Happening, _: Source) -> bool:
    return happening.action == "closed" and bool(happening.pull_request and happening.pull_request.merged)


provider = kit.Provider(
    id="github",
    name="GitHub",
    icon="🐙",
    base_url="https://api.github.com/",
    ways={
        # https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
        "oauth": kit.OAuth2(
            authorize_url="https://github.com/login/oauth/authorize",
            token_url="https://github.com/login/oauth/access_token",
            device_url="https://github.com/login/device/code",
            scopes=("repo", "admin:repo_hook"),
        ),
        "app": kit.AppInstallation(),
    },
    auth=kit.Bearer(
        "token",
        # https://docs.github.com/en/rest/about-the-rest-api/api-versions
        also={"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"},
    ),
    guide="Make a token that may read the repositories: a fine-grained one with read access to metadata, or a classic "
    "one with the scope repo. Events come through the GitHub App of this service, whose secret its operator has set.",
    # https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks
    delivery=kit.DeliveryRules(
        answer_within=timedelta(seconds=10),
        retries="It does not send a request again by itself. The app's owner can ask for it for three days.",
        source="https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries",
    ),
    labels={"token": "Personal access token"},
    check=lambda api: api.get("user"),
    app=kit.App(verify=kit.GITHUB, accounts=_accounts, handshakes=kit.SENDERS["github"].handshakes),
    triggers=(
        _on("push", "on_push", "Push", "Commits were pushed to a branch, or a tag was.", _pushed, Branch),
        _on(
            "issues",
            "on_issue_opened",
            "Issue opened",
            "A user opened an issue.",
            lambda it, _: it.action == "opened" and it.issue is not None,
        ),
        _on(
            "issue_comment",
            "on_issue_comment_created",
            "Issue comment created",
            "A user commented on an issue or a pull request.",
            lambda it, _: it.action == "created" and it.issue is not None and it.comment is not None,
        ),
        _on(
            "pull_request",
            "on_pull_request_opened",
            "Pull request opened",
            "A user opened a pull request.",
            lambda it, _: it.action == "opened" and it.pull_request is not None,
        ),
        _on(
            "pull_request",
            "on_pull_request_merged",
            "Pull request merged",
            "A pull request was merged.",
            _merged,
        ),
        _on(
            "release",
            "on_release_published",
            "Release published",
            "A release was published.",
            lambda it, _: it.action == "published" and it.release is not None,
        ),
        _on(
            "star",
            "on_star_created",
            "Star added",
            "A user gave the repository a star.",
            lambda it, _: it.action == "created" and it.starred_at is not None,
        ),
        _on(
            "workflow_run",
            "on_workflow_run_completed",
            "Workflow run completed",
            "A run of GitHub Actions ended, well or not: its conclusion says which.",
            lambda it, _: it.action == "completed" and it.workflow_run is not None,
        ),
    ),
)
