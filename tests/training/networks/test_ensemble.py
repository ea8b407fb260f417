import pandas as pd

from pneumo.training.networks.ensemble import mean_logits


def table(**logits):
    rows = [
        {"path": path, "split": "test" if path == "t" else "validation", "logit": value}
        for path, value in logits.items()
    ]
    return pd.DataFrame(rows)


def test_members_of_an_ensemble_are_averaged_image_by_image():
    found = mean_logits([table(a=1.0, t=0.0), table(a=3.0, t=4.0)]).set_index("path")["logit"]
    assert found.to_dict() == {"a": 2.0, "t": 2.0}


def test_folds_keep_the_logits_of_images_that_only_one_of_them_held_out():
    found = mean_logits([table(a=1.0, t=0.0), table(b=3.0, t=4.0)]).set_index("path")
    assert found["logit"].to_dict() == {"a": 1.0, "b": 3.0, "t": 2.0}
    assert found.loc["b", "split"] == "validation"
