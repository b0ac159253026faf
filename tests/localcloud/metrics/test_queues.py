from __future__ import annotations

VISIBLE, AGE = "ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"


def test_messages_are_counted_and_aged_until_they_are_gone(client, queue, name, total, until):
    url, _arn = queue()
    for body in ("one", "two"):
        client("sqs").send_message(QueueUrl=url, MessageBody=body)
    until(lambda: total("AWS/SQS", VISIBLE, "Maximum", QueueName=name) == 2)
    until(lambda: (total("AWS/SQS", AGE, "Maximum", QueueName=name) or 0) > 2)
    client("sqs").purge_queue(QueueUrl=url)
    until(lambda: total("AWS/SQS", VISIBLE, "Minimum", QueueName=name) == 0)


def test_a_received_message_is_not_visible_but_grows_old(client, queue, name, total, until):
    url, _arn = queue()
    client("sqs").send_message(QueueUrl=url, MessageBody="one", DelaySeconds=0)
    client("sqs").receive_message(QueueUrl=url, VisibilityTimeout=60)
    until(lambda: (total("AWS/SQS", AGE, "Maximum", QueueName=name) or 0) > 2)
    assert total("AWS/SQS", VISIBLE, "Minimum", QueueName=name) == 0


def test_a_queue_that_was_never_used_has_no_metrics(client, queue, name, total, until):
    queue("-idle")
    url, _arn = queue("-used")
    client("sqs").send_message(QueueUrl=url, MessageBody="one")
    until(lambda: total("AWS/SQS", VISIBLE, QueueName=f"{name}-used"))
    assert total("AWS/SQS", VISIBLE, QueueName=f"{name}-idle") is None
