"""Queries return the same with expressions that are parsed once."""

from __future__ import annotations

import pytest

from localcloud.patches import dynamodb as patches


@pytest.fixture
def table(client, name):
    dynamodb = client("dynamodb")
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "Id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": part, "AttributeType": "S"} for part in ("Id", "Status", "Since")],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "ByStatus",
                "KeySchema": [
                    {"AttributeName": "Status", "KeyType": "HASH"},
                    {"AttributeName": "Since", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    for number in range(5):
        status = "Pending" if number < 4 else "Done"
        item = {"Id": {"S": f"id{number}"}, "Status": {"S": status}, "Since": {"S": f"2026-0{number + 1}"}}
        dynamodb.put_item(TableName=name, Item=item)
    return name


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("#s = :s", ["id0", "id1", "id2", "id3"]),
        (" #s=:s ", ["id0", "id1", "id2", "id3"]),
        ("#s = :s AND Since > :a", ["id2", "id3"]),
        ("#s = :s AND begins_with(Since, :a)", ["id1"]),
        ("#s = :s AND Since BETWEEN :a AND :b", ["id1", "id2"]),
    ],
)
def test_conditions_find_what_they_say(client, table, condition, found):
    values = {":s": {"S": "Pending"}, ":a": {"S": "2026-02"}, ":b": {"S": "2026-03"}}
    used = {name: value for name, value in values.items() if name in condition}
    request = {
        "TableName": table,
        "IndexName": "ByStatus",
        "KeyConditionExpression": condition,
        "ExpressionAttributeNames": {"#s": "Status"},
        "ExpressionAttributeValues": used,
    }
    for _again in range(2):
        items = client("dynamodb").query(**request)["Items"]
        assert [item["Id"]["S"] for item in items] == found
    items = client("dynamodb").query(**request, ScanIndexForward=False, Limit=1)["Items"]
    assert [item["Id"]["S"] for item in items] == found[-1:]


def test_a_wrong_expression_is_refused_every_time(client, table):
    dynamodb = client("dynamodb")
    for _again in range(2):
        with pytest.raises(dynamodb.exceptions.ClientError, match="Syntax error"):
            dynamodb.put_item(
                TableName=table, Item={"Id": {"S": "id0"}}, ConditionExpression="attribute_exists(Id) AND"
            )


def test_an_expression_is_parsed_once(module, monkeypatch):
    dynamodb, parsed = module("services.dynamodb"), []

    def tokenize(expr):
        parsed.append(expr)
        return [("IDENT", expr)]

    monkeypatch.setattr(dynamodb, "_tokenize", tokenize)
    patches.install()
    first, second = dynamodb._tokenize("a = :b"), dynamodb._tokenize("a = :b")
    first.clear()
    assert second == [("IDENT", "a = :b")]
    assert parsed == ["a = :b"]
