"""The champion, its history and what was withdrawn: in the batches table.

Items: ``CHAMPION`` (the pointer), ``PROMOTION#<model package>`` (it has been champion), ``WITHDRAWN#<model package>``,
``UNMARKED`` (withdrawn versions with results that may be unmarked).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.aws.items import error_code, from_item, is_condition_failed, to_item
from functions.domain.champion import Champion, Promotion, Withdrawal

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CONFLICT_PAUSES = (0.1, 0.4, 1.6)  # seconds


class Champions:
    """Reads and moves the pointer. A stage without a champion is an ordinary state: its uploads stay Pending."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def get(self) -> Champion | None:
        """Return the champion now, strongly consistent."""
        item = self._get("CHAMPION")
        return item and Champion(
            model_name=item["ModelName"],
            model_package=item["ModelPackage"],
            model_package_arn=item["ModelPackageArn"],
            artifact_sha256=item["ArtifactSHA256"],
            promoted_at=item["PromotedAt"],
            previous=item.get("Previous", ""),
            weights_sha256=item.get("WeightsSHA256", ""),
            promoted_by=item.get("PromotedBy", ""),
            reference=item.get("Reference", ""),
            behind=item.get("Behind", 0.0),
            script_sha256=item.get("ScriptSHA256", ""),
        )

    def promotion(self, model_package: str) -> Promotion | None:
        """Return how a version last became champion; None if it never was."""
        item = self._get(f"PROMOTION#{model_package}")
        return item and Promotion(
            model_package=model_package,
            promoted_at=item["PromotedAt"],
            previous=item.get("Previous", ""),
            promoted_by=item.get("PromotedBy", ""),
            reference=item.get("Reference", ""),
            behind=item.get("Behind", 0.0),
            study=item.get("Study", ""),
        )

    def withdrawal(self, model_package: str) -> Withdrawal | None:
        """Return since when and why a version is withdrawn; None if it is not. Strongly consistent."""
        item = self._get(f"WITHDRAWN#{model_package}")
        return item and Withdrawal(
            model_package=model_package,
            withdrawn_at=item["WithdrawnAt"],
            reason=item.get("Reason", ""),
            withdrawn_by=item.get("WithdrawnBy", ""),
            rescored_at=item.get("RescoredAt", ""),
            rescored_by=item.get("RescoredBy", ""),
        )

    def note_rescoring(self, model_package: str, at: str, by: str) -> None:
        """Record on a withdrawal who sent its uploads to be read again; do nothing if the version is not withdrawn.

        ``at`` is ISO 8601, ``by`` an ARN.
        """
        try:
            self._client.update_item(
                TableName=self._table,
                Key=to_item({"Id": f"WITHDRAWN#{model_package}"}),
                UpdateExpression="SET RescoredAt = :at, RescoredBy = :by",
                ConditionExpression="attribute_exists(Id)",
                ExpressionAttributeValues=to_item({":at": at, ":by": by}),
            )
        except ClientError as error:
            if not is_condition_failed(error):
                raise

    def unmarked(self) -> list[str]:
        """Return the withdrawn versions with results that may be unmarked."""
        return sorted((self._get("UNMARKED") or {}).get("ModelPackages", []))

    def all_marked(self, model_package: str) -> None:
        """Note that every result of a withdrawn version is marked."""
        self._client.update_item(TableName=self._table, **_unmarked("DELETE", model_package))

    def mark_again(self, model_package: str) -> None:
        """Note that some results of a withdrawn version may not be marked: the sweep looks at all of them."""
        self._client.update_item(TableName=self._table, **_unmarked("ADD", model_package))

    def move(self, to: Champion, current: Champion | None, withdrawal: Withdrawal | None = None) -> bool:
        """Make ``to`` the champion if ``current`` (None: no version) still is; return False if it is not.

        One transaction writes the pointer and the history, clears ``to``'s withdrawal, and with ``withdrawal`` (of
        ``current``) withdraws that version.
        """
        pointer: dict[str, Any] = {"TableName": self._table, "Item": to_item(_document(to))}
        pointer["ConditionExpression"] = "PromotedAt = :current" if current else "attribute_not_exists(Id)"
        if current:
            pointer["ExpressionAttributeValues"] = to_item({":current": current.promoted_at})
        history = {
            "Id": f"PROMOTION#{to.model_package}",
            "PromotedAt": to.promoted_at,
            "PromotedBy": to.promoted_by,
            "Previous": to.previous,
            "Reference": to.reference,
            "Behind": to.behind,
        } | ({"Study": to.study} if to.study else {})
        actions: list[Any] = [
            {"Put": pointer},
            {"Put": {"TableName": self._table, "Item": to_item(history)}},
            {"Delete": {"TableName": self._table, "Key": to_item({"Id": f"WITHDRAWN#{to.model_package}"})}},
        ]
        if withdrawal:
            document = {
                "Id": f"WITHDRAWN#{withdrawal.model_package}",
                "WithdrawnAt": withdrawal.withdrawn_at,
                "WithdrawnBy": withdrawal.withdrawn_by,
                "Reason": withdrawal.reason,
            }
            item = to_item(document)
            actions.append({"Put": {"TableName": self._table, "Item": item}})
            actions.append({"Update": {"TableName": self._table, **_unmarked("ADD", withdrawal.model_package)}})
        else:
            actions.append({"Update": {"TableName": self._table, **_unmarked("DELETE", to.model_package)}})
        return self._write(actions)

    def _write(self, actions: list[Any]) -> bool:
        """Write all actions and return True; or write none and return False if the first one's condition is false."""
        for pause in (*CONFLICT_PAUSES, None):
            try:
                self._client.transact_write_items(TransactItems=actions)
            except ClientError as error:
                if error_code(error) != "TransactionCanceledException":
                    raise
                if error.response["CancellationReasons"][0].get("Code") == "ConditionalCheckFailed":
                    return False
                if pause is None:
                    raise
                time.sleep(pause)  # a conflict with another writer, which may not have moved the pointer
            else:
                break
        return True

    def _get(self, item_id: str) -> Any:
        answer = self._client.get_item(TableName=self._table, Key=to_item({"Id": item_id}), ConsistentRead=True)
        return from_item(answer["Item"]) if "Item" in answer else None


def _document(champion: Champion) -> dict[str, Any]:
    return {
        "Id": "CHAMPION",
        "ModelName": champion.model_name,
        "ModelPackage": champion.model_package,
        "ModelPackageArn": champion.model_package_arn,
        "ArtifactSHA256": champion.artifact_sha256,
        "WeightsSHA256": champion.weights_sha256,
        "PromotedAt": champion.promoted_at,
        "PromotedBy": champion.promoted_by,
        "Previous": champion.previous,
        "Reference": champion.reference,
        "Behind": champion.behind,
        "ScriptSHA256": champion.script_sha256,
    }


def _unmarked(operation: str, model_package: str) -> dict[str, Any]:
    """Return an Update of the set of unmarked versions: ADD one or DELETE one."""
    return {
        "Key": to_item({"Id": "UNMARKED"}),
        "UpdateExpression": f"{operation} ModelPackages :one",
        "ExpressionAttributeValues": to_item({":one": {model_package}}),
    }
