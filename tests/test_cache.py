"""Texts kept on disk: whole or not there, whoever writes them, and never in the way."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from symlow import cache as cache_module
from symlow.cache import Cache, cache_folder, key_of

KEY = key_of("a key")
OTHER = key_of("another key")


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "kept" / "derived")


def test_what_was_put_is_there_and_nothing_else(cache):
    assert cache.get(KEY) is None
    assert not cache.folder.exists()
    cache.put(KEY, "σ = 1\r\n\n")
    assert cache.get(KEY) == "σ = 1\r\n\n"
    assert cache.get(OTHER) is None
    cache.put(KEY, "")
    assert cache.get(KEY) == ""
    assert os.listdir(cache.folder) == [KEY]


def test_only_its_user_can_write_to_the_folder(cache):
    cache.put(KEY, "text")
    if sys.platform != "win32":
        assert cache.folder.stat().st_mode & 0o777 == 0o700


def test_keys_tell_texts_and_their_ends_apart():
    parts = [(), ("",), ("", ""), ("ab",), ("a", "b"), ("", "ab"), ("ab", ""), ("1\na",), ("1", "a")]
    assert len({key_of(*some) for some in parts}) == len(parts)


def damages(whole):
    yield b""
    yield b"\n"
    yield whole[:-1]
    yield whole + b" "
    yield whole.split(b"\n", 1)[0]
    yield whole.replace(b"text", b"tixt")
    yield b"\xff\xfe" + whole
    yield whole.split(b"\n", 1)[0] + b"\n\xff"
    yield b"symlow 1\ntext"
    yield os.urandom(300)


def test_a_damaged_entry_is_a_miss_and_is_mended(cache):
    cache.put(KEY, "the text")
    entry = cache.folder / KEY
    whole = entry.read_bytes()
    for damaged in damages(whole):
        entry.write_bytes(damaged)
        assert cache.get(KEY) is None
        cache.put(KEY, "the text")
        assert entry.read_bytes() == whole


def test_the_entry_of_another_key_is_a_miss(cache):
    cache.put(OTHER, "other text")
    (cache.folder / OTHER).rename(cache.folder / KEY)
    assert cache.get(KEY) is None


def test_a_folder_in_the_place_of_an_entry_is_a_miss_and_stays(cache):
    (cache.folder / KEY).mkdir(parents=True)
    assert cache.get(KEY) is None
    cache.put(KEY, "text")
    assert cache.get(KEY) is None


def test_a_link_in_the_place_of_an_entry_is_replaced_and_not_followed(cache, tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("mine")
    cache.folder.mkdir(parents=True)
    (cache.folder / KEY).symlink_to(mine)
    cache.put(KEY, "text")
    assert (mine.read_text(), cache.get(KEY)) == ("mine", "text")


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    blocked = Cache(tmp_path / "file" / "derived")
    blocked.put(KEY, "text")
    assert blocked.get(KEY) is None
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_disk_that_refuses_is_no_error(cache, monkeypatch, code):
    cache.put(OTHER, "kept before")

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", refuse)
    cache.put(KEY, "text")
    assert cache.get(KEY) is None
    assert cache.get(OTHER) == "kept before"
    assert os.listdir(cache.folder) == [OTHER]


WRITER = """
import sys
from pathlib import Path
from symlow.cache import Cache
folder, key, text = sys.argv[1:]
cache = Cache(Path(folder))
seen = []
for _ in range(150):
    cache.put(key, text * 5000)
    seen.append(cache.get(key))
print(sorted(map(str, {None if found is None else found == text * 5000 for found in seen})))
"""


def test_writers_at_the_same_time_leave_one_whole_entry(cache):
    arguments = [sys.executable, "-c", WRITER, str(cache.folder), KEY, "a line of text\n"]
    writers = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [writer.communicate(timeout=60)[0] for writer in writers] == ["['True']\n"] * 4
    assert cache.get(KEY) == "a line of text\n" * 5000
    assert os.listdir(cache.folder) == [KEY]


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    cache = Cache(tmp_path, most_bytes=3 * 8192)
    keys = [key_of(str(k)) for k in range(4)]
    for age, key in enumerate(keys[:3]):
        cache.put(key, "x" * 5000)
        os.utime(tmp_path / key, (1000 + age, 1000 + age))
    (tmp_path / "notes.txt").write_text("y" * 9000)
    left = tmp_path / f".{keys[0]}.abc.part"
    left.write_text("")
    os.utime(left, (0, 0))
    assert cache.get(keys[0]) is not None  # used now, so that it stays
    cache.put(keys[3], "x" * 5000)
    assert [cache.get(key) is not None for key in keys] == [True, False, True, True]
    assert (tmp_path / "notes.txt").exists()
    assert not left.exists()


def test_the_folder_is_where_the_system_has_such_files(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("SYMLOW_CACHE_DIR", "chosen")
    assert cache_folder() == Path("chosen")
    monkeypatch.setenv("SYMLOW_CACHE_DIR", "")
    monkeypatch.setattr(cache_module.sys, "platform", "linux")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "symlow"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache" / "symlow"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "symlow"
    monkeypatch.setattr(cache_module.sys, "platform", "darwin")
    assert cache_folder() == tmp_path / "Library" / "Caches" / "symlow"
    monkeypatch.setattr(cache_module.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_folder() == tmp_path / "local" / "symlow" / "Cache"


def test_without_a_home_there_is_no_cache(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.delenv("SYMLOW_CACHE_DIR")
    assert cache_folder() is None
    assert Cache.of_user() is None
