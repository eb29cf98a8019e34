"""What is said of a thing by its id alone. Pure."""


def reference(noun: str, identifier: object) -> dict[str, object]:
    """The thing that was worked on."""
    return {"object": noun, "id": identifier}


def deleted(noun: str, identifier: object) -> dict[str, object]:
    """The thing that is gone."""
    return reference(noun, identifier) | {"deleted": True}
