"""Which links of a content are asked."""

from campaigns.checking.links import asked_links


def test_what_is_no_link_is_a_remark_and_not_asked_too() -> None:
    html = '<a href="https://">x</a><a href="#">y</a><a href="https://shop.example/#a">z</a>'
    assert asked_links(html, "x (https://) y, z (https://shop.example/)") == ["https://shop.example/"]
