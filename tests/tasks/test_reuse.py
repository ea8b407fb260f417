import shutil

from pneumo.stages import Interval
from tasks.reuse import keyed

KEY = keyed("train", "stages.py")
SPEC = Interval(value=0.5, low=0.4, high=0.6)


def test_the_same_work_has_the_same_key_in_every_run(tmp_path):
    first = KEY(None, {"spec": SPEC, "home": tmp_path, "parent_run": "1"})
    assert first == KEY(None, {"spec": SPEC, "home": tmp_path, "parent_run": "2"})


def test_other_work_or_other_code_has_another_key(tmp_path):
    keys = {
        KEY(None, {"spec": SPEC, "home": tmp_path}),
        KEY(None, {"spec": SPEC.model_copy(update={"low": 0.3}), "home": tmp_path}),
        keyed("train", "errors.py")(None, {"spec": SPEC, "home": tmp_path}),
        keyed("combine", "stages.py")(None, {"spec": SPEC, "home": tmp_path}),
    }
    assert len(keys) == 4


def test_a_removed_cache_is_never_pointed_into(tmp_path):
    before = KEY(None, {"spec": SPEC, "home": tmp_path})
    shutil.rmtree(tmp_path / "cache")
    assert KEY(None, {"spec": SPEC, "home": tmp_path}) != before
