"""Which elements MJML has, what may stand in which, and their attributes: what MRML lets pass in silence. Pure."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Final

from templates.faults import Fault
from templates.markup import names
from templates.mjml_tree import Element
from templates.placeholders import Hidden

_PADDING: Final = "padding padding-top padding-right padding-bottom padding-left"
_BORDER: Final = "border border-top border-right border-bottom border-left border-radius"
_INNER: Final = "inner-border inner-border-top inner-border-right inner-border-bottom inner-border-left"
_BACK: Final = (
    "background-color background-url background-repeat background-size background-position background-position-x "
    "background-position-y"
)
_FONT: Final = (
    "color font-family font-size font-style font-weight letter-spacing line-height text-decoration text-transform"
)
_BLOCK: Final = f"align container-background-color {_PADDING}"
_IMAGE: Final = "src alt title srcset sizes href target rel name usemap width height"
_ICON: Final = "icon-align icon-height icon-position icon-width icon-wrapped-url icon-wrapped-alt icon-unwrapped-url"
_SOCIAL_BUTTON: Final = f"icon-size icon-height icon-padding text-padding {_FONT} {_PADDING} border-radius"

_BODY: Final = ("mj-section", "mj-wrapper", "mj-hero", "mj-raw")
_IN_COLUMN: Final = (
    "mj-text", "mj-button", "mj-image", "mj-divider", "mj-spacer", "mj-table", "mj-social", "mj-navbar", "mj-accordion",
    "mj-carousel", "mj-raw",
)  # fmt: skip

CHILDREN: Final[Mapping[str, tuple[str, ...]]] = {
    "mjml": ("mj-head", "mj-body"),
    "mj-head": (
        "mj-attributes", "mj-breakpoint", "mj-font", "mj-preview", "mj-style", "mj-title", "mj-raw",
    ),
    "mj-body": _BODY,
    "mj-wrapper": ("mj-section", "mj-hero", "mj-raw"),
    "mj-section": ("mj-column", "mj-group", "mj-raw"),
    "mj-group": ("mj-column", "mj-raw"),
    "mj-column": _IN_COLUMN,
    "mj-hero": _IN_COLUMN,
    "mj-social": ("mj-social-element",),
    "mj-navbar": ("mj-navbar-link",),
    "mj-accordion": ("mj-accordion-element",),
    "mj-accordion-element": ("mj-accordion-title", "mj-accordion-text"),
    "mj-carousel": ("mj-carousel-image",),
}  # fmt: skip
"""Element → what may stand in it. Those of `mj-attributes` name themselves."""

ATTRIBUTES: Final[Mapping[str, frozenset[str]]] = {
    name: names(text)
    for name, text in {
        "mjml": "owa lang dir",
        "mj-head": "",
        "mj-attributes": "",
        "mj-breakpoint": "width",
        "mj-font": "name href",
        "mj-preview": "",
        "mj-style": "inline",
        "mj-title": "",
        "mj-raw": "position",
        "mj-body": "width background-color",
        "mj-wrapper": f"{_BACK} {_BORDER} {_PADDING} full-width text-align gap",
        "mj-section": f"{_BACK} {_BORDER} {_PADDING} full-width text-align direction",
        "mj-group": "background-color direction vertical-align width",
        "mj-column": f"background-color inner-background-color inner-border-radius {_INNER} {_BORDER} {_PADDING} "
        "direction vertical-align width",
        "mj-hero": f"{_BACK} {_PADDING} align border-radius background-height background-width height "
        "inner-background-color container-background-color mode vertical-align width "
        "inner-padding inner-padding-top inner-padding-right inner-padding-bottom inner-padding-left",
        "mj-text": f"{_FONT} {_BLOCK} height vertical-align background-color",
        "mj-button": f"{_FONT} {_BLOCK} {_BORDER} background-color height href inner-padding name rel target title "
        "text-align vertical-align width",
        "mj-image": f"{_IMAGE} {_BLOCK} {_BORDER} max-height fluid-on-mobile",
        "mj-divider": f"{_BLOCK} border-color border-style border-width width",
        "mj-spacer": f"{_BLOCK} {_BORDER} height width",
        "mj-table": f"{_FONT} {_BLOCK} cellpadding cellspacing role table-layout width border vertical-align",
        "mj-social": f"{_BLOCK} {_SOCIAL_BUTTON} inner-padding mode vertical-align table-layout",
        "mj-social-element": f"{_IMAGE} {_SOCIAL_BUTTON} align background-color icon-position vertical-align",
        "mj-navbar": f"{_BLOCK} base-url hamburger ico-align ico-open ico-close ico-color ico-font-family "
        "ico-font-size ico-line-height ico-text-decoration ico-text-transform ico-padding ico-padding-top "
        "ico-padding-right ico-padding-bottom ico-padding-left",
        "mj-navbar-link": f"{_FONT} {_PADDING} href name rel target",
        "mj-accordion": f"{_ICON} icon-unwrapped-alt border container-background-color font-family {_PADDING}",
        "mj-accordion-element": f"{_ICON} icon-unwrapped-alt background-color border font-family",
        "mj-accordion-title": f"{_FONT} {_PADDING} background-color",
        "mj-accordion-text": f"{_FONT} {_PADDING} background-color",
        "mj-carousel": f"{_BLOCK} border-radius icon-width left-icon right-icon tb-border tb-border-radius "
        "tb-hover-border-color tb-selected-border-color tb-width thumbnails",
        "mj-carousel-image": f"{_IMAGE} border-radius tb-border tb-border-radius thumbnails-src",
    }.items()
}

REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "mj-image": ("src",),
    "mj-carousel-image": ("src",),
    "mj-font": ("name", "href"),
    "mj-breakpoint": ("width",),
    "mj-button": ("href",),
    "mj-navbar-link": ("href",),
}

_ENOUGH: Final = 100
"""Faults looked for: what is meant by a misspelt name takes a millisecond to find."""
_EVERYWHERE: Final = frozenset(("css-class", "mj-class"))
_CANNOT: Final[Mapping[str, str]] = {
    "mj-include": "nothing can be included: name a layout with the template",
    "mj-html-attributes": "it is not supported: write the attribute into <mj-raw> or <mj-text>",
}
_NO_PLACEHOLDER_IN: Final = ("width", "height", "padding")
_CLOSED_TO_PLACEHOLDERS: Final = names(
    "mjml mj-head mj-attributes mj-social mj-navbar mj-carousel mj-accordion mj-accordion-element"
)


def faults(root: Element, hidden: Hidden) -> list[Fault]:
    """All that is wrong below the root of a document."""
    found = list(islice(_below(root, hidden), _ENOUGH))
    bodies = [child for child in root.elements() if child.name == "mj-body"]
    if len(bodies) != 1:
        found.append(Fault(root.line, "a document has one <mj-body>"))
    return found


def _below(parent: Element, hidden: Hidden) -> Iterator[Fault]:
    yield from _attributes(parent, hidden)
    if parent.name == "mj-attributes":
        for child in parent.elements():
            yield from _defaults(child)
        return
    if parent.name in _CLOSED_TO_PLACEHOLDERS and any(isinstance(child, str) for child in parent.children):
        reason = f"no placeholder can stand in <{parent.name}> itself: put it around it, or into a text"
        yield Fault(parent.line, reason)
    for child in parent.elements():
        if child.name in _CANNOT:
            yield Fault(child.line, f"<{child.name}>: {_CANNOT[child.name]}")
        elif child.name not in ATTRIBUTES:
            yield Fault(child.line, f"there is no element <{child.name}>{_meant(child.name, ATTRIBUTES)}")
        elif child.name not in CHILDREN.get(parent.name, ()):
            yield Fault(child.line, f"<{child.name}> cannot stand in <{parent.name}>{_homes(child.name)}")
        else:
            yield from _below(child, hidden)


def _attributes(element: Element, hidden: Hidden) -> Iterator[Fault]:
    known = ATTRIBUTES[element.name] | _EVERYWHERE
    for name, value in element.attributes.items():
        if name not in known:
            yield Fault(element.line, f"<{element.name}> has no attribute `{name}`{_meant(name, known)}")
        elif name.startswith(_NO_PLACEHOLDER_IN) and any(hidden.words(value)):
            yield Fault(element.line, f"<{element.name}>: `{name}` cannot be a placeholder: widths are computed once")
    for name in REQUIRED.get(element.name, ()):
        if not element.attributes.get(name, "").strip():
            yield Fault(element.line, f"<{element.name}> needs the attribute `{name}`")


def _defaults(element: Element) -> Iterator[Fault]:
    """Below `mj-attributes`: an element with the defaults of all its kind, `mj-all`, or a class."""
    if element.name == "mj-class" and not element.attributes.get("name"):
        yield Fault(element.line, "<mj-class> needs the attribute `name`")
    if element.name in ("mj-all", "mj-class"):
        return
    if element.name not in ATTRIBUTES:
        yield Fault(element.line, f"there is no element <{element.name}>{_meant(element.name, ATTRIBUTES)}")
        return
    known = ATTRIBUTES[element.name] | _EVERYWHERE
    for name in element.attributes.keys() - known:
        yield Fault(element.line, f"<{element.name}> has no attribute `{name}`{_meant(name, known)}")


def _homes(name: str) -> str:
    homes = [f"<{parent}>" for parent, children in CHILDREN.items() if name in children]
    return f", only in {' or '.join(homes)}" if homes else ""


def _meant(name: str, known: "frozenset[str] | Mapping[str, object]") -> str:
    close = get_close_matches(name[:60], known, 1)
    return f": did you mean `{close[0]}`?" if close else ""
