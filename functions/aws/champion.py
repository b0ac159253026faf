"""The champion: the model that new batches use, one item in the batches table, moved conditionally."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from functions.aws.items import from_item, is_condition_failed, to_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, kw_only=True)
class Champion:
    """``model_name`` is SageMaker's Model, ``model_package`` "<group>/<version>", ``previous`` the other before it."""

    model_name: str
    model_package: str
    model_package_arn: str
    artifact_sha256: str
    promoted_at: str
    previous: str = ""


class Champions:
    """Reads and moves the pointer. No champion yet is an ordinary state: uploads wait in Pending."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def get(self) -> Champion | None:
        """The champion now, strongly consistent."""
        answer = self._client.get_item(TableName=self._table, Key=to_item({"Id": "CHAMPION"}), ConsistentRead=True)
        if "Item" not in answer:
            return None
        item = from_item(answer["Item"])
        return Champion(
            model_name=item["ModelName"],
            model_package=item["ModelPackage"],
            model_package_arn=item["ModelPackageArn"],
            artifact_sha256=item["ArtifactSHA256"],
            promoted_at=item["PromotedAt"],
            previous=item.get("Previous", ""),
        )

    def move(self, to: Champion, current: Champion | None) -> bool:
        """Make ``to`` the champion, if ``current`` still is (None: nobody); False when another came between."""
        document = {
            "Id": "CHAMPION",
            "ModelName": to.model_name,
            "ModelPackage": to.model_package,
            "ModelPackageArn": to.model_package_arn,
            "ArtifactSHA256": to.artifact_sha256,
            "PromotedAt": to.promoted_at,
            "Previous": to.previous,
        }
        condition = "PromotedAt = :current" if current else "attribute_not_exists(Id)"
        values = {"ExpressionAttributeValues": to_item({":current": current.promoted_at})} if current else {}
        try:
            self._client.put_item(
                TableName=self._table,
                Item=to_item(document),
                ConditionExpression=condition,
                **values,  # type: ignore[arg-type]
            )
        except ClientError as error:
            if is_condition_failed(error):
                return False
            raise
        return True
