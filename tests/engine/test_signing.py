"""AWS signatures are those of AWS's own examples."""

from __future__ import annotations

from engine.signing import Request, Scope, signed

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
AT = 1_440_938_160  # 2015-08-30T12:36:00Z
SUITE = Scope("AKIDEXAMPLE", SECRET, "us-east-1", "service")
HOST = "example.amazonaws.com"


def signature(scope: Scope, request: Request, **headers: str) -> str:
    made = signed(scope, request, AT, {name.replace("_", "-"): value for name, value in headers.items()})
    return made["authorization"].rpartition("Signature=")[2]


def test_the_example_of_the_documentation():
    """ListUsers of IAM, the request that the documentation signs step by step."""
    scope = Scope("AKIDEXAMPLE", SECRET, "us-east-1", "iam")
    request = Request("GET", "iam.amazonaws.com", "/", "Action=ListUsers&Version=2010-05-08")
    form = "application/x-www-form-urlencoded; charset=utf-8"
    assert signed(scope, request, AT, {"content-type": form}) == {
        "x-amz-date": "20150830T123600Z",
        "authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
    }


def test_cases_of_the_published_suite():
    assert (
        signature(SUITE, Request("GET", HOST, "/"))
        == "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    )
    assert (
        signature(SUITE, Request("POST", HOST, "/"))
        == "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
    )
    # The suite's `get-utf8`: what is in a path is encoded once more than it came.
    assert (
        signature(SUITE, Request("GET", HOST, "/\u1234"))
        == "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"
    )


def test_everything_that_is_signed_counts():
    request = Request("POST", HOST, "/guardrail/a%2Fb/apply", body=b"{}")
    made = {
        signature(SUITE, request),
        signature(SUITE, request._replace(body=b"{ }")),
        signature(SUITE, request._replace(path="/guardrail/a/b/apply")),
        signature(SUITE, request._replace(path="/guardrail/a%252Fb/apply")),
        signature(SUITE, request._replace(host="other")),
        signature(SUITE._replace(region="eu-west-1"), request),
        signature(SUITE._replace(token="session"), request),
        signature(SUITE, request, content_type="application/json"),
    }
    assert len(made) == 8


def test_a_session_is_named_in_a_header_that_is_signed():
    made = signed(SUITE._replace(token="session"), Request("GET", HOST, "/"), AT)
    assert made["x-amz-security-token"] == "session"
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token," in made["authorization"]


def test_a_scope_does_not_show_its_secret():
    assert SECRET not in f"{SUITE!r} {SUITE}"
