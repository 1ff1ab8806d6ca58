"""A grid's Icechunk repository: staging on ``next``, reading a snapshot, moving ``main``, tagging releases.

Here belongs everything that Icechunk does for us, and the file lock that its local storage needs. Not here: what is
written into a group (``domain/grid_write``), or the plain copy (``plain_copy``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.errors import Damaged, DataError, DefinitionError, RimrepError, Unavailable
from rimrep_assets.domain.release import Places, release_tag
from rimrep_assets.ports.icechunk_errors import is_damage, reason_of
from rimrep_assets.ports.object_store import ObjectStore, S3Access
from rimrep_assets.ports.version import Unreadable

if TYPE_CHECKING:
    import icechunk
    import zarr

MAIN, NEXT = "main", "next"
EMPTY = "1CECHNKREP0F1RSTCMT0"
"""the snapshot without anything with which every repository begins.
https://icechunk.io/en/latest/reference/spec/ (initial snapshot)"""


class StagingConflict(Exception):
    """Another attempt changed the same chunks of ``next`` meanwhile; stage again on its tip."""


@dataclass(frozen=True)
class Tip:
    """Where ``next`` stands, and what the attempt that put it there said of itself."""

    snapshot: str
    said: dict[str, Any]


@dataclass(frozen=True)
class ChunkDifference:
    """What differs between two snapshots; ``chunks`` are keys such as ``sst/c/3/0/0``.

    Chunks of arrays that went are not among them; where an array was taken away and made anew (``arrays_made_anew``),
    those of its former chunks that it has no more are not told either.
    """

    chunks: frozenset[str]
    arrays_made_anew: bool


@dataclass
class GridRepository:
    """The repository of one dataset. Raises: Unavailable when its storage does not answer."""

    store: ObjectStore
    dataset: str
    s3: S3Access = field(default_factory=S3Access)

    def _storage(self) -> icechunk.Storage:
        import icechunk

        # What goes wrong is raised as well, and told in our words.
        icechunk.set_logs_filter("off")
        address = self.store.url(Places(self.dataset).icechunk)
        if not address.startswith("s3://"):
            if address.startswith("memory://"):
                raise DefinitionError("grids need a folder or S3; Icechunk cannot be shared in memory")
            return icechunk.local_filesystem_storage(address)
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        keys = bool(self.s3.access_key_id and self.s3.secret_access_key)
        return icechunk.s3_storage(
            bucket=bucket,
            prefix=prefix,
            region=self.s3.region,
            endpoint_url=self.s3.endpoint_url,
            allow_http=bool(self.s3.endpoint_url and self.s3.endpoint_url.startswith("http://")),
            force_path_style=self.s3.endpoint_url is not None,
            access_key_id=self.s3.access_key_id if keys else None,
            secret_access_key=self.s3.secret_access_key if keys else None,
            session_token=self.s3.session_token if keys else None,
            from_env=None if keys else True,
        )

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """On a local folder, keep other processes from moving a branch: its storage cannot compare and set."""
        if self.store.address.startswith("s3://"):
            yield
            return
        import filelock

        lock = Path(self.store.address) / ".locks" / f"{self.dataset}.icechunk"
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            with filelock.FileLock(lock, timeout=120):
                yield
        except filelock.Timeout as error:
            raise Unavailable(f"another process holds {lock} for more than 120 s", dataset=self.dataset) from error

    @contextmanager
    def errors_in_words(self, better: Callable[[Exception], RimrepError | None] | None = None) -> Iterator[None]:
        """Icechunk's errors as Unavailable, or as what ``better`` makes of those that it knows more of."""
        import icechunk

        try:
            yield
        except icechunk.IcechunkError as error:
            known = better(error) if better else None
            if known is not None:
                raise known.about(self.dataset) from error
            reason = reason_of(error)
            if is_damage(reason):
                raise Damaged(f"Icechunk in {self.store.address}: {reason}", dataset=self.dataset) from error
            raise Unavailable(f"Icechunk in {self.store.address}: {reason}", dataset=self.dataset) from error
        except (Damaged, Unavailable) as error:
            # Told by the store that readers are given; the cause is Icechunk's own.
            cause = error.__cause__
            known = better(cause) if better and isinstance(cause, icechunk.IcechunkError) else None
            if known is None:
                raise
            raise known.about(self.dataset) from cause

    def open(self) -> icechunk.Repository | None:
        """The repository, or None when there is none yet; nothing is written."""
        import icechunk

        with self.errors_in_words():
            storage = self._storage()
            return authorized(icechunk.Repository.open(storage)) if icechunk.Repository.exists(storage) else None

    def contain(self, containers: Sequence[icechunk.VirtualChunkContainer]) -> None:
        """Let the repository know where chunks may lie that it only refers to; nothing is written where it does.

        What it knew is kept: earlier releases may refer there.
        """
        import icechunk

        with self._one_at_a_time(), self.errors_in_words():
            repository = self.open() or icechunk.Repository.create(self._storage())
            config = repository.config
            known = config.virtual_chunk_containers or {}
            new = [container for container in containers if container.url_prefix not in known]
            for container in new:
                config.set_virtual_chunk_container(container)
            if new:
                repository.reopen(config=config).save_config()

    def _existing(self) -> icechunk.Repository:
        repository = self.open()
        if repository is None:
            raise DataError(
                f"there is no Icechunk repository at {self.store.url(Places(self.dataset).icechunk)}",
                dataset=self.dataset,
                advice="materialize the dataset's data first.",
            )
        return repository

    def tip(self) -> Tip | None:
        """Where ``next`` stands; None when nothing was ever staged."""
        repository = self.open()
        if repository is None:
            return None
        with self.errors_in_words():
            if NEXT not in repository.list_branches():
                return None
            snapshot = repository.lookup_branch(NEXT)
        try:
            with self.errors_in_words():
                return Tip(snapshot, dict(repository.lookup_snapshot(snapshot).metadata))
        except Damaged:
            # Nobody stages on what says nothing of itself.
            return Tip(snapshot, {})

    def stage_from(self, snapshot: str | None, tip: Tip | None) -> icechunk.Session:
        """A writable session on ``next`` that begins at ``snapshot`` (None: at the empty repository).

        ``tip`` is where ``next`` was seen. Raises: StagingConflict when it stands elsewhere by now, because moving it
        would throw away what somebody else staged.
        """
        import icechunk

        with self._one_at_a_time(), self.errors_in_words():
            repository = self.open() or icechunk.Repository.create(self._storage())
            # Not asked of a branch: what that one names may be what is lost.
            start = snapshot or EMPTY
            stands = repository.lookup_branch(NEXT) if NEXT in repository.list_branches() else None
            if stands != (tip.snapshot if tip else None):
                raise StagingConflict("next was moved meanwhile")
            try:
                if stands is None:
                    repository.create_branch(NEXT, start)
                elif stands != start:
                    repository.reset_branch(NEXT, start, from_snapshot_id=stands)
            except icechunk.IcechunkError as error:
                if repository.lookup_branch(NEXT) in (stands, start):
                    raise
                raise StagingConflict(str(error)) from error
            session = repository.writable_session(NEXT)
            if session.snapshot_id != start:
                raise StagingConflict("next was moved meanwhile")
            return session

    def commit(self, session: icechunk.Session, message: str, said: dict[str, Any]) -> str:
        """Commit to ``next``. Raises: StagingConflict when another commit came first, also one to other chunks: what a
        commit says of itself must be about all that it holds.
        """
        import icechunk

        with self._one_at_a_time(), self.errors_in_words():
            try:
                return session.commit(message, metadata=said)
            except icechunk.ConflictError as error:
                raise StagingConflict(str(error)) from error

    def read(self, snapshot: str) -> icechunk.IcechunkStore:
        """The store of ``snapshot``, read only. Raises: Unavailable; Damaged when the snapshot is gone."""
        repository = self._existing()
        with self.errors_in_words():
            return repository.readonly_session(snapshot_id=snapshot).store

    @contextmanager
    def reading_back(self, better: Callable[[Exception], RimrepError | None] | None = None) -> Iterator[None]:
        """While a snapshot is read: what Zarr and its codecs say of damaged data is told as Unreadable.

        ``better``: as in ``errors_in_words``.
        """
        told = "what was staged cannot be read back from the store"
        try:
            with self.errors_in_words(better):
                yield
        except Damaged as error:
            raise Unreadable(f"{told}: {'; '.join(error.problems)}", dataset=self.dataset) from error
        except (IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise Unreadable(f"{told}: {type(error).__name__}: {error}", dataset=self.dataset) from error

    @contextmanager
    def understanding(self, snapshot: str) -> Iterator[None]:
        """While the metadata of a published snapshot is read: what Zarr says of damaged metadata is told as Damaged."""
        try:
            with self.errors_in_words():
                yield
        except (FileNotFoundError, IndexError, KeyError, TypeError, ValueError) as error:
            raise Damaged(
                f"the metadata of Icechunk's snapshot {snapshot} cannot be read: {type(error).__name__}: {error}",
                dataset=self.dataset,
            ) from error

    def group(self, snapshot: str) -> zarr.Group:
        """The group of ``snapshot``, read only; reading it raises Damaged for what is gone, Unavailable as the storage
        does.
        """
        import zarr

        from rimrep_assets.ports.told_store import ToldStore

        with self.understanding(snapshot):
            return zarr.open_group(ToldStore(self.read(snapshot)), mode="r")

    def promote(self, snapshot: str, release: int) -> None:
        """Let ``main`` and the release's tag name ``snapshot``; nothing is written where they do already."""
        repository = self._existing()
        tag = release_tag(release)
        with self._one_at_a_time(), self.errors_in_words():
            if tag not in repository.list_tags():
                repository.create_tag(tag, snapshot)
            elif repository.lookup_tag(tag) != snapshot:
                raise DataError(
                    f"the Icechunk tag {tag} names {repository.lookup_tag(tag)}, its record names {snapshot}",
                    dataset=self.dataset,
                    advice="somebody moved a tag by hand; restore the repository from a backup.",
                )
            if repository.lookup_branch(MAIN) != snapshot:
                repository.reset_branch(MAIN, snapshot)

    def shows(self, snapshot: str, release: int) -> bool:
        """Whether ``main`` and the release's tag name ``snapshot``."""
        repository = self.open()
        if repository is None:
            return False
        with self.errors_in_words():
            return (
                repository.lookup_branch(MAIN) == snapshot
                and release_tag(release) in repository.list_tags()
                and repository.lookup_tag(release_tag(release)) == snapshot
            )

    def difference(self, old: str, new: str) -> ChunkDifference | None:
        """What changed on the way from ``old`` to ``new``; None when ``old`` is no ancestor, so all may differ."""
        repository = self._existing()
        with self.errors_in_words():
            if old == new:
                return ChunkDifference(frozenset(), False)
            if all(snapshot.id != old for snapshot in repository.ancestry(snapshot_id=new)):
                return None
            found = repository.diff(from_snapshot_id=old, to_snapshot_id=new)
        keys = {
            f"{path.strip('/')}/" + "/".join(["c", *map(str, index)])
            for path, indexes in found.updated_chunks.items()
            for index in indexes
        }
        anew = (found.new_arrays & found.deleted_arrays) or found.deleted_groups
        return ChunkDifference(frozenset(keys), bool(anew))


def authorized(repository: icechunk.Repository) -> icechunk.Repository:
    """The repository, which may read the chunks that it refers to at the places that its configuration names.

    Whoever can write that configuration can write every chunk as well.
    """
    known = repository.config.virtual_chunk_containers
    return repository.reopen(authorize_virtual_chunk_access=dict.fromkeys(known)) if known else repository


def encoded(store: icechunk.IcechunkStore, key: str) -> bytes | None:
    """The bytes at a key of the Zarr hierarchy as they are stored; None where there are none (a chunk of fill).

    Raises: Damaged when they are gone, Unavailable as the storage does.
    """
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    from rimrep_assets.ports.told_store import ToldStore

    found = sync(ToldStore(store).get(key, default_buffer_prototype()))
    return None if found is None else found.to_bytes()


def keys(store: icechunk.IcechunkStore, array: str = "") -> list[str]:
    """All keys of the hierarchy, or of one array, metadata and chunks, sorted; costs with their number.

    Raises: Damaged when what lists them is gone, Unavailable as the storage does.
    """
    from zarr.core.sync import sync

    from rimrep_assets.ports.told_store import ToldStore

    async def gather() -> list[str]:
        return [key async for key in ToldStore(store).list_prefix(f"{array}/" if array else "")]

    return sorted(sync(gather()))
