"""Defines the way to connect with Google, which all providers of Google share."""

from hairtrigger.kit.oauth import OAuth2


def google(*scopes: str) -> OAuth2:
    """Return the grant of these scopes, named without the address before them.

    Google tells a refresh token only for offline access, and again only if the user is asked for consent.
    https://developers.google.com/identity/protocols/oauth2/web-server
    """
    return OAuth2(
        client="google",
        authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
        token_url="https://oauth2.googleapis.com/token",  # noqa: S106
        scopes=tuple(f"https://www.googleapis.com/auth/{one}" for one in scopes),
        authorize={"access_type": "offline", "prompt": "consent", "include_granted_scopes": "true"},
    )


GOOGLE_GUIDE = (
    "Connect with a Google account in the browser. The operator sets a client of Google's under the name google, and "
    "switches on the API in its project. While the project's consent screen is in testing, access ends after 7 days."
)
