"""The S3 bucket of a platform whose pods share no folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from errors import StackError

_PAUSE = 0.25
_MEGABYTE = 1 << 20

logger = logging.getLogger("modelyard")


@dataclass(frozen=True)
class Bucket:
    """A bucket and boto3's client for it."""

    name: str
    client: Any

    @property
    def address(self) -> str:
        """For messages."""
        return f"{self.name} at {self.client.meta.endpoint_url}"

    def write(self, key: str, content: Any) -> None:
        """Write what is read from `content` to its end, in parts."""
        from boto3.s3.transfer import TransferConfig

        # An object has 10,000 parts at most: with this size up to 160 GB.
        parts = TransferConfig(multipart_chunksize=16 * _MEGABYTE, max_concurrency=2)
        self.client.upload_fileobj(content, self.name, key, Config=parts)

    def read(self, key: str) -> Any | None:
        """A stream of an object's content, or None when there is no such object."""
        try:
            return self.client.get_object(Bucket=self.name, Key=key)["Body"]
        except self.client.exceptions.NoSuchKey:
            return None

    def keys(self, prefix: str) -> list[str]:
        """Keys of all objects that begin with `prefix`, in their order."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", ())]

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def abandon(self, prefix: str) -> None:
        """Give up what was begun below `prefix` by writers that were killed: it takes room unseen."""
        begun = self.client.list_multipart_uploads(Bucket=self.name, Prefix=prefix)
        for one in begun.get("Uploads", ()):
            self.client.abort_multipart_upload(Bucket=self.name, Key=one["Key"], UploadId=one["UploadId"])


def connect(url: str) -> Bucket:
    """The bucket of `s3://bucket`; server and keys are in AWS_* variables, and nothing is asked of it yet."""
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 3})
    return Bucket(url.removeprefix("s3://"), boto3.client("s3", config=config))


@contextmanager
def in_words(bucket: Bucket) -> Iterator[None]:
    """What goes wrong with the bucket in the block, as an error of ours.

    Raises:
        StackError: its server refuses, or does not answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise StackError(
            f"The bucket {bucket.address} cannot be used: {error}. Look at AWS_ENDPOINT_URL_S3, AWS_REGION, "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and at the key's rights: list, read, write, delete."
        ) from None


def wait(bucket: Bucket, seconds: float, *, make: bool) -> None:
    """Return once the bucket can be used; it is made when there is none and `make` is true.

    Raises:
        StackError: there is none, its server refuses, or does not answer within `seconds`.
    """
    from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

    deadline = time.monotonic() + seconds
    said = False
    with in_words(bucket):
        while True:
            try:
                return _look(bucket, make=make)
            except (ConnectionError, HTTPClientError):
                if time.monotonic() > deadline:
                    raise
            except ClientError as error:
                if _status(error) < 500 or time.monotonic() > deadline:
                    raise
            if not said:
                logger.warning("Waiting for the bucket %s", bucket.address)
                said = True
            time.sleep(_PAUSE)


def _look(bucket: Bucket, *, make: bool) -> None:
    from botocore.exceptions import ClientError

    try:
        bucket.client.head_bucket(Bucket=bucket.name)
    except ClientError as error:
        if _status(error) != 404:
            raise
        if not make:
            raise StackError(
                f"There is no bucket {bucket.address}. Make it, or let MODELYARD_MAKE_BUCKET=true do so."
            ) from None
        _make(bucket)


def _make(bucket: Bucket) -> None:
    region = bucket.client.meta.region_name
    # AWS takes this one region by its absence alone.
    where = {} if region in ("us-east-1", "aws-global") else {"LocationConstraint": region}
    options = {"CreateBucketConfiguration": where} if where else {}
    try:
        bucket.client.create_bucket(Bucket=bucket.name, **options)
    except bucket.client.exceptions.BucketAlreadyOwnedByYou:
        return  # made by another process meanwhile


def _status(error: Any) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
