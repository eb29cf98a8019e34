"""Addresses: what is accepted, what is refused and why, and that the fast path gives the library's answers."""

import string
import unicodedata

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from core.addresses import AddressError, Mailbox, fold_address, fold_domain, folded_local, parse_mailbox

_ATEXT = string.ascii_letters + string.digits + "!#$%&'*+/=?^_`{|}~-"
_ADDRESS_LIKE = st.builds(
    "{}@{}".format,
    st.text(alphabet=_ATEXT + "..", max_size=70),
    st.lists(st.text(alphabet="abzAZ019--", max_size=66), min_size=1, max_size=5).map(".".join),
)
_LIKELY = st.builds(
    "{}@{}{}".format,
    st.sampled_from(["user", "Info", "a.b", "a" * 64, "a" * 65, "x+y"]),
    st.sampled_from(["", "mail.", "a--b.", "xn--bcher-kva.", "-a.", "1.", "b" * 63 + ".", "b" * 64 + "."]),
    st.sampled_from(
        ["example.com", "acme.test", "gmail.sim", "x.local", "x.LOCALHOST", "x.onion", "test", "a.1", "a.b1c"]
    ),
)


def _ours(text: str) -> tuple[str, str] | None:
    try:
        mailbox = parse_mailbox(text)
    except AddressError:
        return None
    assert mailbox.local == text.rpartition("@")[0]
    return mailbox.local.lower(), mailbox.domain


def _the_librarys(text: str) -> tuple[str, str] | None:
    """Lower-cased, because the library does that to the role names of RFC 2142; without its dotless `test`."""
    try:
        checked = validate_email(text, check_deliverability=False, test_environment=True, strict=True)
    except EmailNotValidError:
        return None
    return (checked.local_part.lower(), checked.ascii_domain) if "." in checked.ascii_domain else None


@pytest.mark.parametrize(
    ("text", "mailbox"),
    [
        ("user@example.com", Mailbox("", "user", "example.com")),
        ("  User.Name+tag@EXAMPLE.Com ", Mailbox("", "User.Name+tag", "example.com")),
        ("Acme <a@gmail.sim>", Mailbox("Acme", "a", "gmail.sim")),
        ("Acme<a@acme.test>", Mailbox("Acme", "a", "acme.test")),
        ("<a@acme.example>", Mailbox("", "a", "acme.example")),
        ("Acme Inc. (Sales) <a@b.example>", Mailbox("Acme Inc. (Sales)", "a", "b.example")),
        ("a@b.example <a@b.example>", Mailbox("a@b.example", "a", "b.example")),
        ("Jürgen Groß <j@b.example>", Mailbox("Jürgen Groß", "j", "b.example")),
        ('"Quoted, Name" <a@b.example>', Mailbox("Quoted, Name", "a", "b.example")),
        (r'"A \"B\" \\ <C>" <a@b.example>', Mailbox(r'A "B" \ <C>', "a", "b.example")),
        ("user@bücher.example", Mailbox("", "user", "xn--bcher-kva.example")),
        ("user@XN--BCHER-KVA.example", Mailbox("", "user", "xn--bcher-kva.example")),
        ("user@faß.example", Mailbox("", "user", "xn--fa-hia.example")),
        ("日本@例え.jp", Mailbox("", "日本", "xn--r8jz45g.jp")),
        ("👨‍👩‍👧 Family <a@b.example>", Mailbox("👨‍👩‍👧 Family", "a", "b.example")),
    ],
)
def test_accepted(text: str, mailbox: Mailbox) -> None:
    assert parse_mailbox(text) == mailbox


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" ", "empty"),
        ("plain", "@"),
        ("@example.com", "before the @-sign"),
        ("user@", "after the @-sign"),
        ("user@localhost", "period"),
        ("user@test", "period"),
        ("user@host.local", "special-use"),
        ("user@[127.0.0.1]", "bracketed IP"),
        ("user@127.0.0.1", "top-level"),
        ('"quoted local"@example.com', "Quoting"),
        ("a@example.com, b@example.com", "Only one"),
        ("A <a@example.com>, B <b@example.com>", "Only one"),
        ("a@example.com; b@example.com", "Only one"),
        ("Smith, John <j@example.com>", "quotation marks"),
        ('"half <a@example.com>', "quotation marks"),
        ('A "B" C <a@example.com>', "quotation marks"),
        ("Name <a@example.com> junk", "after the closing"),
        ("a@example.com>", "no '<'"),
        ("user@example.com.", "period"),
        ("us er@example.com", "invalid"),
        (".user@example.com", "period"),
        ("a..b@example.com", "periods"),
        ("user@-a.example", "hyphen"),
        ("user@ab--c.example", "dashes"),
        ("a@example.com\r\nBcc: b@example.com", "control"),
        ("Name\n <a@example.com>", "control"),
        ("Na\0me <a@example.com>", "control"),
        ("a\u2028@example.com", "control"),
        ("x" * 65 + "@example.com", "too long"),
        ("ü" * 33 + "@example.com", "64 octets"),
        ("x" * 60 + "@" + ("d" * 60 + ".") * 3 + "example.com", "too long"),
        ("N" * 2_000 + " <a@example.com>", "2000 characters"),
    ],
)
def test_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_mailbox(text)
    assert reason in caught.value.reason


@given(_ADDRESS_LIKE | _LIKELY)
@example("Support@Example.com")
@example("a@b.c")
def test_fast_path_agrees_with_email_validator(text: str) -> None:
    assert _ours(text) == _the_librarys(text)


@given(st.text() | _ADDRESS_LIKE | st.text(alphabet='ab@.<>", \\\r\n\0ü日;:()[]'))
def test_never_raises_anything_else_and_header_parses_back(text: str) -> None:
    try:
        mailbox = parse_mailbox(text)
    except AddressError:
        return
    assert parse_mailbox(mailbox.header) == mailbox
    assert not set(mailbox.header) & set("\r\n\0")


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=200))
def test_every_name_survives_its_header(name: str) -> None:
    mailbox = Mailbox(name, "user", "example.com")
    assert parse_mailbox(mailbox.header) == mailbox


def test_header_quotes_only_where_needed() -> None:
    assert Mailbox("Acme Shop", "a", "b.example").header == "Acme Shop <a@b.example>"
    assert Mailbox("Smith, John", "a", "b.example").header == '"Smith, John" <a@b.example>'
    assert Mailbox("", "a", "b.example").header == "a@b.example"


def test_key_folds_case_unicode_and_domain_but_no_dots_or_tags() -> None:
    assert fold_address("User.Name+Tag@Example.COM") == "user.name+tag@example.com"
    assert fold_address("JU\u0308RGEN@Bücher.example") == "jürgen@xn--bcher-kva.example"
    assert fold_address("Jürgen <JÜRGEN@XN--BCHER-KVA.example>") == "jürgen@xn--bcher-kva.example"


def test_a_final_sigma_is_a_sigma_however_the_name_is_written() -> None:
    """Lower case of a capital depends on where it stands; two spellings of one name must not be two keys."""
    spellings = ("ΟΔΥΣΣΕΥΣ", "οδυσσευς", "οδυσσευσ", "ΟΔΥΣΣΕΥσ")
    assert {fold_address(f"{local}@x.example") for local in spellings} == {"οδυσσευσ@x.example"}
    assert folded_local("ΟΔΥΣ") == folded_local("ΟΔΥΣΣ")[:4], "what is typed so far begins what is stored"


@pytest.mark.parametrize(
    ("one", "other"), [("straße", "strasse"), ("\u0131lker", "ilker"), ("\u0130lker", "ilker"), ("\ufb01n", "fin")]
)
def test_different_mailboxes_keep_different_keys(one: str, other: str) -> None:
    assert fold_address(f"{one}@x.example") != fold_address(f"{other}@x.example")


def test_letters_composed_only_in_lower_case_have_one_key() -> None:
    assert fold_address("H\u0331@x.example") == fold_address("\u1e96@x.example") == "\u1e96@x.example"


@given(st.text(alphabet="aAüÜßİΓΣéÉ日.", min_size=1, max_size=15), st.sampled_from(["Bücher.example", "x.example"]))
def test_folding_is_idempotent_and_blind_to_normal_form(local: str, domain: str) -> None:
    try:
        key = fold_address(f"{local}@{domain}")
    except AddressError:
        return
    assert fold_address(key) == key
    assert fold_address(unicodedata.normalize("NFD", f"{local}@{domain}")) == key


def test_smtputf8_is_about_the_local_part_only() -> None:
    assert not parse_mailbox("jürgen@example.com").wire.isascii()
    assert parse_mailbox("Jürgen <j@bücher.example>").wire.isascii()
    assert parse_mailbox("jürgen@bücher.example").wire == "jürgen@xn--bcher-kva.example"


def test_fold_domain() -> None:
    assert fold_domain(" Mail.Example.COM ") == "mail.example.com"
    assert fold_domain("BÜCHER.example") == "xn--bcher-kva.example"
    for text in ("", "nodot", "a@b.example", "a b.example", "<a.example>", "x" * 300, "a.example\r\n"):
        with pytest.raises(AddressError):
            fold_domain(text)
