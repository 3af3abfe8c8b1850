"""The routes for icons of integrations. An icon is the URL of an image elsewhere, or an image that was uploaded
here.
"""

from fastapi import APIRouter, UploadFile
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from hairtrigger.api.auth import Admitted
from hairtrigger.api.odeus.paths import IntegrationId
from hairtrigger.api.odeus.responses import refusals
from hairtrigger.api.odeus.schemas import IconPlace
from hairtrigger.domain.errors import TooLarge
from hairtrigger.services.setup.integrations import Integrations

MAX_ICON = 20 * 1024 * 1024
MAX_UPLOAD = MAX_ICON + 64 * 1024  # multipart adds its own lines around the image

_IMAGES = ("image/png", "image/jpeg", "image/webp")
_BINARY: dict[str, object] = {"type": "string", "format": "binary"}


def router(integrations: Integrations, route_class: type[APIRoute]) -> APIRouter:
    routes = APIRouter(tags=["icons"], route_class=route_class)

    @routes.get("/{integrationId}/icon", responses=refusals(400, 404))
    async def get_icon(integration_id: IntegrationId, caller: Admitted, request: Request) -> IconPlace:
        """Returns the URL of the icon, or null if there is none. An uploaded icon is fetched with the API key."""
        place = await integrations.icon_url(caller, integration_id, _image_url(request))
        return IconPlace(icon_url=place)

    @routes.put("/{integrationId}/icon", responses=refusals(400, 404, 413))
    async def upload_icon(
        integration_id: IntegrationId, icon: UploadFile, caller: Admitted, request: Request
    ) -> IconPlace:
        """Stores a PNG, JPEG or WebP image of at most 20 MB as the icon."""
        if (icon.size or 0) > MAX_ICON:
            raise TooLarge("The icon is larger than 20 MB.")
        await integrations.set_icon(caller, integration_id, await icon.read())
        return IconPlace(icon_url=_image_url(request))

    @routes.get(
        "/{integrationId}/icon/image",
        response_class=Response,
        responses={
            **refusals(400, 404),
            200: {"description": "The image.", "content": {kind: {"schema": _BINARY} for kind in _IMAGES}},
        },
    )
    async def get_icon_image(integration_id: IntegrationId, caller: Admitted) -> Response:
        """Extension: returns the image that was uploaded."""
        icon = await integrations.icon(caller, integration_id)
        return Response(icon.image, media_type=icon.content_type, headers={"X-Content-Type-Options": "nosniff"})

    return routes


def _image_url(request: Request) -> str:
    """Return the image's URL, which is below the URL of the icon and has the prefix and the host that the
    client uses.
    """
    return str(request.url.replace(path=f"{request.url.path}/image", query=""))
