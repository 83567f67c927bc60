"""What is left to this process, of trees that the tests have written."""

import pytest

from batchtrainingbooster.available_memory import available_bytes

MB = 2**20
UNLIMITED_V1 = 9_223_372_036_854_771_712  # how version 1 says that there is no limit


@pytest.fixture
def system(tmp_path):
    """Writes a system of so much memory, whose process is in these groups, and looks at it."""

    def look(cgroup, files=(), available=8000 * MB):
        write(tmp_path / "proc" / "self" / "cgroup", cgroup)
        memory = f"MemTotal: 1 kB\nMemAvailable:   {available // 1024} kB\nSwapFree: 9 kB\n"
        write(tmp_path / "proc" / "meminfo", memory)
        for name, content in dict(files).items():
            write(tmp_path / "cgroup" / name, str(content))
        return available_bytes(tmp_path / "proc", tmp_path / "cgroup")

    return look


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def v2(group, limit, usage, inactive=0, active=0):
    stat = f"anon 5\nfile 9\nactive_file {active}\ninactive_file {inactive}\n"
    files = {"memory.max": limit, "memory.current": usage, "memory.stat": stat}
    return {f"{group}/{name}": content for name, content in files.items()}


def v1(group, limit, usage, inactive=0, active=0):
    own = "cache 9\ninactive_file 3\nactive_file 4\n"
    stat = f"{own}total_inactive_file {inactive}\ntotal_active_file {active}\n"
    files = {
        "memory.limit_in_bytes": f"{limit}\n",
        "memory.usage_in_bytes": f"{usage}\n",
        "memory.stat": stat,
    }
    return {f"memory/{group}/{name}": content for name, content in files.items()}


def test_without_groups_it_is_what_the_system_has(system):
    assert system("0::/\n") == 8000 * MB
    assert system("", available=5 * MB) == 5 * MB


def test_group_of_version_2(system):
    assert system("0::/a\n", v2("a", 100 * MB, 70 * MB, 20 * MB, 5 * MB)) == 55 * MB


def test_group_of_version_1_beside_the_mount_of_version_2(system):
    lines = "9:name=systemd:/x\n4:hugetlb,memory:/docker/a\n1:cpu:/memory\n0::/\n"
    files = {**v1("docker/a", 100 * MB, 70 * MB, 20 * MB, 5 * MB), "unified/cgroup.procs": "1"}
    assert system(lines, files) == 55 * MB


def test_version_2_with_memory_in_its_own_mount(system):
    files = v2("unified/a", 100 * MB, 70 * MB)
    assert system("3:cpu:/a\n0::/a\n", files) == 30 * MB


@pytest.mark.parametrize("tightest", ["a", "a/b", "a/b/c"])
def test_least_of_all_groups_that_it_lies_within(system, tightest):
    files = {}
    for group in ("a", "a/b", "a/b/c", "a/b/c/below", "beside"):
        limit = 90 if group == tightest else 40 if group in ("a/b/c/below", "beside") else 700
        files |= v2(group, limit * MB, 30 * MB)
    assert system("0::/a/b/c\n", files) == 60 * MB


def test_system_may_have_less_than_the_group(system):
    assert system("0::/a\n", v2("a", 100 * MB, 0), available=40 * MB) == 40 * MB


def test_groups_without_a_limit(system):
    assert system("0::/a\n", v2("a", "max\n", 70 * MB)) == 8000 * MB
    assert system("4:memory:/b\n", v1("b", UNLIMITED_V1, 70 * MB)) == 8000 * MB


def test_in_a_container_the_mount_is_the_group(system):
    # Version 2 with a namespace of its own, and version 1 without: there the path is the host's.
    assert system("0::/\n", v2(".", 100 * MB, 70 * MB)) == 30 * MB
    assert system("0::/host/pod/abc\n", v2(".", 100 * MB, 60 * MB)) == 40 * MB
    assert system("4:memory:/docker/abc\n", v1(".", 100 * MB, 50 * MB)) == 50 * MB


def test_group_beside_the_namespace_is_not_looked_for_outside_the_mount(system, tmp_path):
    for name, content in v2("beside", 1 * MB, 0).items():
        write(tmp_path / name, str(content))
    assert system("0::/../beside\n", v2(".", 100 * MB, 60 * MB)) == 40 * MB


def test_cache_counts_at_most_as_much_as_is_used_and_nothing_goes_below_zero(system):
    assert system("0::/a\n", v2("a", 100 * MB, 10 * MB, 50 * MB)) == 100 * MB
    assert system("0::/a\n", v2("a", 100 * MB, 120 * MB)) == 0


def test_what_cannot_be_read_says_nothing(system, tmp_path):
    assert available_bytes(tmp_path / "nowhere", tmp_path) is None
    assert system("0::/a\n", {"a/memory.max": "7"}) == 8000 * MB
    assert system("0::/b\n", v2("b", "seven", 3)) == 8000 * MB
    assert system("0::/c\nno line of a group\n", {"c/memory.max/folder": "7"}) == 8000 * MB
