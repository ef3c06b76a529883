"""The grammar of Sec-WebSocket-Extensions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenws.protocol.extensions import ExtensionOffer, parse_extensions
from greenws.protocol.grammar import is_token

TOKENS = st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", fullmatch=True)
SPACES = st.text(" \t", max_size=3)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("permessage-deflate", (ExtensionOffer("permessage-deflate"),)),
        (
            "permessage-deflate; client_max_window_bits",
            (ExtensionOffer("permessage-deflate", (("client_max_window_bits", None),)),),
        ),
        (
            "a; x=10; y , b;z = 7",
            (ExtensionOffer("a", (("x", "10"), ("y", None))), ExtensionOffer("b", (("z", "7"),))),
        ),
        ('a;x="10"', (ExtensionOffer("a", (("x", "10"),)),)),
        ('a;x="1\\0"', (ExtensionOffer("a", (("x", "10"),)),)),
        ('a;x=""', (ExtensionOffer("a", (("x", ""),)),)),  # a bad value, which declines the offer and no more
        ("a;x=1;x=2", (ExtensionOffer("a", (("x", "1"), ("x", "2"))),)),
        ("a,a", (ExtensionOffer("a"), ExtensionOffer("a"))),
        (",a, ,b,", (ExtensionOffer("a"), ExtensionOffer("b"))),
        ("__class__;constructor=__proto__", (ExtensionOffer("__class__", (("constructor", "__proto__"),)),)),
    ],
)
def test_reads_a_list(value: str, expected: tuple[ExtensionOffer, ...]) -> None:
    assert parse_extensions(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        " , ,",
        ";;,=",
        ";",
        "=",
        "a;",
        "a;;b",
        "a b",
        "a=b",
        "a;=b",
        "a;b=",
        "a;b==c",
        "a;b=c=d",
        "a;b=c d",
        "a; b c",
        'a;b="',
        'a;b="c',
        'a;b=c"',
        'a;b="c d"',
        'a;b="c,d"',
        'a;b="c;d"',
        'a;b="\\"',
        'a;b="\\""',
        'a;b="c"d',
        '"a"',
        "a;é",
        "a\n",
        "a;b\x00",
    ],
)
def test_refuses_garbage(value: str) -> None:
    with pytest.raises(ValueError, match="extension"):
        parse_extensions(value)


@pytest.mark.parametrize(
    ("value", "expected"), [("a", False), ("a;x;y", False), ("a;x;x", True), ("a;x=1;y;x=2", True)]
)
def test_knows_duplicate_parameters(value: str, expected: bool) -> None:
    (offer,) = parse_extensions(value)
    assert offer.has_duplicates is expected


@given(
    st.lists(
        st.builds(
            ExtensionOffer,
            TOKENS,
            st.lists(st.tuples(TOKENS, st.none() | TOKENS), max_size=4).map(tuple),
        ),
        min_size=1,
        max_size=4,
    ),
    st.data(),
)
def test_reads_back_what_was_written(offers: list[ExtensionOffer], data: st.DataObject) -> None:
    def spaced(mark: str) -> str:
        return data.draw(SPACES) + mark + data.draw(SPACES)

    def written(name: str, value: str | None) -> str:
        if value is None:
            return name
        quoted = data.draw(st.booleans())
        return name + spaced("=") + ('"' + "".join("\\" + char for char in value) + '"' if quoted else value)

    value = spaced(",").join(
        spaced(";").join([offer.name, *(written(*parameter) for parameter in offer.parameters)]) for offer in offers
    )
    assert parse_extensions(value) == tuple(offers)


@given(st.text('ab=;," \\\té') | st.text())
def test_any_text_gives_tokens_or_a_value_error(value: str) -> None:
    try:
        offers = parse_extensions(value)
    except ValueError:
        return
    assert offers
    for offer in offers:
        assert is_token(offer.name)
        for name, content in offer.parameters:
            assert is_token(name)
            assert not content or is_token(content)


def test_an_offer_is_a_value() -> None:
    one, same = (parse_extensions("permessage-deflate; client_max_window_bits")[0] for _ in range(2))
    assert one == same
    assert len({one, same}) == 1
