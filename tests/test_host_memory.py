"""The free memory of the host: from the system, and from the limit of a container."""

import pytest

from xpnet.backends._host_memory import host_memory

GIB = 1 << 30


@pytest.fixture
def system(tmp_path):
    """Return the folders of a system with 64 GiB free, and a function that writes their files."""
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("memory_", "memory.")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(text))

    write(proc__meminfo=f"MemTotal: 1 kB\nMemAvailable: {64 * GIB // 1024} kB\n")
    return proc, groups, write


def test_without_a_limit_the_systems_free_memory_counts(system):
    proc, groups, write = system
    write(proc__self__cgroup="0::/\n", cgroup__memory_max="max\n", cgroup__memory_current=5)
    assert host_memory(proc, groups).free == 64 * GIB


def test_a_container_has_the_rest_of_its_limit_and_its_droppable_file_cache(system):
    proc, groups, write = system
    write(proc__self__cgroup="0::/\n", cgroup__memory_max=4 * GIB, cgroup__memory_current=3 * GIB)
    write(cgroup__memory_stat=f"anon {GIB}\nactive_file {GIB}\ninactive_file {GIB // 2}\n")
    memory = host_memory(proc, groups)
    assert memory.free == 2.5 * GIB
    assert memory.total == 4 * GIB


def test_the_tightest_of_nested_groups_counts(system):
    proc, groups, write = system
    write(proc__self__cgroup="0::/a/b\n")
    write(cgroup__a__b__memory_max=9 * GIB, cgroup__a__b__memory_current=GIB)
    write(cgroup__a__memory_max=4 * GIB, cgroup__a__memory_current=GIB)
    write(cgroup__a__b__memory_stat="anon 1\n", cgroup__a__memory_stat="anon 1\n")
    assert host_memory(proc, groups).free == 3 * GIB


def test_control_groups_of_version_1_have_other_file_names(system):
    proc, groups, write = system
    write(proc__self__cgroup="5:cpu:/x\n4:hugetlb,memory:/gone/in/this/container\n0::/\n")
    write(cgroup__memory__memory_limit_in_bytes=2 * GIB)
    write(cgroup__memory__memory_usage_in_bytes=GIB)
    write(cgroup__memory__memory_stat=f"total_active_file 0\ntotal_inactive_file {GIB // 4}\n")
    assert host_memory(proc, groups).free == 1.25 * GIB
    # Without a limit, the file has a number larger than any memory.
    write(cgroup__memory__memory_limit_in_bytes=9223372036854771712)
    host_memory.__globals__["_limited_groups"].cache_clear()
    assert host_memory(proc, groups).free == 64 * GIB


def test_without_these_files_the_free_memory_is_plausible_or_unknown(tmp_path):
    memory = host_memory(tmp_path / "proc", tmp_path / "cgroup")
    assert memory is None or 0 < memory.free <= memory.total
