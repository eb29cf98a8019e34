"""Images as JSON. Pure; the fields are those of `api/schemas/images`."""

from templates.images import Image


def image_face(image: Image, public_url: str) -> dict[str, object]:
    """An image in a list."""
    return {
        "id": image.id,
        "name": image.name,
        "type": image.type.media_type,
        "width": image.width,
        "height": image.height,
        "size": image.size,
        "url": f"{public_url}{image.path}" if public_url else None,
        "created_at": image.created_at,
    }


def image_answer(image: Image, public_url: str) -> dict[str, object]:
    """An image by itself."""
    return {"object": "image"} | image_face(image, public_url)
