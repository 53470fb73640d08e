from infogan_jax.training import run_folder


def make_run(folder):
    for item in ("run", "state"):
        (folder / "checkpoints" / "5" / item).mkdir(parents=True)


def test_of_several_seeds_runs_one_is_that_of_its_seed(tmp_path):
    make_run(tmp_path / "both" / "s1")
    assert run_folder.of_seed(tmp_path / "both", 1) == tmp_path / "both" / "s1"
    # Where there is none, the folder itself, which then is refused by its name.
    assert run_folder.of_seed(tmp_path / "both", 2) == tmp_path / "both"
    make_run(tmp_path / "one")
    make_run(tmp_path / "one" / "s1")
    assert run_folder.of_seed(tmp_path / "one", 1) == tmp_path / "one"


def test_what_a_killed_process_left_of_its_first_log_is_no_run(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / ".metrics.jsonl.4242.tmp").write_text('{"step": 5')
    assert run_folder.was_only_begun(tmp_path)
    (tmp_path / ".profile").touch()
    assert not run_folder.was_only_begun(tmp_path)
