"""Tasks that are killed, fail or run twice, and full disks, leave no row lost or doubled."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pyspark
import pytest
from conftest import outcome_of

from batchtrainingbooster import XGBoostTrainer
from batchtrainingbooster.data.checkpoints import complete_checkpoints
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.manifest import is_whole
from batchtrainingbooster.errors import CheckpointError, StagingError

CONFIG_MODEL = {"n_estimators": 5, "max_depth": 4, "n_jobs": 2, "eval_metric": "mlogloss"}
SMALL_PARTS = {"spark.sql.execution.arrow.maxRecordsPerBatch": "500"}
UNRULY = {
    "a Python worker is killed": ("killed", {"spark.master": "local[2,4]"}),
    "a task fails once": ("fails", {"spark.master": "local[2,4]"}),
}
SPECULATION = {
    "spark.speculation": "true",
    # The only task of its stage is run again if it takes longer.
    "spark.speculation.task.duration.threshold": "1s",
    "spark.speculation.interval": "100ms",
    "spark.executor.memory": "512m",
}


def configs(folder, **changes):
    config_training = {
        "num_batches": 3, "validation_fraction": 0.2, "checkpoint_dir": str(folder / "run"),
        **changes,
    }  # fmt: skip
    return [CONFIG_MODEL, config_training, {"initial_lr": 0.3, "decay_rate": 0.8}]


@pytest.fixture(scope="module")
def expected(spark, rows):
    config_model, config_training, schedule = configs(Path())
    del config_training["checkpoint_dir"]
    frame = spark.read.parquet(rows)
    return XGBoostTrainer().fit(frame, None, "y", config_model, config_training, schedule).native


@pytest.mark.slow
@pytest.mark.parametrize("name", UNRULY)
def test_bad_luck_of_a_task_changes_no_byte(run, tmp_path, expected, name):
    what, settings = UNRULY[name]
    process = run(configs(tmp_path), unruly=what, spark={**SMALL_PARTS, **settings})
    assert process.wait() == 0, (tmp_path / "log").read_text()
    assert (tmp_path / "had bad luck").exists()
    assert (tmp_path / "was run again").exists()
    assert outcome_of(tmp_path)[0] == expected


@pytest.fixture
def cluster(spark, tmp_path):
    """A master and two workers, each on an address of its own: Spark speculates on another host."""
    environment = {**os.environ, "SPARK_HOME": str(Path(pyspark.__file__).parent)}
    processes = []

    def start(name, *arguments):
        command = [
            f"{environment['SPARK_HOME']}/bin/spark-class",
            f"org.apache.spark.deploy.{name}",
        ]
        log = (tmp_path / f"{name}-{len(processes)}").open("w")
        process = subprocess.Popen(
            [*command, *arguments], stdout=log, stderr=log, env=environment, cwd=tmp_path
        )
        processes.append(process)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"spark://127.0.0.1:{port}"
    start("master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0")
    for host in ("127.0.0.1", "127.0.0.2"):
        start("worker.Worker", "--host", host, "--cores", "1", "--memory", "600m",
              "--webui-port", "0", "--work-dir", str(tmp_path / "work"), url)  # fmt: skip
    yield url
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_task_that_is_run_twice_on_two_hosts_doubles_no_row(run, tmp_path, expected, cluster):
    # A cluster wants it named, beside checkpoints on what may be this machine's own disk.
    changes = {"staging_dir": str(tmp_path / "run" / "staged")}
    settings = {**SMALL_PARTS, **SPECULATION, "spark.master": cluster}
    process = run(configs(tmp_path, **changes), unruly="slow", spark=settings)
    assert process.wait() == 0, (tmp_path / "log").read_text()
    assert (tmp_path / "was run again").exists()
    assert outcome_of(tmp_path)[0] == expected


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own, and what makes it larger."""
    place = tmp_path / "disk"
    place.mkdir()

    def resize(size, *options):
        command = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "tmpfs"]
        return subprocess.run([*command, str(place)], capture_output=True, text=True)

    done = resize("256k")
    if done.returncode:
        pytest.skip(f"only root can mount a small disk: {done.stderr.strip()}")
    yield place, lambda size: resize(size, "remount")
    subprocess.run(["umount", "-l", str(place)], check=True)


# So small that Spark cannot write the rows, or that they leave no room for the manifest.
@pytest.mark.slow
@pytest.mark.parametrize("size", ["128k", "256k"])
def test_full_disk_while_staging_is_an_error_and_then_it_works(
    spark, rows, small_disk, expected, size
):
    place, resize = small_disk
    assert resize(size).returncode == 0
    config_model, config_training, schedule = configs(place)
    del config_training["checkpoint_dir"]
    config_training["staging_dir"] = str(place / "staged")
    call = (spark.read.parquet(rows), None, "y", config_model, config_training, schedule)
    with pytest.raises(StagingError, match="No space left on device") as caught:
        XGBoostTrainer().fit(*call)
    assert len(str(caught.value).splitlines()) < 4, "no stack trace of Java"
    assert not is_whole(Folder(str(place / "staged")).names())
    assert resize("64m").returncode == 0
    assert XGBoostTrainer().fit(*call).native == expected


@pytest.mark.slow
def test_full_disk_while_checkpointing_keeps_the_checkpoint_before(
    spark, rows, small_disk, tmp_path
):
    place, resize = small_disk
    config_model, config_training, schedule = configs(
        place, staging_dir=str(tmp_path / "staged"), num_epochs=3
    )
    call = (spark.read.parquet(rows), None, "y", config_model, config_training, schedule)
    undisturbed = {**config_training, "checkpoint_dir": str(tmp_path / "elsewhere")}
    expected = XGBoostTrainer().fit(*call[:4], undisturbed, schedule)
    with pytest.raises(CheckpointError, match=r"No space left.*make room.*the same call goes on"):
        XGBoostTrainer().fit(*call)
    kept = complete_checkpoints(Folder(str(place / "run")))
    assert 1 <= len(kept) <= 2
    assert Folder(str(place / "run")).folders() == kept, "what is half-written goes"
    assert resize("64m").returncode == 0
    model = XGBoostTrainer().fit(*call[:4], {**config_training, "resume": "must"}, schedule)
    assert model.native == expected.native
    assert [row.round for row in model.history] == list(range(len(expected.history)))
    shutil.rmtree(place / "run")
