"""A config file from a stranger is read or refused, soon, by one kind of error; nothing runs."""

import time

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from batchtrainingbooster.cli.strict_yaml import MAX_DEPTH, MAX_VALUES
from batchtrainingbooster.cli.training_file import MAX_BYTES, TrainingFile, read_training_file
from batchtrainingbooster.core.parsing import MAX_PROBLEMS, parse_bytes, parse_training, shown
from batchtrainingbooster.errors import ConfigError

VALID = b"""trainer: xgboost
target_column: y
train: &table {format: csv, path: t.csv, options: {header: true, sep: ";"}}
valid: {<<: *table, path: v.csv}
config_model: {n_estimators: 10, eta: 0.5, eval_metric: [logloss, auc]}
config_training:
  num_batches: 2
  memory_budget: 4GB
  class_weight: {0: 1.0, 1: 2}
  feature_columns: [a, b]
config_lr_scheduler: {initial_lr: 0.1, decay_rate: 0.9}
model_dir: model
spark: {spark.master: "local[1]"}
"""
LONGEST_MESSAGE = 10_000


@pytest.fixture
def read(tmp_path):
    """Reads a config file of this content."""

    def read(content):
        file = tmp_path / "c.yaml"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_training_file(file)

    return read


def refused(read, content, problem, seconds=3.0):
    start = time.perf_counter()
    with pytest.raises(ConfigError) as caught:
        read(content)
    assert time.perf_counter() - start < seconds
    message = str(caught.value)
    assert problem in message
    assert len(message) < LONGEST_MESSAGE
    return message


def test_the_valid_one_is_read(read, tmp_path):
    file = read(VALID)
    assert file.valid.path == str(tmp_path / "v.csv")
    assert file.valid.options == {"header": True, "sep": ";"}
    assert file.config_training["class_weight"] == {0: 1.0, 1: 2}


@pytest.mark.parametrize(
    "content",
    [
        b"[" * MAX_BYTES,
        b"- " * (MAX_BYTES // 2),
        b"{a: " * (MAX_BYTES // 4),
        b"? " * (MAX_BYTES // 2),
        b"\n".join(b" " * i + b"a:" for i in range(1000)),
    ],
)
def test_deep_nesting_is_refused(read, content):
    refused(read, content, f"nested deeper than {MAX_DEPTH} levels")


def test_many_values_are_refused(read):
    refused(read, "[" + "[]," * 200_000 + "]", f"more than {MAX_VALUES:,} values", seconds=20)


def laughs(first, one_more):
    lines = [f"a: &a {first}"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} " + one_more.format(",".join([f"*{before}"] * 9)))
    return "\n".join(lines)


@pytest.mark.parametrize(
    "content",
    [laughs("[x, x]", "[{}]"), laughs("{x: 1}", "{{<<: [{}]}}")],
    ids=["lists", "merged keys"],
)
def test_a_billion_laughs_are_refused(read, content):
    assert len(content) < 500
    refused(read, content, f": more than {MAX_VALUES:,} values")


def test_values_within_themselves_are_refused(read):
    for content in ("&a [*a]", "&a {x: *a}", "&a {<<: *a}", "x: &a [[*a]]"):
        refused(read, content, "line 1: an alias within what it stands for")


def test_a_key_that_is_there_twice_is_refused(read):
    twice = VALID.replace(b"model_dir: model", b"model_dir: model\ntarget_column: z")
    assert refused(read, twice, "no YAML: ").endswith("line 13: key 'target_column' is there twice")
    for content in ("{a: {b: 1, b: 1}}", "{1: a, 0x1: b}", "{yes: 1, true: 2}", "{'a': 1, a: 2}"):
        refused(read, content, "is there twice")


def test_large_files_are_refused_without_being_read(read, tmp_path):
    problem = f"larger than {MAX_BYTES:,} bytes, so it is no config file"
    refused(read, b"#" * (MAX_BYTES + 1), problem)
    with (tmp_path / "huge.yaml").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ConfigError, match="so it is no config file"):
        read_training_file(tmp_path / "huge.yaml")
    assert read(VALID + b"#" * (MAX_BYTES - len(VALID))).target_column == "y"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"target_column: \xff", "no YAML: byte 16 is no UTF-8; save the file as UTF-8"),
        ("target_column: y".encode("utf-16"), "byte 1 is no UTF-8"),
        (b"a\0b: 1", "no YAML: unacceptable character #x0000"),
        (b"a: \x1b[31m", "no YAML: unacceptable character #x001b"),
        (b"a: 1\n---\nb: 1\n", "line 2: expected a single document"),
        (b"a: *b", "line 1: found undefined alias"),
        (b"a: !ours 3", "line 1: could not determine a constructor"),
        (b"\na: 2024-99-99", "line 2: a value that cannot be read as timestamp"),
        (b"a: !!int x", "line 1: a value that cannot be read as int"),
        (b"a: !!bool x", "line 1: a value that cannot be read as bool"),
        (b"a: !!timestamp x", "line 1: a value that cannot be read as timestamp"),
        (b"a: " + b"1" * 5000, "line 1: a number of more than 100 digits"),
        (b"a: 0x" + b"f" * 5000, "line 1: a number of more than 100 digits"),
        (b"a: " + b"1:" * 5000 + b"1", "line 1: a number of more than 100 digits"),
        (b"? [a]\n: b", "line 1: while constructing a mapping, found unhashable key"),
        (b"!!map x: 1", "line 1: "),
        (b"!!set x", "line 1: "),
        (b"3: y", "key 3 is no text"),
        (b"just a sentence", "got str, need a dict"),
    ],
)
def test_what_is_no_plain_yaml_is_refused(read, content, problem):
    refused(read, content, problem)


@pytest.mark.parametrize(
    "tag",
    [
        "python/object/apply:os.mkdir [PLACE]",
        "python/object/apply:subprocess.run [[mkdir, PLACE]]",
        "python/object/new:os.mkdir [PLACE]",
        "python/object:os.mkdir {}",
        "python/name:os.mkdir ''",
        "python/module:this ''",
    ],
)
def test_no_code_of_a_file_is_run(read, tmp_path, tag, capfd):
    place = tmp_path / "made"
    refused(read, f"target_column: !!{tag.replace('PLACE', str(place))}", "no YAML: line 1: ")
    assert not place.exists()
    assert capfd.readouterr() == ("", "")


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory"):
        read_training_file(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_training_file(tmp_path)


@pytest.mark.parametrize("key", ["model_dir", "train", "config_training"])
@pytest.mark.parametrize("path", ["a\\0b", "\\ud800"])
def test_paths_that_no_file_can_have_are_refused(read, key, path):
    content = yaml.safe_load(VALID)
    content[key] = {"path": "PATH"} if key == "train" else "PATH"
    if key == "config_training":
        content[key] = {"staging_dir": "PATH"}
    text = yaml.safe_dump(content).replace("PATH", f'"{path}"')
    refused(read, text, "which no file can be called")


def test_long_values_and_many_problems_do_not_make_long_messages(read):
    long = "x" * 500_000
    for line in (
        f"model_dir: [{long}]", f"{long}: 1", f"trainer: {long}", f"train: {long}",
        f"spark: {{a: [{long}]}}", f"? {long}\n: 1", f"config_training: {long}", f"3{long}: a",
        f"target_column: {{a: {long}}}", f"train: {{format: {{a: {long}}}}}", f"a: *{long}",
        f"a: !{long} 1", f"{{{long}: 1, {long}: 2}}",
    ):  # fmt: skip
        refused(read, line, "", seconds=10)
    message = refused(read, "\n".join(f"key{i}: 1" for i in range(20_000)), "problems", seconds=20)
    # Those that are missing come last.
    assert "key19: unknown key" in message
    assert "and 19,983 more" in message


def test_keys_cannot_do_anything_to_a_terminal(read):
    message = refused(read, '"\\e[2J\\e]0;mine\\a": 1', "unknown key")
    assert message.replace("\n", "").isprintable()


def test_values_of_python_callers_are_shown_in_short_too():
    long = "x" * 10_000_000
    start = time.perf_counter()
    for config in (
        {"num_batches": long}, {"memory_budget": long}, {"memory_budget": "9" * 10**6}, {long: 1},
        {"class_weight": {"a": long}}, {"feature_columns": [[long] * 100] * 100},
        {"min_delta": 10**400}, {"seed": -(10**5000)}, {"strategy": 10**5000},
        {"feature_columns": [long, long]}, {"num_batches": 10**5000},
    ):  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            parse_training(config)
        assert len(str(caught.value)) < 1500
    with pytest.raises(ValueError, match=r"got 'x{50,100}\.\.\.x{50,100}', need a size"):
        parse_bytes(long)
    assert time.perf_counter() - start < 10


def test_short_values_are_shown_as_they_are():
    for value in ("a", 3, None, [1, "b"], {"a": [1]}, (1,), 1.5, {1}):
        assert shown(value) == repr(value)
    assert shown(10**5000) == "a very large int"
    assert MAX_PROBLEMS < 100


def outcome(content, folder):
    """Nothing but a training file or an error of ours comes out."""
    file = folder / "c.yaml"
    file.write_bytes(content)
    try:
        found = read_training_file(file)
    except ConfigError as error:
        found = str(error)
    assert isinstance(found, TrainingFile) or len(found) < LONGEST_MESSAGE
    assert [path.name for path in folder.iterdir()] == ["c.yaml"]


SIGNS = "abxy01.-:,?!&*#|>%@`'\"[]{}<~= \n\t\\\ufeff\x85é"
FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZ
@given(content=st.binary(max_size=300))
@example(content=b"\xfe\xff")
@example(content=b"%YAML 9.9\n--- a")
def test_any_bytes(tmp_path, content):
    outcome(content, tmp_path)


@FUZZ
@given(text=st.text(st.sampled_from(SIGNS), max_size=80))
@example(text="!!map x: 1")
@example(text="<<: [1]")
@example(text="=: 1")
def test_any_text_of_the_characters_that_mean_something(tmp_path, text):
    outcome(text.encode(), tmp_path)


PIECES = st.sampled_from(
    [b"!!int ", b"!!binary ", b"!!python/name:os.system ", b"!!map ", b"!!set ", b"!!timestamp ",
     b"&a ", b"*a ", b"*table", b"<<: ", b"\0", b"\xff", b"- ", b"? ", b": ", b"{", b"}", b"[",
     b"]", b"\n", b"  ", b"\t", b"|", b">", b"'", b'"', b"1e999", b".nan", b"-1", b"0x", b"1:2:3",
     b"~", b"2024-02-30", b"null", b"yes", b"9" * 200, b"\xe2\x80\xa8", b"%", b"---", b"..."]
)  # fmt: skip


@FUZZ
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(VALID)), st.integers(0, 30), st.one_of(PIECES, st.binary())),
        min_size=1,
        max_size=6,
    )
)
def test_any_change_of_a_valid_file(tmp_path, changes):
    content = VALID
    for place, dropped, added in changes:
        content = content[:place] + added + content[place + dropped :]
    outcome(content, tmp_path)


VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.dates(),
        st.binary(max_size=5),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip


@FUZZ
@given(
    values=st.dictionaries(
        st.sampled_from([*yaml.safe_load(VALID), "test", "tran"]), VALUES, max_size=9
    )
)
def test_any_values_of_the_keys(tmp_path, values):
    outcome(yaml.safe_dump({**yaml.safe_load(VALID), **values}).encode(), tmp_path)
