"""A bucket of S3, or of any server that speaks like it, as a remote.

Where it is and with which secrets it opens is told by AWS's own variables: AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_PROFILE, AWS_REGION. None of them is ever shown.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from world_modality.errors import UserError, in_one_line
from world_modality.trees.copying import BLOCK, begin_part, finish, is_there
from world_modality.trees.names import SEAL, done_name
from world_modality.trees.remote import Item, RemoteError, Told, keeps_what_is_there

MISSING = ("404", "NoSuchKey", "NotFound")
THERE_ALREADY = ("412", "PreconditionFailed", "409", "ConditionalRequestConflict")
UNKNOWN = ("501", "NotImplemented", "InvalidArgument", "InvalidRequest")
"""What a server answers that does not know conditional writes."""
AT_ONCE = 1000  # objects that one request deletes
_CREDENTIALS = re.compile(r"//[^/@\s]+@")


class S3Remote:
    """See :class:`~world_modality.trees.remote.SharedRemote`. Objects bear their sha256, so what is there is known."""

    def __init__(self, name: str) -> None:
        import boto3
        from botocore.config import Config

        bucket, _, prefix = name.removeprefix("s3://").partition("/")
        if not bucket:
            raise UserError(f"{name} names no bucket: write s3://BUCKET or s3://BUCKET/PREFIX")
        self.title, self._bucket = name, bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        config = Config(
            retries={"mode": "standard", "max_attempts": 3},
            connect_timeout=10,
            read_timeout=60,
            request_checksum_calculation="when_required",  # servers beside AWS's own know no other
            response_checksum_validation="when_required",
        )
        with self._failing():
            self._client: Any = boto3.client("s3", config=config)

    def files(self, prefix: str) -> dict[str, int]:
        """See Remote."""
        found: dict[str, int] = {}
        with self._failing():
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for each in page.get("Contents", ()):
                    found[each["Key"].removeprefix(self._prefix)] = each["Size"]
        return found

    def read(self, name: str) -> bytes | None:
        """See Remote."""
        content, _ = self._read(name)
        return content

    def write(self, name: str, data: bytes) -> None:
        """See Remote."""
        with self._failing():
            self._client.put_object(**self._at(name), Body=data)

    def create(self, name: str, data: bytes) -> bool:
        """See Remote."""
        return self._put_if(name, data, IfNoneMatch="*") or self.read(name) == data

    def swap(self, name: str, old: bytes, new: bytes) -> bool:
        """See Remote."""
        content, tag = self._read(name)
        return content == old and self._put_if(name, new, IfMatch=tag)

    def age(self, name: str) -> float | None:
        """See Remote."""
        found = self._head(name)
        if found is None:
            return None
        now = parsedate_to_datetime(found["ResponseMetadata"]["HTTPHeaders"]["date"])
        return float((now - found["LastModified"]).total_seconds())

    def is_exclusive(self, name: str) -> bool:
        """See Remote; a server may know one condition and not the other."""
        try:
            if not keeps_what_is_there(self, name):
                return False
            _, tag = self._read(name)
            self.write(name, b"later")
            return not self._put_if(name, b"too late", IfMatch=tag)
        except RemoteError as error:
            if _code(error.__cause__) in UNKNOWN:
                return False
            raise

    def delete(self, names: Collection[str]) -> None:
        """See Remote."""
        keys = [{"Key": self._prefix + name} for name in names]
        with self._failing():
            for first in range(0, len(keys), AT_ONCE):
                chosen = {"Objects": keys[first : first + AT_ONCE], "Quiet": True}
                self._client.delete_objects(Bucket=self._bucket, Delete=chosen)

    def put(self, base: Path, items: Sequence[Item], told: Told) -> None:
        """See Remote; a large file whose copy was interrupted is copied from its beginning."""
        for item in items:
            found = self._head(item.name)
            digest = {} if found is None else found["Metadata"]
            if found is not None and found["ContentLength"] == item.size and digest.get("sha256") == item.sha256 != "":
                told(item.size)
                continue
            extra = {"Metadata": {"sha256": item.sha256}}
            with self._failing():
                self._client.upload_file(
                    str(base / item.name), self._bucket, self._prefix + item.name, ExtraArgs=extra, Callback=told
                )

    def get(self, base: Path, items: Sequence[Item], told: Told) -> None:
        """See Remote."""
        for item in items:
            target = base / item.name
            if is_there(target, item.size):
                told(item.size)
                continue
            with self._failing():
                self._download(item, target, told)

    def _download(self, item: Item, target: Path, told: Told) -> None:
        part = begin_part(target, item.size)
        with part.open("ab") as writer:
            told(writer.tell())
            if writer.tell() < item.size:
                answer = self._client.get_object(**self._at(item.name), Range=f"bytes={writer.tell()}-{item.size - 1}")
                for block in answer["Body"].iter_chunks(BLOCK):
                    writer.write(block)
                    told(len(block))
            finish(writer)
        part.replace(target)

    def seal(self, root: Path, stage: str, key: str, items: Sequence[Item], data: bytes, told: Told) -> bool:
        """See Remote. Nobody looks at objects of a stage whose DONE.json is missing.

        Another tree may be pushing another result of the stage at this moment: who sees the other's record stops, and
        whose record it is looks once more at its objects.
        """
        done = done_name(stage, key)
        for item in items:
            if self._head(done) is not None:
                return False
            self.put(root, [item], told)
        if not self.create(done, data):
            return False
        self.put(root, [item for item in items if item.sha256], _ignore)
        self.write(f"{stage}/{key}/{SEAL}", data)
        return True

    def _at(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + name}

    def _read(self, name: str) -> tuple[bytes | None, str]:
        """An object's content and tag; None and "" if there is none."""
        from botocore.exceptions import ClientError

        with self._failing():
            try:
                answer = self._client.get_object(**self._at(name))
                return answer["Body"].read(), answer["ETag"]
            except ClientError as error:
                if _code(error) in MISSING:
                    return None, ""
                raise

    def _head(self, name: str) -> Any | None:
        from botocore.exceptions import ClientError

        with self._failing():
            try:
                return self._client.head_object(**self._at(name))
            except ClientError as error:
                if _code(error) in MISSING:
                    return None
                raise

    def _put_if(self, name: str, data: bytes, **condition: str) -> bool:
        """Write an object if the server finds the condition met."""
        from botocore.exceptions import ClientError

        with self._failing():
            try:
                self._client.put_object(**self._at(name), Body=data, **condition)
            except ClientError as error:
                if _code(error) in (*THERE_ALREADY, *MISSING):
                    return False
                raise
        return True

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Tell what boto3 raises as a failure of the remote, or in one sentence where a person must do something."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

        try:
            yield
        except (NoCredentialsError, NoRegionError) as error:
            raise UserError(
                f"{self.title}: {in_one_line(error)}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_REGION, and "
                "AWS_ENDPOINT_URL_S3 for a server that is not AWS's"
            ) from None
        except ClientError as error:
            if _code(error) in ("NoSuchBucket", "AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch"):
                raise UserError(f"{self.title}: {in_one_line(error)}: check bucket, secrets and endpoint") from None
            raise RemoteError(f"{self.title}: {in_one_line(error)}") from error
        except (BotoCoreError, Boto3Error) as error:
            raise RemoteError(f"{self.title}: {_CREDENTIALS.sub('//', in_one_line(error))}") from error


def _code(error: Any) -> str:
    """What a server said; "" of any other error."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))


def _ignore(_size: int) -> None:
    """What is copied once more does not count twice."""
