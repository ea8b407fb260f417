"""What people are told, and that it never quotes what may name a patient."""

from types import SimpleNamespace

from pneumo.operations.notification_texts import answers_changed, decided, images_drifted, run_died, run_failed


def test_a_failure_tells_the_kind_of_the_error_and_not_its_words():
    told = run_failed("train", ValueError("/scans/MUSTERMANN is gone"), "http://prefect/run")
    assert (told.kind, told.title) == ("failure", "train failed")
    assert told.text == "ValueError, see the flow run" and told.link == "http://prefect/run"


def test_a_decision_is_a_promotion_or_a_rejection():
    decision = SimpleNamespace(registered_model="pneumonia", version="3", promoted=True, reason="it is better")
    told = decided(decision, "http://mlflow")
    assert (told.kind, told.title, told.text) == ("promotion", "pneumonia version 3 is champion", "it is better")
    decision.promoted = False
    told = decided(decision, "http://mlflow")
    assert (told.kind, told.title) == ("rejection", "pneumonia version 3 was not promoted")


def test_the_other_messages_have_kinds_that_a_webhook_can_sort_by():
    assert run_died("ab12").kind == "failure" and "ab12" in run_died("ab12").text
    assert (images_drifted("why", "").kind, answers_changed("why", "").kind) == ("drift", "answers")
