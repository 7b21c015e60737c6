"""What `scripts/fuzz` tells Schemathesis of the host: its scalars, and what an answer must not be."""

import uuid

import schemathesis
from hypothesis import strategies as st
from schemathesis.graphql import nodes

schemathesis.graphql.scalar("DateTime", st.datetimes().map(lambda d: nodes.String(d.isoformat() + "Z")))
schemathesis.graphql.scalar("Date", st.dates().map(lambda d: nodes.String(d.isoformat())))
schemathesis.graphql.scalar("BigInt", st.integers().map(lambda i: nodes.String(str(i))))
schemathesis.graphql.scalar(
    "UUID", st.integers(0, 2**128 - 1).map(lambda i: nodes.String(str(uuid.UUID(int=i))))
)
schemathesis.graphql.scalar("JSON", st.one_of(st.integers().map(nodes.Int), st.text().map(nodes.String)))
schemathesis.graphql.scalar("Upload", st.just(nodes.Null))


@schemathesis.check
def not_unexpected(ctx, response, case):
    """An error that the host did not expect is a defect, whatever was asked.

    Schemathesis' own check takes every error for one of the server, also that a caller may not do this.
    """
    if response.status_code >= 500:
        raise AssertionError(f"status {response.status_code}")
    try:
        answer = response.json()
    except ValueError:
        return
    for error in answer.get("errors", []) if isinstance(answer, dict) else []:
        if error.get("extensions", {}).get("code") == "unexpected":
            raise AssertionError(f"unexpected: {error}")
