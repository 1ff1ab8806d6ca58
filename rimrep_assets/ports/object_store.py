"""Objects under one address: a local folder, a bucket on S3, or memory, behind one small protocol.

Here belongs reading, writing, creating once, copying and listing, with the errors of every kind of store turned
into ours. Not here: which object is written when (``projector``, ``release_log``), or Icechunk's own files
(``grid_repository``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from rimrep_assets.domain.errors import DefinitionError, Unavailable

PART = 64 * 1024 * 1024
"""bytes moved at a time, so that memory does not grow with an object"""
CREDENTIAL_SERVERS = ("://169.254.169.254/", "://169.254.170.2/", "://169.254.170.23/")
"""where machines, tasks and pods of AWS ask for credentials; asked when no others are told.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html"""
NO_CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_ENDPOINT_URL_S3, when the server is not Amazon's); "
    "on a machine of AWS give it a role, or try again later."
)
LARGEST_SINGLE_COPY = 1_000_000_000
"""bytes; S3 refuses to copy more than 5 GB in one call, and long before that one call takes too long"""


@dataclass(frozen=True)
class StoredObject:
    """What a listing says of an object; ``size`` in bytes, ``last_modified`` by the store's own clock."""

    path: str
    size: int
    etag: str
    last_modified: datetime


class ObjectStore(Protocol):
    """Paths are relative to the store's address and never start or end with a slash.

    Every method raises Unavailable when the store does not answer, DefinitionError when it refuses our rights.
    """

    address: str
    """what a reader of this machine opens: an absolute folder, or ``s3://bucket/prefix``; no slash at the end"""

    def url(self, path: str) -> str:
        """The address of the object at ``path``."""

    def document_url(self, path: str) -> str:
        """The address at which a browser reads the document at ``path``; the same where no web server is told."""

    def read(self, path: str) -> bytes:
        """The bytes at ``path``. Raises: FileNotFoundError."""

    def write(self, path: str, data: bytes) -> None:
        """Put ``data`` at ``path``, whole, in place of what is there."""

    def create(self, path: str, data: bytes) -> bool:
        """Put ``data`` at ``path`` if nothing is there; False when something is (maybe by an own lost answer)."""

    def upload(self, local: Path, path: str) -> None:
        """Put the file ``local`` at ``path``, whole, with bounded memory."""

    def download(self, path: str, local: Path) -> Path:
        """Write the object into the file ``local`` and return it. Raises: FileNotFoundError."""

    def copy(self, source: str, target: str) -> None:
        """Let ``target`` hold the bytes of ``source``, as an object of its own. Raises: FileNotFoundError."""

    def delete(self, path: str) -> None:
        """Remove the object; nothing happens where there is none."""

    def stat(self, path: str) -> StoredObject | None:
        """What is at ``path``, without its bytes; None when nothing is."""

    def list(self, folder: str) -> Sequence[StoredObject]:
        """All objects below ``folder``, sorted by path; ``a`` does not match ``ab/…``; '' is the whole store."""

    def folders(self, folder: str) -> Sequence[str]:
        """Names of the folders directly below ``folder``, sorted."""


def read_if_there(store: ObjectStore, path: str) -> bytes | None:
    """The bytes at ``path``, or None."""
    try:
        return store.read(path)
    except FileNotFoundError:
        return None


@dataclass(frozen=True)
class S3Access:
    """How to reach S3; empty fields are left to the environment's usual AWS settings."""

    endpoint_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    region: str = "ap-southeast-2"

    def __repr__(self) -> str:
        return f"S3Access(endpoint_url={self.endpoint_url!r}, region={self.region!r})"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> S3Access:
        return cls(
            endpoint_url=environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL"),
            access_key_id=environment.get("AWS_ACCESS_KEY_ID"),
            secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY"),
            session_token=environment.get("AWS_SESSION_TOKEN"),
            region=environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or cls.region,
        )


def open_store(url: str, s3: S3Access | None = None, documents: str | None = None) -> ObjectStore:
    """The store at ``url``: ``s3://bucket[/prefix]``, ``memory://``, a folder or ``file://`` address.

    ``documents`` is the https address of the same store, where a web server stands before it.
    Raises: DefinitionError for an address of another kind.
    """
    from obstore.store import LocalStore, MemoryStore

    if url.startswith("s3://"):
        return ObstoreObjects(_s3_store(url, s3 or S3Access()), url.rstrip("/"), kind="s3", documents=documents)
    if url.startswith("memory://"):
        return ObstoreObjects(MemoryStore(), url.rstrip("/"), kind="memory", documents=documents)
    if "://" in url and not url.startswith("file://"):
        raise DefinitionError(f"{url!r} is not the address of a store", advice="use a folder or s3://bucket/prefix.")
    folder = Path(url.removeprefix("file://")).expanduser().absolute()
    try:
        local = LocalStore(folder, mkdir=True)
    except OSError as error:
        raise Unavailable(
            f"the store {folder} cannot be opened: {error}", advice="name a folder that can be made and written into."
        ) from error
    return ObstoreObjects(local, str(folder), kind="local", documents=documents)


def _s3_store(url: str, s3: S3Access) -> Any:
    from obstore.store import S3Store

    bucket, _, prefix = url.removeprefix("s3://").rstrip("/").partition("/")
    options: dict[str, Any] = {"region": s3.region}
    if s3.endpoint_url:
        options["endpoint"] = s3.endpoint_url
        options["virtual_hosted_style_request"] = False
    if s3.access_key_id and s3.secret_access_key:
        options["access_key_id"] = s3.access_key_id
        options["secret_access_key"] = s3.secret_access_key
        if s3.session_token:
            options["session_token"] = s3.session_token
    allow_http = bool(s3.endpoint_url and s3.endpoint_url.startswith("http://"))
    return S3Store(bucket, prefix=prefix or None, client_options={"allow_http": allow_http}, **options)


class ObstoreObjects:
    """An ObjectStore on the library obstore; the three kinds differ in how they copy and move large bytes."""

    def __init__(
        self,
        store: Any,
        address: str,
        kind: Literal["s3", "local", "memory"],
        documents: str | None = None,
    ) -> None:
        self._store = store
        self._kind = kind
        self.address = address
        self._documents = (documents or address).rstrip("/")

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"

    def document_url(self, path: str) -> str:
        return f"{self._documents}/{path}"

    def read(self, path: str) -> bytes:
        with self._errors(path):
            return bytes(self._store.get(path).bytes())

    def write(self, path: str, data: bytes) -> None:
        with self._errors(path):
            self._store.put(path, data)

    def create(self, path: str, data: bytes) -> bool:
        from obstore.exceptions import AlreadyExistsError

        with self._errors(path):
            try:
                self._store.put(path, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
            return True

    def upload(self, local: Path, path: str) -> None:
        with self._errors(path):
            if self._kind == "local":
                self._place_file(local, path)
            else:
                self._store.put(path, local, chunk_size=PART)

    def download(self, path: str, local: Path) -> Path:
        with self._errors(path):
            chunks = self._store.get(path).stream(min_chunk_size=4 * 1024 * 1024)
            with local.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
        return local

    def copy(self, source: str, target: str) -> None:
        with self._errors(source):
            if self._kind == "local":
                # A hard link, which the library would make, would let one address change another.
                self._place_file(Path(self.address) / source, target)
            elif self._store.head(source)["size"] > LARGEST_SINGLE_COPY:
                self._store.put(target, iter(self._store.get(source).stream(PART)), chunk_size=PART)
            else:
                self._store.copy(source, target)

    def delete(self, path: str) -> None:
        with self._errors(path):
            try:
                self._store.delete(path)
            except FileNotFoundError:
                return

    def stat(self, path: str) -> StoredObject | None:
        with self._errors(path):
            try:
                return _stored(self._store.head(path))
            except FileNotFoundError:
                return None

    def list(self, folder: str) -> Sequence[StoredObject]:
        with self._errors(folder):
            found = [_stored(meta) for batch in self._store.list(f"{folder}/" if folder else None) for meta in batch]
        return sorted(found, key=lambda stored: stored.path)

    def folders(self, folder: str) -> Sequence[str]:
        with self._errors(folder):
            listing = self._store.list_with_delimiter(f"{folder}/" if folder else None)
        return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in listing["common_prefixes"])

    def _place_file(self, local: Path, path: str) -> None:
        """Copy a file beside its place and rename it there, so that a reader sees the old or the new one."""
        import shutil
        import uuid

        if not local.exists():
            raise FileNotFoundError(path)
        target = Path(self.address) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        # The library's listing passes over names that end in '#<number>', as its own unfinished files do.
        unfinished = target.with_name(f"{target.name}#{uuid.uuid4().int % 10**12}")
        try:
            shutil.copyfile(local, unfinished)
            if target.is_dir():
                # A bucket has no empty folders, and none that stands in an object's place.
                target.rmdir()
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        from obstore import exceptions as obstore_errors

        try:
            yield
        except FileNotFoundError:
            raise
        except (obstore_errors.PermissionDeniedError, obstore_errors.UnauthenticatedError) as error:
            raise DefinitionError(
                f"the store {self.address} refuses access to {path!r}",
                advice="check the credentials of this process and the bucket's policy.",
            ) from error
        except (obstore_errors.BaseError, OSError) as error:
            reason = str(error).split("\n\nDebug source", 1)[0].strip()
            if self._kind == "s3" and any(place in reason for place in CREDENTIAL_SERVERS):
                raise Unavailable(
                    f"there are no AWS credentials for the store {self.address}: none are set, and this machine is "
                    "given none",
                    advice=NO_CREDENTIALS,
                ) from error
            raise Unavailable(f"the store {self.address} did not answer for {path!r}: {reason}") from error


def _stored(meta: Mapping[str, Any]) -> StoredObject:
    return StoredObject(meta["path"], meta["size"], meta["e_tag"] or "", meta["last_modified"])
